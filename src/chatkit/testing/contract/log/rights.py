"""The contract of logs: who may change what (D2, D9)."""

from __future__ import annotations

import pytest

from chatkit.errors import MessageNotFound, NotAllowed, VersionConflict
from chatkit.testing.contract.base import needing
from chatkit.testing.contract.log.kit import SUPPORT, LogKit, append, kind, outcomes, refusal, role
from chatkit.testing.contract.log.part import LogPart
from chatkit.testing.wishes import change, wish


class RightsContract(LogPart):
    """Edits are their author's, deletes and restores a moderator's too, reactions one's own."""

    needs = frozenset({"append", "fence", "fold"})

    async def test_its_author_edits_a_message(self, kit: LogKit) -> None:
        """Within one batch too: each row sees those before it (D2)."""
        async with kit.opened() as log:
            created = wish(1)

            assert await outcomes(log, created, change(2, "message.update", created)) == ["new", "new"]

    @needing("registers")
    @pytest.mark.parametrize(
        ("kind", "user", "allowed"),
        [
            ("message.update", "bob", False),
            ("message.update", "mona", False),
            ("message.delete", "ada", True),
            ("message.delete", "bob", False),
            ("message.delete", "mona", True),
            ("message.restore", "ada", True),
            ("message.restore", "bob", False),
            ("message.restore", "mona", True),
            ("reaction.add", "bob", True),
            ("reaction.remove", "bob", True),
        ],
    )
    async def test_rights(self, kit: LogKit, kind: str, user: str, *, allowed: bool) -> None:
        """Edit = author; delete and restore = author or moderator; reactions = anyone's own (D2)."""
        async with kit.opened() as log:
            created = wish(1)
            await log.put([role("mona")])
            await append(log, created)

            (ack,) = await append(log, change(2, kind, created, user=user))

            assert ack.outcome == ("new" if allowed else "refused")
            assert isinstance(ack.error, NotAllowed) is not allowed

    @needing("registers")
    @pytest.mark.parametrize(
        ("value", "allowed"),
        [("owner", True), ("moderator", True), ("member", False), ("", False), ("Owner", False)],
    )
    async def test_a_role_says_who_moderates(self, kit: LogKit, value: str, *, allowed: bool) -> None:
        """Owners and moderators, and nobody of another role (D2)."""
        async with kit.opened() as log:
            created = wish(1)
            await log.put([role("mona", value)])
            await append(log, created)

            (ack,) = await append(log, change(2, "message.delete", created, user="mona"))

            assert ack.outcome == ("new" if allowed else "refused")

    @needing("registers")
    async def test_who_was_a_moderator_is_none_any_more(self, kit: LogKit) -> None:
        """The role that counts is the one at the append (D2)."""
        async with kit.opened() as log:
            created = wish(1)
            await append(log, created)
            await log.put([role("mona")])
            assert await outcomes(log, change(2, "message.delete", created, user="mona")) == ["new"]
            await log.put([role("mona", "member")])

            error = await refusal(log, change(3, "message.restore", created, user="mona"))

            assert isinstance(error, NotAllowed)

    @pytest.mark.parametrize(
        ("channel", "kind", "allowed"),
        [
            ("dm.ada.bob", "message.create", True),
            ("dm.ada.ada", "message.create", True),
            ("dm.a_64a.ad", "message.create", False),
            ("dm.bob.eve", "message.create", False),
            ("dm.bob.eve", "direct.open", False),
            (f"dm.{'0' * 64}", "message.create", True),
            ("u.bob", "direct.open", True),
            ("u.bob", "message.create", False),
            ("u.bob", "something.else", False),
        ],
    )
    async def test_direct_and_personal_channels(
        self, kit: LogKit, channel: str, kind: str, *, allowed: bool
    ) -> None:
        """Two write in the one, as far as its name tells, and everybody invites in the other (D31)."""
        async with kit.opened() as log:
            (ack,) = await append(log, wish(1, channel=channel, kind=kind), channel=channel)

            assert ack.outcome == ("new" if allowed else "refused")
            assert isinstance(ack.error, NotAllowed) is not allowed

    @needing("registers")
    async def test_a_moderator_of_one_channel_is_none_elsewhere(self, kit: LogKit) -> None:
        """Rights are asked for by channel (D2)."""
        async with kit.opened() as log:
            created = wish(1, channel="sales")
            await log.put([role("mona")])
            await append(log, created, channel="sales")

            entry = change(2, "message.delete", created, user="mona", channel="sales")

            assert isinstance(await refusal(log, entry, "sales"), NotAllowed)

    @needing("registers")
    async def test_without_a_role_nobody_moderates(self, kit: LogKit) -> None:
        """Moderators are the app's to name; another's role, or a register of another name, is none."""
        async with kit.opened() as log:
            created = wish(1)
            await log.put([role("bob"), role("mona")._replace(name="pin")])
            await append(log, created)

            assert isinstance(
                await refusal(log, change(2, "message.delete", created, user="mona")), NotAllowed
            )

    async def test_a_change_needs_its_target(self, kit: LogKit) -> None:
        """An unknown target is named as such (D9)."""
        async with kit.opened() as log:
            error = await refusal(log, change(2, "reaction.add", wish(1)))

            assert isinstance(error, MessageNotFound)
            assert error.message_id == wish(2).ident.id

    async def test_a_target_is_named_with_its_user(self, kit: LogKit) -> None:
        """The same id of another user is another target (D1)."""
        async with kit.opened() as log:
            await append(log, wish(1, user="bob"))

            assert isinstance(await refusal(log, change(2, "message.delete", wish(1))), MessageNotFound)

    async def test_a_target_is_a_message(self, kit: LogKit) -> None:
        """A reaction or an edit cannot be changed: it is none (D9)."""
        async with kit.opened() as log:
            created = wish(1)
            reaction = change(2, "reaction.add", created)
            await append(log, created, reaction)

            assert isinstance(await refusal(log, change(3, "message.delete", reaction)), MessageNotFound)

    async def test_a_target_lies_in_the_same_channel(self, kit: LogKit) -> None:
        """A message of another channel is not there (D1)."""
        async with kit.opened() as log:
            created = wish(1, channel="sales")
            await append(log, created, channel="sales")

            assert isinstance(await refusal(log, change(2, "reaction.add", created)), MessageNotFound)

    async def test_a_stale_edit_is_a_conflict(self, kit: LogKit) -> None:
        """`base` is the version edited from; another one has won by then (D9)."""
        async with kit.opened() as log:
            created = wish(1)
            await append(log, created, change(2, "message.update", created, base=1))

            error = await refusal(log, change(3, "message.update", created, base=1))

            assert isinstance(error, VersionConflict)
            assert await outcomes(log, change(4, "message.update", created, base=2)) == ["new"]

    async def test_versions_count_deletes_and_restores_and_no_reactions(self, kit: LogKit) -> None:
        """What `base` is compared with is what a page tells (D9)."""
        async with kit.opened() as log:
            created = wish(1)
            await append(
                log,
                created,
                change(2, "message.update", created),
                change(3, "reaction.add", created),
                change(4, "message.delete", created),
                change(5, "message.restore", created),
            )

            (found,) = (await log.messages(SUPPORT, limit=10)).items

            assert found.version == 4
            assert await outcomes(log, change(6, "message.update", created, base=4)) == ["new"]

    async def test_an_unknown_kind_has_no_rights_to_be_checked(self, kit: LogKit) -> None:
        """What a newer writer sends is stored and ignored, never dropped (wire envelope)."""
        async with kit.opened() as log:
            assert await outcomes(
                log, wish(1, kind="poll.open"), change(2, "poll.vote", wish(9), user="bob")
            ) == ["new", "new"]
            assert (await log.messages(SUPPORT, limit=10)).items == ()
            assert len((await log.entries(SUPPORT, after=None, limit=10)).items) == 2

    async def test_a_change_for_newer_readers_is_kept_unread(self, kit: LogKit) -> None:
        """Whoever may interpret it will: this version neither checks nor folds it (wire envelope)."""
        async with kit.opened() as log:
            created = wish(1)
            newer = change(2, "message.update", created, user="bob", v=2, min=2)

            assert await outcomes(log, created, newer) == ["new", "new"]
            assert [item.version for item in (await log.messages(SUPPORT, limit=10)).items] == [1]

    @needing("registers")
    async def test_owners_alone_publish_in_a_broadcast_channel(self, kit: LogKit) -> None:
        """A register of everyone says what kind of channel it is (D2); the others react all the same."""
        async with kit.opened() as log:
            await log.put([kind(), role("ada", "owner"), role("mona"), role("eve", "member")])

            assert await outcomes(log, wish(1)) == ["new"]
            for number, user in enumerate(("mona", "eve", "bob"), 2):
                error = await refusal(log, wish(number, user=user))
                assert isinstance(error, NotAllowed)
                assert error.message_id == wish(number).ident.id
                assert isinstance(await refusal(log, wish(number, user=user)), NotAllowed)
            assert await outcomes(
                log,
                change(9, "reaction.add", wish(1), user="bob"),
                change(10, "message.delete", wish(1), user="mona"),
            ) == ["new", "new"]

    @needing("registers")
    async def test_what_was_published_before_it_was_a_broadcast_stays(self, kit: LogKit) -> None:
        """Its author edits it still; who becomes an owner publishes, who was one does no more (D2)."""
        async with kit.opened() as log:
            early = wish(1, user="bob")
            await append(log, early)
            await log.put([kind(), role("ada", "owner")])
            assert await outcomes(log, early, change(2, "message.update", early, user="bob")) == [
                "duplicate",
                "new",
            ]
            await log.put([role("bob", "owner"), role("ada", "")])
            assert await outcomes(log, wish(3, user="bob")) == ["new"]
            assert isinstance(await refusal(log, wish(4)), NotAllowed)
            await log.put([kind("")])
            assert await outcomes(log, wish(5)) == ["new"]

    @needing("registers")
    async def test_the_kind_of_a_channel_is_said_of_everyone(self, kit: LogKit) -> None:
        """A register of a user, or of another channel, makes none a broadcast (D25)."""
        async with kit.opened() as log:
            await log.put([kind()._replace(user="ada"), kind()._replace(channel="sales"), kind("group")])

            assert await outcomes(log, wish(1, user="bob")) == ["new"]
