"""Hostile bytes: what reads them, and a client that lives among them (`chatkit.testing.fuzz`)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from chatkit.engine.presence_set import PresenceSet
from chatkit.errors import InvalidMessage
from chatkit.model import ijson
from chatkit.model.envelope import Envelope
from chatkit.testing.fuzz import ENVELOPES, SECRET, Input, Target, besiege, fuzz, inputs, of_number
from chatkit.testing.fuzz.__main__ import main
from chatkit.testing.fuzz.check import check
from chatkit.testing.fuzz.files import FILES, file_targets
from chatkit.testing.fuzz.log_files import LOG_FILES, good_log, log_file_targets
from chatkit.testing.fuzz.run import READERS, shares
from chatkit.testing.fuzz.siege import LIKES
from chatkit.testing.fuzz.targets import PARSERS

if TYPE_CHECKING:
    from chatkit.adapters.memory.config import Like

FOLDER: Final = Path(__file__).parent
KEPT: Final[list[dict[str, Any]]] = json.loads((FOLDER / "data/fuzz/kept.json").read_text(encoding="utf-8"))[
    "cases"
]
VECTORS: Final[list[dict[str, Any]]] = [
    case
    for name in ("accept", "reject")
    for case in json.loads((FOLDER / f"vectors/{name}.json").read_text(encoding="ascii"))["cases"]
    if "text" in case
]


def data_of(case: dict[str, Any]) -> bytes:
    if "repeat" in case:
        repeat = case["repeat"]
        text = repeat["before"] + repeat["text"] * repeat["times"] + repeat["after"]
    else:
        text = case["text"]
    return str(text).encode("utf-8", "surrogatepass")


# -- readers


@pytest.mark.parametrize("target", READERS, ids=lambda target: target.name)
def test_no_reader_breaks(target: Target) -> None:
    """I16: an error of chatkit or an answer, no secret shown, time and memory in proportion."""
    tally = fuzz(target, seed=2, count=30)

    assert tally.breaches == []
    assert tally.inputs == 30


@pytest.mark.long
@pytest.mark.parametrize("target", READERS, ids=lambda target: target.name)
def test_no_reader_breaks_on_many(target: Target) -> None:
    """The same, of a thousand inputs."""
    assert fuzz(target, seed=3, count=240).breaches == []


def test_the_published_vectors_bring_no_reader_down_when_they_are_changed() -> None:
    """Whatever is made of them."""
    target = Target("vectors", tuple(case["text"].encode() for case in VECTORS), PARSERS[0].read)

    assert fuzz(target, seed=1, count=100).breaches == []


@pytest.mark.long
@pytest.mark.parametrize("case", KEPT, ids=lambda case: case["name"])
def test_what_once_broke_does_so_no_more(case: dict[str, Any]) -> None:
    """Kept in tests/data/fuzz."""
    targets = {
        target.name: target for target in (*READERS, *(file_targets() if case["target"] in FILES else ()))
    }

    outcome = check(targets[case["target"]], Input(0, "kept", data_of(case)), measured=False)

    assert outcome.breach is None


@pytest.mark.parametrize("index", range(len(FILES)), ids=FILES)
def test_no_store_file_brings_a_client_down(index: int) -> None:
    """It lives on it, or is told what is wrong with it; a file that is refused is left as it was."""
    assert fuzz(file_targets()[index], seed=2, count=8).breaches == []


@pytest.mark.long
@pytest.mark.parametrize("index", range(len(FILES)), ids=FILES)
def test_none_of_many_store_files_brings_a_client_down(index: int) -> None:
    """The same, of more of them."""
    assert fuzz(file_targets()[index], seed=3, count=24).breaches == []


@pytest.mark.parametrize("index", range(len(LOG_FILES)), ids=LOG_FILES)
def test_no_log_file_brings_a_log_or_a_client_down(index: int) -> None:
    """Every call answers or says what is wrong with the file, and shows no text of it; a client lives on."""
    tally = fuzz(log_file_targets()[index], seed=2, count=5)

    assert tally.breaches == []
    assert len(tally.outcomes) > 1


@pytest.mark.long
@pytest.mark.parametrize("index", range(len(LOG_FILES)), ids=LOG_FILES)
def test_none_of_many_log_files_brings_a_log_or_a_client_down(index: int) -> None:
    """The same, of more of them."""
    assert fuzz(log_file_targets()[index], seed=3, count=40).breaches == []


def test_a_log_that_shows_what_it_holds_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged row whose reader quotes it, say."""

    def quoting(row: Any, log_id: str) -> Any:
        raise InvalidMessage(f"envelope: {row!r}")

    sound = Input(0, "same", good_log())
    target = log_file_targets()[0]
    assert check(target, sound, measured=False).breach is None
    monkeypatch.setattr("chatkit.logs.sqlite.reading.entry_of", quoting)

    assert "a secret" in (check(target, sound, measured=False).breach or "")


