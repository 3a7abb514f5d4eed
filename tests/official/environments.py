"""Environments of Python packages that must not stand beside chatkit's own, as files of pins name them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from tests.official.node import ROOT


def interpreter(name: str) -> Path:
    """The interpreter of an environment with what `requirements/NAME.txt` pins: made once, and again when it changes."""
    pins = ROOT / "requirements" / f"{name}.txt"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = ROOT / ".cache" / f"{name}-{digest}"
    place.parent.mkdir(exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not (place / "done").exists():
            shutil.rmtree(place, ignore_errors=True)
            for command in (
                [sys.executable, "-m", "venv", str(place)],
                [str(place / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", "-r", str(pins)],
            ):
                ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
                assert ran.returncode == 0, ran.stdout + ran.stderr
            (place / "done").touch()
    return place / "bin" / "python"
