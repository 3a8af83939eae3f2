# SPDX-License-Identifier: LGPL-2.1-or-later
"""When to collect what."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, inf
from typing import TYPE_CHECKING

from pyvirt.enums.domain import StatsGroup

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Entry:
    def __init__(self, groups: StatsGroup, interval: float) -> None:
        self.groups = groups
        self.interval = interval
        self.turn = 0  # times are the start and a multiple of the interval: nothing adds up to a drift


class Schedule:
    """Groups of statistics, each with an interval; all of them begin with the first tick."""

    def __init__(self, groups: StatsGroup | Mapping[StatsGroup, float], interval: float | None) -> None:
        self._start: float | None = None
        self._entries: list[_Entry] = []
        self._always: StatsGroup | None = None
        if isinstance(groups, Mapping):
            if interval is not None:
                raise TypeError("intervals are those of the groups, or one for all, not both")
            if not groups:
                raise ValueError("no groups to collect")
            self._entries = [_Entry(group, every) for group, every in groups.items()]
        elif interval is not None:
            self._entries = [_Entry(groups, interval)]
        else:
            self._always = groups
        for entry in self._entries:
            if not 0 < entry.interval < inf:
                raise ValueError(f"an interval is a number of seconds above 0, not {entry.interval!r}")

    @property
    def has_interval(self) -> bool:
        """Whether there is one to wait for."""
        return self._always is None

    def _time_of(self, entry: _Entry, turn: int) -> float:
        assert self._start is not None
        return self._start + turn * entry.interval

    def next_time(self, now: float) -> float:
        """Return when something is due next."""
        if self._start is None:
            return now
        return min(self._time_of(entry, entry.turn) for entry in self._entries)

    def take(self, now: float) -> tuple[StatsGroup, int]:
        """Return what to collect *now*, and how many turns were missed since the last time.

        Somebody who comes early gets what comes most often.
        """
        if self._always is not None:
            return self._always, 0
        if self._start is None:
            self._start = now
        due = [entry for entry in self._entries if self._time_of(entry, entry.turn) <= now]
        missed = 0
        for entry in due:
            turn = max(entry.turn, floor((now - self._start) / entry.interval))
            missed = max(missed, turn - entry.turn)
            entry.turn = turn + 1
        if not due:
            least = min(entry.interval for entry in self._entries)
            due = [entry for entry in self._entries if entry.interval == least]
        return _union([entry.groups for entry in due]), missed


def _union(groups: Sequence[StatsGroup]) -> StatsGroup:
    if StatsGroup.ALL in groups:  # its value is 0, and it says all the same
        return StatsGroup.ALL
    united = StatsGroup(0)
    for group in groups:
        united |= group
    return united
