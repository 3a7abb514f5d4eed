"""Runs cases of the official Python client against an emulator.

python runner.py http://127.0.0.1:PORT json|msgpack CASES

CASES says in JSON how many milliseconds each case is given that is to run, and is {} for all, with a minute.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import cases_channels
import cases_connection
import cases_failures
import cases_rest
import harness

MODULES = (cases_channels, cases_connection, cases_failures, cases_rest)


def main(arguments: list[str]) -> None:
    """Run them and leave."""
    url, form, chosen = arguments
    asyncio.run(harness.run(url, form, json.loads(chosen)))
    sys.stdout.flush()
    os._exit(0)  # the client leaves threads and tasks behind


main(sys.argv[1:])
