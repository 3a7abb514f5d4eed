"""`notify CHANNEL TEXT --key K`: works offline, sends what it can, exits with a meaningful status.

    CHATKIT_URL=memory://demo python examples/notify.py support "Backup done" --key backup-2026-11-23

0: sent; 75: queued in ~/.notify for the next call; 2: refused, or the set-up cannot work.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import chatkit


async def run(args: argparse.Namespace) -> int:
    outbox = Path.home() / ".notify"
    try:
        async with chatkit.connect(user="cron", store=f"{outbox}/", drain=args.timeout) as chat:
            delivery = await chat.channel(args.channel).send(args.text, key=args.key)
    except chatkit.ChatkitError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return 2
    if delivery.status == "failed":
        print(f"refused: {delivery.error}", file=sys.stderr)
        return 2
    report = chat.report
    if report and report.queued:
        print(f"{report.reason or 'offline'}: {report.queued} queued in {outbox}", file=sys.stderr)
        return 75
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("channel")
    parser.add_argument("text")
    parser.add_argument("--key")
    parser.add_argument("--timeout", type=float, default=10)
    sys.exit(asyncio.run(run(parser.parse_args())))
