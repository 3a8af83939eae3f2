# SPDX-License-Identifier: LGPL-2.1-or-later
"""The schedule of a collector: which groups are due at which time."""

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
        self.turn = 0  # a turn is due at start + turn * interval, so that rounding errors do not add up


class Schedule:
    """Groups of statistics, each with an interval; all of them are due at the first tick."""

    def __init__(self, groups: StatsGroup | Mapping[StatsGroup, float], interval: float | None) -> None:
        self._start: float | None = None
        self._entries: list[_Entry] = []
        self._always: StatsGroup | None = None
        if isinstance(groups, Mapping):
            if interval is not None:
                raise TypeError("interval must not be given if groups is a mapping: its values are the intervals")
            if not groups:
                raise ValueError("groups must not be empty")
            self._entries = [_Entry(group, every) for group, every in groups.items()]
        elif interval is not None:
            self._entries = [_Entry(groups, interval)]
        else:
            self._always = groups
        for entry in self._entries:
            if not 0 < entry.interval < inf:
                raise ValueError(f"interval must be a finite number of seconds above 0, not {entry.interval!r}")

    @property
    def has_interval(self) -> bool:
        """Whether ticks have an interval, so that a program can wait for the next one."""
        return self._always is None

    def _due_time(self, entry: _Entry, turn: int) -> float:
        assert self._start is not None
        return self._start + turn * entry.interval

    def next_time(self, now: float) -> float:
        """Return when the next groups are due."""
        if self._start is None:
            return now
        return min(self._due_time(entry, entry.turn) for entry in self._entries)

    def take(self, now: float) -> tuple[StatsGroup, int]:
        """Return the groups to collect *now*, and how many turns were missed since the last time.

        If no group is due, these are the groups with the shortest interval.
        """
        if self._always is not None:
            return self._always, 0
        if self._start is None:
            self._start = now
        due = [entry for entry in self._entries if self._due_time(entry, entry.turn) <= now]
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
    if StatsGroup.ALL in groups:  # its value is 0, so the loop below would lose it
        return StatsGroup.ALL
    united = StatsGroup(0)
    for group in groups:
        united |= group
    return united
