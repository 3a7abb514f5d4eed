"""The same conversation, its test and the demo at three providers: the URL changes, the programs do not.

    pip install 'chatkit-realtime[all,emulators]' pytest
    python examples/three_providers.py

The providers are those that `chatkit dev` serves on this machine. Pusher and Ably have a log beside them,
Supabase has its own. Ends with code 0 if all went well at all three.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE

HERE = Path(__file__).parent
CHATKIT = str(Path(sys.executable).with_name("chatkit"))
URLS = {
    "pusher": "pusher://app-key:app-secret@local/1001?host=127.0.0.1&port={port}&tls=0",
    "ably": "ably://app.key:secret@127.0.0.1:{port}?tls=0",
    "supabase": "supabase://{service_role}@127.0.0.1:{port}?tls=0",
}
LAST = {"pusher": "ready", "ably": "ready", "supabase": "database"}
"""What `chatkit dev` says last, once it serves."""


def run(command: list[str], where: Path, environment: Mapping[str, str]) -> str:
    """Run a program to its end; returns what it prints."""
    done = subprocess.run(  # noqa: S603  # one of those below
        command,
        cwd=where,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{command[-1]} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def ready(name: str, lines: Iterable[str]) -> dict[str, str]:
    """Wait until a provider serves; returns its port, and what else it says."""
    told: dict[str, str] = {}
    for line in lines:
        what, _, value = line.strip().partition(" ")
        told[what] = value
        if what == LAST[name]:
            break
    return {**told, "port": told["ready"].rpartition(":")[2]}


def at(name: str) -> str:
    """Serve a provider, and run all three there; returns what they print."""
    serve = [CHATKIT, "dev", name]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(serve, stdout=PIPE, text=True) as serving:  # noqa: S603  # likewise
        try:
            told, where = ready(name, serving.stdout or ()), Path(folder)
            url = URLS[name].format(**told)
            environment, log = {"CHATKIT_URL": url}, list[str]()
            if name == "supabase":
                _ = run([CHATKIT, "supabase", "migrate", "--dsn", told["database"]], where, {})
            else:
                environment["CHATKIT_LOG"] = f"sqlite:///{folder}/log.db"
                log = ["--log", environment["CHATKIT_LOG"]]
            talk = run([sys.executable, str(HERE / "conversation.py")], where, environment)
            test = [sys.executable, "-m", "pytest", "-q", "examples/test_conversation.py"]
            tested = run(test, HERE.parent, environment)
            demo = run([CHATKIT, "demo", "--messages", "100", "--url", url, *log], where, {})
            return talk + tested + demo.splitlines()[-1]
        finally:
            serving.terminate()


def main() -> None:
    with ThreadPoolExecutor() as all_three:
        for name, said in zip(URLS, all_three.map(at, URLS), strict=True):
            print(f"== {name}\n{said}", flush=True)


if __name__ == "__main__":
    main()
