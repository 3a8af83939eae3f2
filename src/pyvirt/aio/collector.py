# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bulk statistics in ticks, awaited: ``async for frame in pyvirt.aio.Collector(conn, interval=5)``.

Written by hand.  A collector has threads of its own, which ask a few domains each; one more waits for all of them here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

import anyio

from pyvirt.aio._base import dispose
from pyvirt.aio._generated.connection import Connection
from pyvirt.aio._runtime import Runtime, wait
from pyvirt.aio._workers import Signal
from pyvirt.collector import Collector as SyncCollector
from pyvirt.enums.domain import StatsGroup

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from pyvirt.collector import CollectedFrame
    from pyvirt.connection import Connection as SyncConnection

_FAREWELL = 1.0  # seconds; a tick under way ends as soon as the collector is closed


class Collector(AsyncIterator["CollectedFrame"]):
    """Statistics of one connection or many.  ``async with`` ends it, and ``async for`` makes ticks.

    The requests of a tick come on top of those of the connections, up to *workers* for each; to have both within what
    libvirtd serves at a time, give a collector connections of its own.  The parameters are those of
    :class:`pyvirt.Collector`.
    """

    __slots__ = ("_end", "_runtime", "sync")

    def __init__(
        self,
        connections: Connection | Iterable[Connection] | Mapping[str, Connection],
        *,
        groups: StatsGroup | Mapping[StatsGroup, float] = StatsGroup.ALL,
        interval: float | None = None,
        deadline: float = 2.0,
        workers: int = 4,
    ) -> None:
        given: Iterable[SyncConnection] | Mapping[str, SyncConnection]
        if isinstance(connections, Mapping):
            given = {name: conn.sync for name, conn in connections.items()}
        else:
            given = [conn.sync for conn in ((connections,) if isinstance(connections, Connection) else connections)]
        #: That of the synchronous model.
        self.sync = SyncCollector(given, groups=groups, interval=interval, deadline=deadline, workers=workers)
        self._runtime = Runtime(1, None, _FAREWELL, dispose)
        self._end = Signal()

    async def collect(self, *, timeout: float | None = None) -> CollectedFrame:
        """Make one tick now and return its frame, at the deadline at the latest.

        A tick that is cancelled goes on until then, and the next one begins after it.
        """
        return await self._runtime.call(timeout, self.sync.collect)

    def __aiter__(self) -> Self:
        iter(self.sync)  # raises, without an interval
        return self

    async def __anext__(self) -> CollectedFrame:
        while not self._runtime.workers.closing:
            now = monotonic()
            pause = self.sync._schedule.next_time(now) - now
            if pause <= 0:
                return await self._runtime.call(inf, self.sync.collect)
            with anyio.move_on_after(pause):
                await wait(self._end)
        raise StopAsyncIteration

    async def close(self) -> None:
        """End its threads, and a tick under way with :class:`ClosedError`.  Harmless when repeated."""
        self._runtime.workers.refuse()
        self._end.set()
        await self._runtime.close(self.sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
