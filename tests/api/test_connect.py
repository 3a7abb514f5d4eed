"""`connect`: what cannot work is said at once, with no secret in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.adapters.memory import forget_hub
from chatkit.connecting import Secrets

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.kit import Stage

SECRET = "hunter2-very-secret"


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (None, {}, "CHATKIT_URL"),
        ("nonsense", {}, "cannot be read"),
        ("nowhere://x", {}, "no adapter for nowhere://"),
        ("supabase://key@project?mode=queue", {"store": ":memory:"}, "mode is database or broadcast"),
        (object(), {}, "neither a URL nor a config nor an adapter"),
        ("memory://x?like=irc", {}, "like"),
        ("memory://x?colour=red", {}, "colour"),
        ("memory://x", {"drain": -1}, "drain"),
        ("memory://x", {"staleness": 0}, "staleness"),
        ("memory://x", {"durability": "hope"}, "durability"),
        ("memory://x", {"order": "any"}, "order"),
        ("memory://x", {"require": ["flying"]}, "flying"),
        ("memory://x", {"require": "durable"}, "list of features"),
        ("memory://x", {"log": "mysql://localhost/app"}, "log"),
        ("memory://x", {"store": 5}, "store"),
        ("memory://x", {"store": ""}, "store"),
        ("memory://x", {"limits": 5}, "limits"),
        ("memory://x", {"auth": SECRET}, "token provider"),
        ("memory://x", {"on_error": 5}, "on_error"),
    ],
)
def test_a_bad_set_up_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, source: Any, options: dict[str, Any], words: str
) -> None:
    """`ConfigError` names what is wrong and says what to do, before any I/O."""
    monkeypatch.delenv("CHATKIT_URL", raising=False)
    with pytest.raises(chatkit.ConfigError, match=words) as caught:
        _ = chatkit.connect(source, user="ada", **options)
    assert caught.value.hint
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_no_secret_shows_in_an_error_or_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL with a secret is never quoted (I16)."""
    monkeypatch.setenv("CHATKIT_SECRET", SECRET)
    for url in (f"nowhere://KEY:{SECRET}@eu/1", f"memory://KEY:{SECRET}@x", f"bad url {SECRET}"):
        with pytest.raises(chatkit.ConfigError) as caught:
            _ = chatkit.connect(url, user="ada")
        assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert SECRET not in repr(Secrets("ada", SECRET, None))


@pytest.mark.parametrize("user", ["", "*", "a" * 129, "a\nb", "\ud800"])
def test_a_bad_user_id_is_refused(user: str) -> None:
    """A user id is 1 to 128 bytes of UTF-8 and not the sign for everyone."""
    with pytest.raises(chatkit.InvalidMessage):
        _ = chatkit.connect("memory://x", user=user)


def test_a_networked_provider_needs_a_store_said_aloud(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody loses a queue by forgetting an argument; the environment may say it too."""
    adapter = stage.chat("ada")._setup.context.adapter
    with pytest.raises(chatkit.ConfigError, match="store="):
        _ = chatkit.connect(adapter, user="ada")
    monkeypatch.setenv("CHATKIT_STORE", str(tmp_path / "ada.db"))
    assert chatkit.connect(adapter, user="ada").capabilities.support("durable") == "emulated"


def test_the_environment_names_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a source, `CHATKIT_URL` is read."""
    monkeypatch.setenv("CHATKIT_URL", "memory://from-the-environment")
    assert "from-the-environment" in repr(chatkit.connect(user="ada"))
    forget_hub("from-the-environment")


def test_a_config_object_does_as_well_as_a_url() -> None:
    """`MemoryConfig` in place of `memory://`."""
    chat = chatkit.connect(chatkit.MemoryConfig(name="by-object", like="pusher"), user="ada")
    assert chat.capabilities.order == "clock"
    forget_hub("by-object")


def test_a_scheme_may_come_from_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package registers a scheme; one whose import fails names the extra."""

    class Point:
        name = "carrier"

        def __init__(self, error: ImportError | None = None) -> None:
            self.error = error

        def load(self) -> object:
            if self.error:
                raise self.error
            from chatkit.adapters.memory import factory

            return factory

    points = [Point()]
    monkeypatch.setattr(
        "chatkit.connecting.entry_points", lambda group: points if group == "chatkit.adapters" else []
    )
    with pytest.raises(
        chatkit.ConfigError, match="memory"
    ):  # the factory was asked, and refuses the credential
        _ = chatkit.connect("carrier://KEY@pigeon", user="ada", store=":memory:")
    points[0] = Point(ModuleNotFoundError("no", name="pigeons"))
    with pytest.raises(chatkit.ConfigError, match="pigeons") as caught:
        _ = chatkit.connect("carrier://KEY@pigeon", user="ada", store=":memory:")
    assert "chatkit-realtime[carrier]" in caught.value.hint


async def test_what_the_app_requires_is_checked_on_entry(stage: Stage) -> None:
    """`require=` refuses a set-up that cannot keep the promise, naming what is missing."""
    chat = stage.chat("ada", require=["durable", "history"])
    with pytest.raises(chatkit.CapabilityError, match="durable"):
        _ = await chat
    assert chat.report is None


async def test_pipelining_gives_up_order_and_says_so(stage: Stage) -> None:
    """D8: `order="pipelined"` is opt-in, and `support("order")` is then none."""
    assert stage.chat("ada").capabilities.support("order") != "none"
    assert stage.chat("ada", order="pipelined").capabilities.support("order") == "none"


async def test_credentials_come_from_the_token_provider_and_are_kept() -> None:
    """A token is asked for once and again on demand; a channel's answer is never kept."""
    asked: list[chatkit.AuthRequest] = []

    async def auth(request: chatkit.AuthRequest) -> Any:
        asked.append(request)
        return f"token-{len(asked)}" if request.channel is None else {"auth": "KEY:sig"}

    secrets = Secrets("ada", None, auth)
    first, again = await secrets.get(), await secrets.get()
    fresh = await secrets.get(refresh=True)
    answer = await secrets.get(channel="support", params={"socket_id": "1.2"})

    assert first is again
    assert isinstance(fresh, chatkit.Token)
    assert fresh.value == "token-2"
    assert answer == {"auth": "KEY:sig"}
    assert [request.channel for request in asked] == [None, None, "support"]
    with pytest.raises(chatkit.ConfigError):
        await Secrets("ada", None, None).get()