# -- a whole client


def test_a_client_goes_on_among_strangers() -> None:
    """After each round of hostile frames, forged stamps, marks and presence a good message arrives, once."""
    tally = besiege("memory", seed=2, count=120)

    assert tally.breaches == []
    assert tally.outcomes["counted as foreign"] > 20


@pytest.mark.long
@pytest.mark.parametrize("like", LIKES)
def test_a_client_goes_on_among_many_strangers(like: Like) -> None:
    """The same, on each provider, at length."""
    assert besiege(like, seed=3, count=240).breaches == []


# -- the instrument itself


def test_the_same_seed_gives_the_same_inputs() -> None:
    """In another process, under another hash seed, on whichever Python; and each one by its number alone."""
    code = (
        "import hashlib; from chatkit.testing.fuzz import ENVELOPES, inputs;"
        "print(hashlib.sha256(b'|'.join(i.data for i in inputs(ENVELOPES, seed=7, count=300, largest=9999))).hexdigest())"
    )
    here = [one.data for one in inputs(ENVELOPES, seed=7, count=300, largest=9_999)]

    there = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "5", "PYTHONPATH": "src"},
    )

    assert there.stdout.strip() == hashlib.sha256(b"|".join(here)).hexdigest()
    assert of_number(ENVELOPES, seed=7, number=299, largest=9_999).data == here[299]
    assert [one.data for one in inputs(ENVELOPES, seed=8, count=300, largest=9_999)] != here


def test_inputs_reach_beyond_the_gate() -> None:
    """Of what is made of sound envelopes a good part is read, and the rest is refused for many reasons."""
    reasons: set[str] = set()
    read = 0
    for one in inputs(ENVELOPES, seed=1, count=400, largest=20_000):
        try:
            Envelope.parse(one.data)
            read += 1
        except InvalidMessage as error:
            reasons.add(str(error).partition(":")[0])

    assert read > 80
    assert len(reasons) > 20


def _raise(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    ("read", "breach"),
    [
        (lambda data: _raise(KeyError("x")), "raised KeyError"),
        (lambda data: _raise(InvalidMessage(f"it says {SECRET}")), "shows a secret"),
        (lambda data: sum(1 for _ in data[:4_000] for _ in range(4_000)), "took "),
        (lambda data: [bytearray(300) for _ in data], "bytes"),
    ],
    ids=["crash", "secret", "quadratic", "memory"],
)
def test_a_defect_is_found(read: Any, breach: str) -> None:
    """Each sort of it."""
    outcome = check(
        Target("broken", (b"",), read), Input(0, "same", b"x" * 12_000), measured=breach == "bytes"
    )

    assert outcome.breach is not None
    assert breach in outcome.breach


def test_the_defect_that_took_quadratic_time_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the expression as it was before, the same search turns red."""
    import re

    before = re.compile(rb'"(?:[^"\\]++|\\.)*+"|([\[{])|([\]}])', re.DOTALL).finditer
    monkeypatch.setattr(ijson, "_TOKENS", before)
    endless = Input(0, "endless", b'{"a":"' + b"[]" * 40 + b'\\"' * 6_000)

    assert (check(PARSERS[0], endless, measured=False).breach or "").startswith("took ")


@pytest.mark.long
def test_a_client_that_breaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of presence that takes all for dictionaries, say."""
    sound = PresenceSet._read

    def careless(self: PresenceSet, fields: Any) -> Any:
        return sound(self, fields) if isinstance(fields.get("data", {}), dict) else fields["data"].items()

    monkeypatch.setattr(PresenceSet, "_read", careless)

    assert besiege("memory", seed=2, count=400).breaches != []


def test_the_program_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table by target, the kinds of input, and the number of breaches; the exit code is 0 where there is none."""
    out = tmp_path / "fuzz.txt"

    code = main(["--inputs", "40", "--only", "cursor", "--out", str(out)])

    shown = capsys.readouterr().out
    assert code == 0
    assert "CursorInvalid" in shown
    assert "40 inputs, 0 breaches" in shown
    assert out.read_text(encoding="utf-8") == shown


def test_a_breach_is_named_so_that_it_can_be_run_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With target, number and kind; the exit code is 1."""
    monkeypatch.setattr("chatkit.testing.fuzz.targets.decode_cursor", lambda _: _raise(KeyError("x")))

    assert main(["--inputs", "3", "--only", "cursor", "--start", "7"]) == 1

    assert "BREACH cursor 7 (" in capsys.readouterr().out


def test_an_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names of those there are."""
    with pytest.raises(SystemExit):
        main(["--only", "everything"])

    assert "client on memory" in capsys.readouterr().err


def test_inputs_are_shared_out() -> None:
    """All of them, and to all targets."""
    given = shares(200_000)

    assert abs(sum(given.values()) - 200_000) < 20
    assert min(given.values()) >= 1_000
