# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bulk statistics in ticks, for asyncio and trio: ``async for frame in pyvirt.aio.Collector(conn, interval=5)``.

A collector has its own threads, each of which asks for a few domains.  Here one more thread waits for all of them.
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

_CLOSE_TIMEOUT = 1.0  # seconds; a tick under way ends as soon as the collector is closed


class Collector(AsyncIterator["CollectedFrame"]):
    """Statistics of one connection or several.  ``async for`` makes ticks, and ``async with`` closes the collector.

    A tick makes up to *workers* requests on each connection, in addition to the connection's own requests.  Use
    separate connections for a collector, so that the sum stays within the number of requests that libvirtd serves at a
    time.  The parameters are those of :class:`pyvirt.Collector`.
    """

    __slots__ = ("_closed", "_runtime", "sync")

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
        #: The collector of the synchronous model.
        self.sync = SyncCollector(given, groups=groups, interval=interval, deadline=deadline, workers=workers)
        self._runtime = Runtime(1, None, _CLOSE_TIMEOUT, dispose)
        self._closed = Signal()

    async def collect(self, *, timeout: float | None = None) -> CollectedFrame:
        """Make one tick now, and return its frame by the deadline.

        If the task is cancelled, the tick continues until its deadline, and the next tick begins after that.
        """
        return await self._runtime.call(timeout, self.sync.collect)

    def __aiter__(self) -> Self:
        iter(self.sync)  # raises ValueError without an interval
        return self

    async def __anext__(self) -> CollectedFrame:
        while not self._runtime.workers.closing:
            now = monotonic()
            pause = self.sync._schedule.next_time(now) - now
            if pause <= 0:
                return await self._runtime.call(inf, self.sync.collect)
            with anyio.move_on_after(pause):
                await wait(self._closed)
        raise StopAsyncIteration

    async def close(self) -> None:
        """Stop the threads; a tick under way raises :class:`ClosedError`.  Calling it again has no effect."""
        self._runtime.workers.refuse_calls()
        self._closed.set()
        await self._runtime.close(self.sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
