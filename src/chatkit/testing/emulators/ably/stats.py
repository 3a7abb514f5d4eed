"""Counts by the minute, as `GET /stats` tells them.

Source: RSC6, TS12 to TS17 of the features specification.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.history import Page, Query, page

MINUTES: Final = 10_000
UNITS: Final = {"minute": "%Y-%m-%d:%H:%M", "hour": "%Y-%m-%d:%H", "day": "%Y-%m-%d", "month": "%Y-%m"}
SCHEMA: Final = "https://schemas.ably.com/json/app-stats-0.0.5.json"


class Stats:
    """What was done in each minute.

    Args:
        now: Milliseconds since 1970.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._minutes: OrderedDict[str, dict[str, int]] = OrderedDict()

    def count(self, entry: str, by: int = 1) -> None:
        """Add to an entry of the present minute."""
        minute = self._minutes.setdefault(_interval(self._now(), "minute"), {})
        minute[entry] = minute.get(entry, 0) + by
        while len(self._minutes) > MINUTES:
            self._minutes.popitem(last=False)

    def page(self, params: Mapping[str, str], app: str) -> Page[dict[str, Any]]:
        """Intervals, newest first unless asked otherwise.

        Raises:
            AblyError: 40003, a parameter is out of its bounds.
        """
        unit = params.get("unit", "minute")
        if unit not in UNITS:
            raise AblyError(40003, f"unit is one of {', '.join(UNITS)}")
        sums: dict[str, dict[str, int]] = {}
        for minute, entries in self._minutes.items():
            interval = _interval(_millis(minute), unit)
            summed = sums.setdefault(interval, {})
            for entry, count in entries.items():
                summed[entry] = summed.get(entry, 0) + count
        current = _interval(self._now(), unit)
        intervals: list[dict[str, Any]] = [
            {
                "intervalId": interval,
                "unit": unit,
                "schema": SCHEMA,
                "appId": app,
                "entries": entries,
                **({"inProgress": _interval(self._now(), "minute")} if interval == current else {}),
            }
            for interval, entries in sorted(sums.items())
        ]
        times = {interval: _begin(interval, unit) for interval in sums}
        query = Query.parse(_in_millis(params))
        return page(
            intervals,
            query,
            mark=lambda each: str(each["intervalId"]).replace(":", "_"),
            time=lambda each: times[each["intervalId"]],
        )


def _interval(millis: int, unit: str) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).strftime(UNITS[unit])


def _begin(interval: str, unit: str) -> int:
    return int(datetime.strptime(interval, UNITS[unit]).replace(tzinfo=UTC).timestamp() * 1000)


def _millis(minute: str) -> int:
    return _begin(minute, "minute")


def _in_millis(params: Mapping[str, str]) -> dict[str, str]:
    """The parameters with interval ids in `start` and `end` as milliseconds."""
    given = dict(params)
    for name in ("start", "end"):
        text = given.get(name, "")
        for unit, shape in UNITS.items():
            try:
                datetime.strptime(text, shape)  # noqa: DTZ007  # only whether it has that shape
            except ValueError:
                continue
            given[name] = str(_begin(text, unit))
            break
    return given
