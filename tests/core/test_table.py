"""What the three tables share, and the page that is drawn from them."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from chatkit.core import attachment, connection, delivery
from chatkit.core.table import Illegal, Step, Table, idle, step, word
from docs.generate import diagram, moves, sentences, written

SVG: Final = "{http://www.w3.org/2000/svg}"


class Lamp(Enum):
    OFF = "off"
    GLOWING_RED = "glowing_red"


class Push(Enum):
    SWITCH = "switch"
    SHAKE = "shake"
    WARM_UP = "warm_up"


class Do(Enum):
    LIGHT_UP = "light_up"
    HUM = "hum"


LAMP: Table[Lamp, Push, Do] = {
    (Lamp.OFF, Push.SWITCH): Step(Lamp.GLOWING_RED, (Do.LIGHT_UP, Do.HUM)),
    (Lamp.OFF, Push.SHAKE): Step(Lamp.OFF),
    (Lamp.GLOWING_RED, Push.SWITCH): Step(Lamp.OFF),
    (Lamp.GLOWING_RED, Push.SHAKE): Step(Lamp.GLOWING_RED, (Do.HUM,)),
}


def test_an_input_leads_somewhere_and_asks_for_something() -> None:
    """Both stand in one row."""
    assert step(LAMP, Lamp.OFF, Push.SWITCH) == (Lamp.GLOWING_RED, (Do.LIGHT_UP, Do.HUM))


def test_what_is_not_tabled_is_refused() -> None:
    """The error names input and state, and is no `KeyError` that a caller might take for its own."""
    with pytest.raises(Illegal, match=r"Push\.WARM_UP in Lamp\.OFF") as caught:
        step(LAMP, Lamp.OFF, Push.WARM_UP)
    assert caught.value.__suppress_context__


def test_a_diagram_shows_what_moves_or_asks() -> None:
    """A row that does neither would only crowd it."""
    assert moves(LAMP) == {
        "off": [("off", "switch", "glowing_red", "light up, hum")],
        "glowing_red": [("glowing_red", "switch", "off", ""), ("glowing_red", "shake", "glowing_red", "hum")],
    }


def test_a_diagram_is_a_picture_of_every_state_and_move() -> None:
    """It is well-formed; each arrow begins and ends at the column of its state."""
    picture = ET.fromstring(diagram(LAMP, "A lamp & its switch"))

    texts = ["".join(found.itertext()) for found in picture.iter(f"{SVG}text")]
    off, red = (int(line.attrib["x1"]) for line in picture.iter(f"{SVG}line"))
    arrows = [path.attrib["d"] for path in picture.iter(f"{SVG}path") if path.get("class") == "arrow"]
    assert picture.findtext(f"{SVG}title") == "A lamp & its switch"
    assert texts == ["off", "glowing", "red", "switch", "light up, hum", "switch", "shake", "hum"]
    assert [re.findall(r"M(\d+) \d+(?:H(\d+))?", arrow) for arrow in arrows] == [
        [(str(off), str(red - 3))],
        [(str(red), str(off + 3))],
        [(str(red), "")],
    ]


def test_what_changes_nothing_is_listed() -> None:
    """Per state: the rest of its rows."""
    assert idle(LAMP, Lamp.OFF) == [Push.SHAKE]
    assert idle(LAMP, Lamp.GLOWING_RED) == []


def test_a_member_reads_as_words() -> None:
    """As its text says."""
    assert word(Lamp.GLOWING_RED) == "glowing red"


@pytest.mark.parametrize("module", [connection, attachment, delivery], ids=lambda module: module.__name__)
def test_each_state_and_effect_has_its_sentence(module: ModuleType) -> None:
    """And each of its three enumerations names a thing once."""
    for members in (module.State, module.Effect):
        assert set(sentences(members)) == {member.name for member in members}
    for members in (module.State, module.Effect, module.Input):
        assert len({word(member) for member in members}) == len(members.__members__)


@pytest.mark.parametrize("path", written(), ids=lambda path: path.name)
def test_what_is_drawn_from_the_code_is_current(path: Path) -> None:
    """`python docs/generate.py` writes it."""
    assert path.read_text(encoding="utf-8") == written()[path]
