"""Runs cases of the official Python client against an emulator.

python runner.py http://127.0.0.1:PORT json|msgpack PATIENCE [NAME ...]

PATIENCE is in milliseconds, for one case.
"""

from __future__ import annotations

import asyncio
import os
import sys

import cases_channels
import cases_connection
import cases_rest
import harness

MODULES = (cases_channels, cases_connection, cases_rest)


def main(arguments: list[str]) -> None:
    """Run them and leave."""
    url, form, patience, *names = arguments
    asyncio.run(harness.run(url, form, float(patience) / 1000, names))
    sys.stdout.flush()
    os._exit(0)  # the client leaves threads and tasks behind


main(sys.argv[1:])
