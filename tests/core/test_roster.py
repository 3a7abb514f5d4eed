"""Who is present: devices merged, bounded, remembered for a while (D32, I10)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chatkit.core.roster import CLIENTS, DEVICES, GONE, MOST, Roster
from chatkit.core.said import Said
from chatkit.model.views import Member

T = datetime(2026, 1, 1, tzinfo=UTC)


def member(roster: Roster, user: str = "ada") -> Member:
    """Return somebody who is known."""
    found = roster.member(user)
    assert found is not None
    assert roster.members[user] is found
    return found


def test_devices_of_a_user_are_one_member() -> None:
    """Online before away; of equal keys the newest counts."""
    roster = Roster()
    roster.put("ada", "1", Said("away", {"a": 1, "b": 1}), T)
    roster.put("ada", "2", Said("online", {"b": 2}), T)
    found = member(roster)
    assert (found.status, found.data, found.devices) == ("online", {"a": 1, "b": 2}, 2)
    roster.put("ada", "1", Said("away", {"b": 3}), T)
    assert member(roster).data == {"b": 3}
    roster.drop("ada", "2", T)
    roster.drop("ada", "2", T)
    found = member(roster)
    assert (found.status, found.devices, roster.present) == ("away", 1, 1)


def test_who_left_is_offline_and_was_seen_until_then() -> None:
    """Nobody else is known."""
    roster = Roster()
    roster.put("ada", "1", Said(), T)
    roster.drop("ada", "1", T + timedelta(1))
    assert (member(roster).status, member(roster).last_seen) == ("offline", T + timedelta(1))
    assert roster.member("bob") is None


def test_last_seen_never_goes_back() -> None:
    """Nor forward for those who are not there while nothing is heard."""
    roster = Roster()
    roster.replace([("ada", "1", Said()), ("bob", "1", Said())], T)
    roster.drop("bob", "1", T)
    roster.pause(T + timedelta(1))
    roster.put("ada", "1", Said("away"), T)
    roster.note("cleo", T + timedelta(2))
    seen = {user: one.last_seen for user, one in roster.members.items()}
    assert seen == {"ada": T + timedelta(1), "bob": T, "cleo": T + timedelta(2)}
    assert member(roster, "cleo").status == "offline"


def test_words_count_for_those_who_are_there() -> None:
    """And end with them; one who says offline is not there, whatever the provider says."""
    roster = Roster()
    roster.hear("ada", "d", Said("away"), T)
    assert roster.users == ()
    roster.put("ada", "ada", Said(), T)
    roster.hear("ada", "d", Said("offline"), T)
    assert member(roster).status == "offline"
    for number in range(DEVICES + 2):
        roster.hear("ada", f"d{number}", Said("away"), T)
    assert (member(roster).status, member(roster).devices) == ("away", DEVICES)
    roster.replace([("bob", "bob", Said())], T)
    roster.replace([("ada", "ada", Said())], T)
    assert member(roster).status == "online"
    roster.clear()
    assert (roster.users, roster.present, roster.members) == ((), 0, {})


def test_it_is_bounded() -> None:
    """Clients beyond the most are left out, as are names that are none; who left first is forgotten first."""
    roster = Roster()
    roster.replace([(f"u{n}", "1", Said()) for n in range(MOST + 2)] + [("", "1", Said())], T)
    assert (roster.present, roster.left_out) == (MOST, 3)
    roster.put("u0", "1", Said("away"), T)
    assert (member(roster, "u0").status, roster.left_out) == ("away", 3)
    roster.replace([], T)
    assert len(roster.users) == GONE
    assert roster.users[-1] == "u0"


def test_one_user_has_so_many_clients_and_no_more() -> None:
    """Else each change of one of them would take as long as there are others."""
    roster = Roster()
    roster.replace([("ada", str(n), Said()) for n in range(CLIENTS + 1)], T)
    assert (member(roster).devices, roster.left_out) == (CLIENTS, 1)
