"""Runs cases of the official Python clients against an emulator.

python runner.py PROJECT CASES

PROJECT says in JSON where it is, its keys and its secret; CASES how many milliseconds each case is given that is
to run, and is {} for all, with a minute.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import cases_broadcast
import cases_connection
import cases_failures
import cases_private
import harness

MODULES = (cases_broadcast, cases_connection, cases_failures, cases_private)


def main(arguments: list[str]) -> None:
    """Run them and leave."""
    project, chosen = arguments
    asyncio.run(harness.run(json.loads(project), json.loads(chosen)))
    sys.stdout.flush()
    os._exit(0)  # the client leaves tasks behind


main(sys.argv[1:])
