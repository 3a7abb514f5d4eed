"""The parts that need no server: sizes, rates, tokens, frames."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.testing.emulators.supabase import SupabaseSettings, plain, rates, tokens, wire


@pytest.mark.parametrize(
    ("value", "size"),
    [
        # As `:erlang.external_size/1` has them.
        (0, 3),
        (255, 3),
        (256, 6),
        (-1, 6),
        (2**31, 8),
        (-(2**40), 10),
        (1.5, 10),
        ("", 6),
        ("é", 8),
        (b"\x00", 7),
        (None, 6),
        (True, 7),
        (False, 8),
        ([], 2),
        ([1, 2], 11),
        ({}, 6),
        ({"a": "b"}, 18),
    ],
)
def test_payloads_are_measured_as_the_service_does(value: Any, size: int) -> None:
    """In Erlang's external term format, its version byte included."""
    assert plain.external_size(value) == size


def test_a_rate_is_a_mean_that_is_looked_at_every_five_seconds() -> None:
    """A fresh counter trips at twice the five seconds' worth, a long-lived one at a minute's."""
    now = [0.0]
    rate = rates.Rate(lambda: now[0], lambda: 100)

    def exceeded(*, at: float, counted: int = 0) -> bool:
        now[0] = at
        rate.count(counted)
        return rate.exceeded

    assert not exceeded(at=0.0, counted=1_000)
    assert exceeded(at=5.0)
    assert not exceeded(at=65.0)
    assert not exceeded(at=70.0, counted=5_999)
    assert not exceeded(at=75.0, counted=1)
    assert exceeded(at=80.0)
    assert not exceeded(at=380.0, counted=999)
    assert not exceeded(at=385.0)


def test_json_is_read_strictly_and_written_safely() -> None:
    """NaN is none, nor what is nested without an end; lone surrogates stay escaped."""
    for text in ("NaN", '{"a":-Infinity}', "[" * 100_000, ""):
        with pytest.raises(ValueError, match=r".*"):
            plain.loads(text)
    assert plain.dumps({"a": "漢"}) == '{"a":"漢"}'
    assert plain.dumps(["\ud800"]) == '["\\ud800"]'


def test_a_token_is_read_with_spaces_and_percent_signs_in_it() -> None:
    """As the service cleans it; decimals of `exp` are rounded."""
    settings = SupabaseSettings()
    authority = tokens.Authority(lambda: settings, lambda: 1_000.0)
    token = authority.token("u", exp=2_000.6)
    head, body, signature = token.split(".")
    assert authority.claims(f" {head}%2E{body}.\n{signature}")["exp"] == 2_001
    for broken in ("a.b", "!!!.!!!.!!!", f"W10.{body}.{signature}", "é.é.é"):
        with pytest.raises(tokens.TokenError):
            authority.claims(broken)
    assert authority.anon_key == authority.anon_key
    assert authority.claims(authority.service_key)["role"] == "service_role"


def test_names_that_no_binary_frame_can_carry_are_not_sent() -> None:
    """255 bytes of a topic or event are the most."""
    version = wire.VERSIONS["2.0.0"]
    assert version.broadcast("t" * 256, wire.UserBroadcast(event="e", payload=b"{}")) is None
    assert version.broadcast("t" * 255, wire.UserBroadcast(event="e", payload=b"{}")) is not None
