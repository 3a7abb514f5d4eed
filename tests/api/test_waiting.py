"""Who waits in vain, for a delivery, a channel or the connection, is told what holds it up, and what to do."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

import chatkit

if TYPE_CHECKING:
    from tests.api.kit import Stage

BODY = "nobody's business"


async def vain(delivery: chatkit.Delivery, *, timeout: float = 5.0) -> chatkit.WaitTimeout:
    """Return the error of a wait; it names channel and message, and never what the message says."""
    with pytest.raises(chatkit.WaitTimeout) as caught:
        await delivery.wait(timeout=timeout)
    error = caught.value
    assert (error.channel, error.message_id) == (delivery.channel, delivery.message_id)
    assert str(error).startswith(f"it was not sent within {timeout:g} s: ")
    assert BODY not in f"{error} {error.hint}"
    return error


async def test_a_pause_is_named_with_its_error(stage: Stage) -> None:
    """D12: nothing fails while the credential is refused; the refusal is the cause, and its hint the hint."""
    async with stage.chat("ada", drain=0) as ada:
        refusal = chatkit.AuthenticationError("the secret is another app's", hint="Compare the secret.")
        stage.hub.network.refuse("ada", refusal, calls={"publish"})

        error = await vain(await ada.channel("support").send(BODY))

        assert "sending is paused: AuthenticationError: the secret is another app's (" in str(error)
        assert error.hint == "Compare the secret."
        assert isinstance(error.__cause__, chatkit.AuthenticationError)


async def test_a_lost_connection_is_named_with_its_reason(stage: Stage) -> None:
    """I11: the state, and what ended the last attempt to connect."""
    async with stage.chat("ada", drain=0) as ada:
        stage.hub.network.cut("ada")

        error = await vain(await ada.channel("support").send(BODY))

        assert f"the connection is {ada.connection.state}: TransportError: " in str(error)
        assert isinstance(error.__cause__, chatkit.ChatkitError)
        assert error.hint == error.__cause__.hint


async def test_a_connection_that_is_not_made_yet_is_named(stage: Stage) -> None:
    """Nobody refused it: there is no reason yet."""
    stage.hub.network.cut("ada", half_open=True)
    async with stage.chat("ada", drain=0) as ada:
        error = await vain(await ada.channel("support").send(BODY), timeout=1)

        assert "the connection is connecting (" in str(error)
        assert error.__cause__ is None
        assert "chat.health()" in error.hint


async def test_an_earlier_message_in_doubt_is_named(stage: Stage) -> None:
    """D8, D10: it goes out again before what was sent behind it."""
    async with stage.chat("ada", drain=0) as ada:
        await ada.connection.wait(timeout=10)
        stage.hub.network.lose_ack("ada", 1_000)
        first = await ada.channel("support").send("first")
        await asyncio.sleep(1)
        second = await ada.channel("support").send(BODY)

        error = await vain(second, timeout=20)

        assert f"message {first.message_id}, which goes first, is in doubt after " in str(error)
        assert " attempts: TransportError: " in str(error)
        assert " attempts: TransportError: " in str(await vain(first, timeout=1))
        elsewhere = await ada.channel("sales").send(BODY)
        assert "it is in doubt after " in str(await vain(elsewhere, timeout=20))


async def test_what_has_to_be_sent_again_shows_in_health(stage: Stage) -> None:
    """As behind a connection that stands while the log does not answer; until it is sent."""
    async with stage.chat("ada", drain=0) as ada:
        await ada.connection.wait(timeout=10)
        stage.hub.network.lose_ack("ada", 3)
        first = await ada.channel("support").send(BODY)
        assert (ada.health().status, ada.health().checks["outbox"]["retrying"]) == ("ok", 0)

        _ = await vain(first, timeout=20)
        health = ada.health()
        assert (health.status, health.checks["outbox"]["retrying"]) == ("degraded", 1)
        assert health.checks["connection"]["state"] == "connected"

        _ = await first.wait(timeout=600)
        assert (ada.health().status, ada.health().checks["outbox"]["retrying"]) == ("ok", 0)


async def test_an_attempt_without_an_answer_yet_is_named(stage: Stage) -> None:
    """Written is not sent (D11)."""
    async with stage.chat("ada", drain=0) as ada:
        await ada.connection.wait(timeout=10)
        stage.hub.network.cut("ada", half_open=True)

        first = await ada.channel("support").send(BODY)
        assert "it was written and has no answer yet" in str(await vain(first, timeout=1))

        second = await ada.channel("support").send(BODY)
        error = await vain(second, timeout=1)
        assert f"message {first.message_id}, which goes first, was written and has no answer yet" in str(
            error
        )


async def test_a_refusal_that_may_pass_is_named(stage: Stage) -> None:
    """D12: the entry is tried again; those behind it wait."""
    async with stage.chat("ada", drain=0) as ada:
        slow = chatkit.RateLimited("slow mode", retry_after=60, hint="Wait a minute.")
        stage.hub.network.refuse("ada", slow, calls={"publish"}, scope="lane")
        first = await ada.channel("support").send(BODY)

        error = await vain(first)
        assert "it was not taken: RateLimited: slow mode (" in str(error)
        assert error.hint == "Wait a minute."

        error = await vain(await ada.channel("support").send(BODY))
        assert (
            f"message {first.message_id}, which goes first, was not taken: RateLimited: slow mode ("
            in str(error)
        )


async def test_a_message_that_is_not_due_is_named(stage: Stage) -> None:
    """D13: and what refers to it; others pass it."""
    async with stage.chat("ada", drain=0) as ada:
        due = stage.clock.wall() + timedelta(hours=1)
        scheduled = await ada.channel("support").send(BODY, send_at=due)
        words = f"is due at {due:%Y-%m-%dT%H:%M}"
        assert f"it {words}" in str(await vain(scheduled))

        edit = await ada.channel("support").edit(scheduled.message, "other words")
        assert edit is not scheduled
        error = await vain(edit)
        assert f"message {scheduled.message_id}, which it depends on, {words}" in str(error)

        await (await ada.channel("support").send("passes it")).wait(timeout=5)


async def test_where_no_order_is_kept_nobody_goes_first(stage: Stage) -> None:
    """D8: with `order="pipelined"` each message stands for itself."""
    async with stage.chat("ada", drain=0, order="pipelined") as ada:
        slow = chatkit.RateLimited("slow mode", retry_after=60)
        stage.hub.network.refuse("ada", slow, calls={"publish"}, scope="lane")
        assert "it was not taken: " in str(await vain(await ada.channel("support").send(BODY)))

        assert "it waits for its turn (" in str(await vain(await ada.channel("support").send(BODY)))


async def test_the_pace_of_the_provider_is_named(stage: Stage) -> None:
    """A message whose turn has not come was never tried."""
    async with stage.chat("ada", drain=0, config={"like": "ably"}) as ada:
        await ada.connection.wait(timeout=10)
        sent = [await ada.channel(f"room-{number}").send(BODY) for number in range(200)]

        error = await vain(sent[-1], timeout=1)

        assert "it waits for its turn (" in str(error)
        assert error.__cause__ is None


# -- channels, and the connection


async def test_a_channel_that_waits_for_the_connection_says_so(stage: Stage) -> None:
    """And the connection why it is not there."""
    stage.hub.network.cut("ada")
    async with stage.chat("ada", drain=0) as ada:
        with pytest.raises(chatkit.WaitTimeout) as channel:
            await ada.channel("support").attach(timeout=5)
        with pytest.raises(chatkit.WaitTimeout) as connection:
            await ada.connection.wait(timeout=1)

        for error, words in (
            (channel.value, "it was not attached within 5 s: the connection is "),
            (connection.value, "the connection was not connected within 1 s: it is "),
        ):
            assert str(error).startswith(f"{words}{ada.connection.state}: TransportError: ")
            assert isinstance(error.__cause__, chatkit.ChatkitError)
            assert error.hint == error.__cause__.hint
        assert channel.value.channel == "support"


async def test_a_channel_whose_attach_is_refused_for_now_says_so(stage: Stage) -> None:
    """It is tried again by itself; the last refusal is the cause."""
    async with stage.chat("ada", drain=0) as ada:
        full = chatkit.RateLimited("the channel is full", retry_after=60, hint="Wait until somebody leaves.")
        stage.hub.network.refuse("ada", full, calls={"attach"})

        with pytest.raises(chatkit.WaitTimeout, match="the last attempt met RateLimited: the ch") as caught:
            await ada.channel("support").attach(timeout=5)

        assert caught.value.hint == "Wait until somebody leaves."


async def test_a_channel_without_an_answer_says_so(stage: Stage) -> None:
    """The connection looks alive still."""
    async with stage.chat("ada", drain=0) as ada:
        await ada.connection.wait(timeout=10)
        stage.hub.network.cut("ada", half_open=True)

        with pytest.raises(chatkit.WaitTimeout, match="the provider has not answered yet"):
            await ada.channel("support").attach(timeout=1)


# -- who is there, and changes of a channel


async def test_who_waits_for_who_is_there_is_told_why_it_is_not_known(stage: Stage) -> None:
    """D32: the connection is not there."""
    stage.hub.network.cut("ada")
    async with stage.chat("ada", drain=0) as ada:
        with pytest.raises(chatkit.WaitTimeout) as caught:
            await ada.channel("support").presence.wait_synced(timeout=5)

        words = f"who is present was not known within 5 s: the connection is {ada.connection.state}: TransportError: "
        assert str(caught.value).startswith(words)
        assert isinstance(caught.value.__cause__, chatkit.ChatkitError)


async def test_a_change_that_the_log_does_not_take_says_why(stage: Stage) -> None:
    """D25: it stays queued, and is tried again."""
    async with stage.chat("ada", drain=0) as ada:
        await ada.connection.wait(timeout=10)
        busy = chatkit.RateLimited("the log is busy", retry_after=60, hint="Wait a minute.")
        await (await ada.channel("support").grant("ada", "owner")).wait(timeout=5)
        stage.hub.network.refuse("ada", busy, calls={"write"})
        change = await ada.channel("support").grant("bob", "moderator")

        with pytest.raises(chatkit.WaitTimeout) as caught:
            await change.wait(timeout=5)

        assert (
            "the log did not have it within 5 s: the last attempt met RateLimited: the log is busy ("
            in str(caught.value)
        )
        assert (caught.value.hint, change.status) == ("Wait a minute.", "queued")
