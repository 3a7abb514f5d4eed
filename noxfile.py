"""The project's checks, each defined once; `.ci/run` runs the same sessions in an environment of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import nox

PYTHONS: Final = ("3.11", "3.12", "3.13")
PINS: Final = ("-c", "requirements/constraints.txt")

# What belongs to optional extras, or runs in Node: left out where those are not installed.
OF_EXTRAS: Final = (
    "--ignore=tests/adapters/ably",
    "--ignore=tests/adapters/pusher",
    "--ignore=tests/adapters/supabase",
    "--ignore=tests/cli",
    "--ignore=tests/crash/test_power.py",
    "--ignore=tests/emulators",
    "--ignore=tests/javascript",
    "--ignore=tests/official",
    "--ignore=tests/servers",
    "--ignore-glob=tests/logs/*postgres*",
    "--ignore-glob=tests/logs/*supabase*",
    "--ignore=tests/examples/test_ably_bot.py",
    "--ignore=tests/examples/test_pusher_bot.py",
    "--ignore=tests/examples/test_supabase_bot.py",
    "--ignore=tests/examples/test_switch_provider.py",
    "--ignore=tests/examples/test_terminal_ui.py",
)

WHOLE: Final = "src/chatkit/core/*,src/chatkit/model/*,src/chatkit/engine/*"

# Where the parts that are too long for every change leave what they found.
RESULTS: Final = Path("docs/results")

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "typing", "tests", "docs", "coverage"]
nox.options.error_on_missing_interpreters = False  # "where present"


def install(session: nox.Session, *what: str) -> None:
    """Install into the session's environment; with `--no-venv` everything is there already."""
    if session.venv_backend != "none":
        session.install("-q", *PINS, *what)


def present(*paths: str) -> list[str]:
    """Those of the paths that exist and hold Python."""
    return [path for path in paths if any(Path(path).rglob("*.py"))]


@nox.session
def lint(session: nox.Session) -> None:
    """Style and layers."""
    install(session, "-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-logo")


@nox.session
def typing(session: nox.Session) -> None:
    """Strict types: two checkers over what users see, one over the tests as well."""
    install(session, "-e", ".[dev]")
    mypy = ("mypy", *present("src", "tests", "examples"), "noxfile.py")
    pyright = ("pyright", *present("src", "tests/typing", "examples"))
    with ThreadPoolExecutor() as both:  # each keeps one core busy
        found = [both.submit(session.run, *checker, silent=True) for checker in (mypy, pyright)]
    for told in found:
        session.log(str(told.result()).strip())


@nox.session(python=PYTHONS)
@nox.parametrize("extras", [True, False], ids=["extras", "bare"])
def tests(session: nox.Session, *, extras: bool) -> None:
    """The tests, with all extras and with none."""
    if extras:
        install(session, "-e", ".[dev]")
        session.run("pytest", "-q", "-n", "2", *session.posargs)
    else:
        install(session, "-e", ".", "hatchling", "hypothesis", "packaging", "pytest", "pytest-xdist", "respx")
        session.run("pytest", "-q", "-n", "2", *OF_EXTRAS, *session.posargs)


@nox.session
def long(session: nox.Session) -> None:
    """The tests that take long: many processes, thousands of messages, a contract on a synced disk."""
    install(session, "-e", ".[dev]")
    run_long(session, *session.posargs)


def run_long(session: nox.Session, *given: str, silent: bool = False) -> object:
    """Run the tests marked `long`."""
    patient = ("-o", "faulthandler_timeout=300")  # ten seconds alone are minutes on a machine that others use
    # More at once than there are processors: half of their time they wait for sockets and for each other.
    return session.run("pytest", "-q", "-n", "4", "-m", "long", *patient, *given, silent=silent)


@nox.session
def simulation(session: nox.Session) -> None:
    """A thousand seeds of everything that goes wrong, and the checker's word; `-- --seeds N`."""
    install(session, "-e", ".[dev]")
    given = session.posargs or ("--seeds", "1000", "--jobs", "2")
    session.run("python", "-m", "chatkit.testing.simulation", *given)


