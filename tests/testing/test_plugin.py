"""The pytest plugin: coroutine tests that ask for `chat_world` run on its time, whatever other plugins do."""

from __future__ import annotations

import pytest

STORY = """
    import asyncio
    import chatkit

    async def test_a_day_passes_at_once(chat_world):
        ada = await chat_world.connect("ada")
        await ada.channel("room").send("hello")
        await asyncio.sleep(86_400)
        assert chat_world.texts("room") == ["hello"]

    class TestInAClass:
        async def test_too(self, chat_world, tmp_path):
            await chat_world.connect("ada")

    async def test_a_failure_is_one(chat_world):
        assert (await chat_world.connect("ada")).user.id == "bob"
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the tests of a stranger's project in a process of their own."""
    pytester.makepyfile(STORY)
    return pytester.runpytest_subprocess("-p", "chatkit.testing.plugin", *arguments)


@pytest.mark.long
def test_coroutine_tests_run_on_the_time_of_their_world(pytester: pytest.Pytester) -> None:
    """Nothing else is installed or configured for it; a failure is shown as one."""
    result = run(pytester)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*assert 'ada' == 'bob'*"])


@pytest.mark.long
def test_coroutine_tests_without_a_world_are_left_to_others(pytester: pytest.Pytester) -> None:
    """The plugin takes what is its own alone: pytest says of the rest that nothing runs it."""
    pytester.makepyfile("async def test_plain(): ...")
    result = pytester.runpytest_subprocess("-p", "chatkit.testing.plugin")
    result.stdout.fnmatch_lines(["*async def functions are not natively supported*"])


async def test_the_seed_of_a_world_comes_from_the_name_of_its_test(chat_world: object) -> None:
    """Here too the fixture is at hand: this project's tests load the plugin as its users do."""
    from chatkit.testing import World

    assert isinstance(chat_world, World)