@nox.session
def stories(session: nox.Session) -> None:
    """The same seeds on each Python that is present: a seed is the same story on all of them."""
    given = session.posargs or tuple(f"--python=python{version}" for version in PYTHONS)
    session.run("python", "-m", "tests.stories", *given)


@nox.session
def official(session: nox.Session) -> None:
    """Providers' own clients judge the emulators; their packages come from npm, once, into `.cache`."""
    install(session, "-e", ".[dev]")
    run_official(session, *session.posargs)


def run_official(session: nox.Session, *given: str, silent: bool = False) -> object:
    """Run the tests marked `official`."""
    session.run("python", "-m", "tests.official.packages", "official", silent=silent)
    return session.run("pytest", "-q", "-n", "2", "-m", "official", "tests/official", *given, silent=silent)


@nox.session
def servers(session: nox.Session) -> None:
    """The same cases against third-party servers, likewise from npm."""
    install(session, "-e", ".[dev]")
    run_servers(session, *session.posargs)


def run_servers(session: nox.Session, *given: str, silent: bool = False) -> object:
    """Run the tests marked `servers`."""
    session.run("python", "-m", "tests.official.packages", "servers", silent=silent)
    where = ("tests/official", "tests/servers")
    return session.run("pytest", "-q", "-n", "2", "-m", "servers", *where, *given, silent=silent)


@nox.session
def waiting(session: nox.Session) -> None:
    """`long`, and beside it `official`, then `servers`: each waits half of its time."""
    install(session, "-e", ".[dev]")

    def judged() -> list[object]:
        return [run_official(session, silent=True), run_servers(session, silent=True)]

    with ThreadPoolExecutor() as both:
        judging = both.submit(judged)
        found = [run_long(session, silent=True), *judging.result()]
    for told in found:
        session.log(str(told).strip())


@nox.session
def docs(session: nox.Session) -> None:
    """The pages, every warning an error; they load nothing from another host."""
    install(session, "-e", ".[dev]")
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    site = session.create_tmp()
    session.run("mkdocs", "build", "--strict", "--site-dir", site)
    session.run("python", "tests/foreign.py", site)


@nox.session
def coverage(session: nox.Session) -> None:
    """All of what promises are made of, nine tenths elsewhere; tracing makes the tests half as long again."""
    install(session, "-e", ".[dev]")
    session.run("pytest", "-q", "-n", "2", "--cov", "--cov-report=")
    session.run("coverage", "report", f"--include={WHOLE}", "--fail-under=100")
    session.run("coverage", "report", f"--omit={WHOLE}", "--fail-under=90")


@nox.session
def bench(session: nox.Session) -> None:
    """Chatkit beside the bare thing; `-- --quick`, `-- --json FILE`, `-- NAME`: see docs/performance.md."""
    install(session, "-e", ".[dev]")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Chat for minutes in real time, and measure what stays; `-- --minutes 10`: see docs/soak-and-fuzz.md."""
    install(session, "-e", ".[dev]")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def nightly(session: nox.Session) -> None:
    """What takes too long for every change: whole amounts, all benchmarks, 200,000 hostile inputs."""
    install(session, "-e", ".[dev]")
    session.notify("coverage")
    with (RESULTS / "nightly.txt").open("w", encoding="utf-8") as told:
        wanted = ("-m", "nightly", "-o", "faulthandler_timeout=900")
        session.run("pytest", "-q", "--durations=0", "--durations-min=1", *wanted, stdout=told)
    with (RESULTS / "simulation.txt").open("w", encoding="utf-8") as told:
        session.run("python", "-m", "chatkit.testing.simulation", "--seeds", "20000", stdout=told)
    pythons = (f"--python=python{version}" for version in PYTHONS)
    compared = ("--out", str(RESULTS / "stories.txt"))
    session.run(
        "python", "-m", "tests.stories", *pythons, *compared, success_codes=[0, 2]
    )  # 2: only one is there
    session.run("python", "-m", "tests.benchmarks", "--json", str(RESULTS / "benchmarks.json"))
    fuzzed = ("--inputs", "200000", "--jobs", "2", "--out", str(RESULTS / "fuzz.txt"))
    session.run("python", "-m", "chatkit.testing.fuzz", *fuzzed)
