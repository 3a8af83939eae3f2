# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ticks of a collector."""

from __future__ import annotations

import os
import warnings
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX, Event, Lock
from time import monotonic
from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt.collector._host import MAX_REQUESTS, HostState
from pyvirt.collector._schedule import Schedule
from pyvirt.collector._threads import Threads
from pyvirt.collector.frame import CollectedFrame, Tick
from pyvirt.connection import Connection
from pyvirt.enums.domain import ConnectGetAllDomainStatsFlags, StatsGroup
from pyvirt.errors import ClosedError
from pyvirt.stats.engine import add_enforce_flag, new_frame, new_schema, seal
from pyvirt.stats.layouts import FrameCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from pyvirt._core.lib import CData
    from pyvirt.collector._requests import Call

_CLOSE_TIMEOUT = 0.5  # seconds that close() waits for calls under way


class _ReturnedCalls:
    """A queue of calls that have returned, for the thread that collects.

    The other threads refer to this queue and not to the collector, which can be garbage collected while they run.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[HostState, Call] | None] = SimpleQueue()
        #: set by :meth:`close`
        self.closed = Event()

    def put(self, host: HostState, call: Call) -> None:
        """Add a call that has returned."""
        self._calls.put((host, call))
        if self.closed.is_set():
            self._discard()

    def get(self, timeout: float) -> tuple[HostState, Call] | None:
        """Return the next call, in the order in which they returned; ``None`` if the queue was closed.

        :raises Empty: no call returned within *timeout* seconds
        """
        return self._calls.get(timeout > 0, timeout)

    def close(self) -> None:
        """Wake the waiting thread, and discard all calls, also those that return later."""
        self.closed.set()
        self._discard()
        self._calls.put(None)

    def _discard(self) -> None:
        while True:
            try:
                item = self._calls.get_nowait()
            except Empty:
                return
            if item is not None:
                item[1].discard()


def _start_call(threads: Threads, returned: _ReturnedCalls, host: HostState, call: Call) -> None:
    try:
        threads.run(partial(call.run, partial(returned.put, host)))
    except RuntimeError as error:  # no thread could be started: the call must not stay under way forever
        call.error = error
        returned.put(host, call)


def _connections_by_name(
    connections: Connection | Iterable[Connection] | Mapping[str, Connection],
) -> dict[str, Connection]:
    """Return the connections by the names of their hosts."""
    if isinstance(connections, Mapping):
        given = [*connections.items()]
    else:
        some = (connections,) if isinstance(connections, Connection) else connections
        given = [(getattr(conn, "_uri", None) or "", conn) for conn in some]
    if not given:
        raise ValueError("connections must not be empty: there is no connection to collect from")
    for name, conn in given:
        if not isinstance(conn, Connection):
            raise TypeError(f"expected a pyvirt.Connection, got {type(conn).__name__}")
        if not isinstance(name, str):
            raise TypeError(f"the names of hosts must be str, not {type(name).__name__}")
    named = dict(given)
    if len(named) < len(given):
        repeated = next(name for name, n in Counter(name for name, _ in given).items() if n > 1)
        raise ValueError(f"several connections to {repeated!r}: give each of them a name, Collector({{name: conn, …}})")
    return named


class Collector:
    """Bulk statistics in ticks, of one connection or many.  A context manager, and an iterator over frames.

    :param connections: one connection, or several, or a mapping from names of hosts to connections; without names, the
        hosts are named by their URIs.  The collector does not close them
    :param groups: which groups of statistics; or a mapping from groups to the seconds between two ticks that collect
        them: ``{StatsGroup.STATE | StatsGroup.CPU_TOTAL: 1, StatsGroup.BLOCK: 10}``
    :param interval: seconds between two ticks of an iteration, if *groups* is not a mapping
    :param deadline: seconds after which a tick returns with the domains that answered
    :param workers: how many requests are under way at a time on each connection, 1 to 4: libvirtd serves five of a
        client, and one is left for a probe of stuck domains
    """

    def __init__(
        self,
        connections: Connection | Iterable[Connection] | Mapping[str, Connection],
        *,
        groups: StatsGroup | Mapping[StatsGroup, float] = StatsGroup.ALL,
        interval: float | None = None,
        deadline: float = 2.0,
        workers: int = MAX_REQUESTS,
    ) -> None:
        self._closed = True  # until the constructor is done: there is nothing to close before
        self._pid = os.getpid()
        given = _connections_by_name(connections)
        if not 1 <= workers <= MAX_REQUESTS:
            raise ValueError(f"workers must be 1 to {MAX_REQUESTS}, not {workers}")
        if not deadline > 0:
            raise ValueError(f"deadline must be a number of seconds above 0, not {deadline!r}")
        self._schedule = Schedule(groups, interval)
        #: seconds after which a tick returns with the domains that answered
        self.deadline = deadline
        #: how many ticks were made
        self.ticks = 0
        #: how many scheduled ticks were not made, because an earlier one took too long
        self.skipped = 0
        self._schema = new_schema()
        self._cache = FrameCache()
        self._returned = _ReturnedCalls()
        self._threads = Threads("pyvirt-collector")
        start = partial(_start_call, self._threads, self._returned)
        self._hosts = [
            HostState(number, name, conn, workers, start) for number, (name, conn) in enumerate(given.items())
        ]
        names = [name.encode("utf-8", "surrogateescape") for name in given]
        self._names = ffi.new("int64_t[]", [*accumulate(map(len, names), initial=0)]), b"".join(names)
        self._busy = Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Collector of {len(self._hosts)} hosts{', closed' * self._closed}>"

    # ---- a tick ----

    def collect(self) -> CollectedFrame:
        """Make one tick now and return its frame, at the deadline at the latest.

        (virConnectListAllDomains, virDomainListGetStats, virDomainGetControlInfo)

        Domains that did not answer are in :attr:`CollectedFrame.missing`, connections that did not in
        :attr:`CollectedFrame.errors`.

        :raises OperationTimeoutError: no connection answered before the deadline
        :raises ConnectionLostError: all connections are lost
        :raises NotSupportedError: no driver has one of the groups
        :raises ClosedError: the collector, or each of its connections, was closed
        """
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("this collector is in the middle of a tick: wait for it, or make a second collector")
        try:
            self._check_open()
            started = monotonic()
            groups, skipped = self._schedule.take(started)
            self.skipped += skipped
            self.ticks += 1
            return self._tick(started, groups, skipped)
        finally:
            self._busy.release()
            if self._closed:  # close() in another thread did not close the connections that were opened after it
                self._close_hosts()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the collector is closed")
        if os.getpid() != self._pid:
            raise ClosedError("the collector was made before fork() and belongs to the parent process")

    def _tick(self, started: float, groups: StatsGroup, skipped: int) -> CollectedFrame:
        end = started + self.deadline
        flags = add_enforce_flag(groups, ConnectGetAllDomainStatsFlags(0))
        runs: list[tuple[int, int]] = []
        frame = new_frame(self._schema)

        def add(host: HostState, records: CData, count: int) -> None:
            runs.append((host.number, count))
            if lib.pv_frame_add(frame, records, count) < 0:
                raise MemoryError

        try:
            for host in self._hosts:
                host.begin_tick(self.ticks, groups, flags, self.deadline)
            self._run_hosts(end, add)
            missing = {host.name: host.end_tick() for host in self._hosts}
            self._raise_if_all_failed()
            self._set_hosts(frame, runs)
        except BaseException:
            lib.pv_frame_free(frame)
            raise
        keeper = seal(frame)
        tick = Tick(
            hosts=tuple(missing),
            groups=groups,
            missing=missing,
            errors={host.name: host.error for host in self._hosts if host.error is not None},
            skipped=skipped,
            duration=monotonic() - started,
        )
        made = CollectedFrame(keeper, self._cache, tick)
        for host in self._hosts:
            for conn in host.connections:
                conn._adopt(made.keeper)
        return made

    def _run_hosts(self, end: float, add: Callable[[HostState, CData, int], None]) -> None:
        while not self._closed:
            now = monotonic()
            if now >= end:
                return
            for host in self._hosts:
                host.advance(now)
            if all(host.finished for host in self._hosts):
                return
            wake = min(end, *(host.next_wakeup() for host in self._hosts))
            try:
                wait = min(max(0.0, wake - now), TIMEOUT_MAX)
                while True:
                    item = self._returned.get(wait)
                    if item is None:
                        break
                    host, call = item
                    host.process(call, add)
                    wait = 0.0
            except Empty:
                pass
        raise ClosedError("the collector was closed in the middle of a tick")

    def _set_hosts(self, frame: CData, runs: Iterable[tuple[int, int]]) -> None:
        """Store the host of each domain in *frame*.

        :param runs: the number of a host, and how many consecutive domains belong to it
        """
        hosts = array("I")
        for number, count in runs:
            hosts.extend([number] * count)
        if lib.pv_frame_set_hosts(frame, ffi.from_buffer("uint32_t[]", hosts), *self._names, len(self._hosts)) < 0:
            raise MemoryError

    def _raise_if_all_failed(self) -> None:
        """Raise an error if all hosts failed and the frame has no rows."""
        errors = [host.error for host in self._hosts if host.error is not None]
        if len(errors) < len(self._hosts) or any(host.rows for host in self._hosts):
            return
        if len(errors) == 1:
            raise errors[0]
        # A temporary error comes first: a program continues to collect after it, and stops after the others.
        raised = next((error for error in errors if isinstance(error, (TimeoutError, ConnectionError))), errors[0])
        text = "; ".join(f"{host.name}: {host.error}" for host in self._hosts)
        raise type(raised)(f"no connection answered: {text}", code=raised.code, domain=raised.domain)

    # ---- many ticks ----

    def __iter__(self) -> Iterator[CollectedFrame]:
        """Return the collector itself: a new loop continues the schedule, even after a tick that raised an error."""
        if not self._schedule.has_interval:
            raise ValueError("cannot iterate without an interval: give the Collector one, or call collect()")
        return self

    def __next__(self) -> CollectedFrame:
        """Wait until groups are due, and collect them; closing the collector ends the iteration."""
        while not self._closed:
            now = monotonic()
            wait = self._schedule.next_time(now) - now
            if wait <= 0:
                return self.collect()
            self._returned.closed.wait(min(wait, TIMEOUT_MAX))
        raise StopIteration

    # ---- the end ----

    def close(self) -> None:
        """End the threads; a tick under way in another thread raises :class:`ClosedError`.

        This waits up to half a second for calls that hang.  Their threads end when the calls return, and do not keep
        the interpreter from exiting.  Calling it again has no effect.
        """
        if self._closed:
            return
        self._closed = True
        if os.getpid() != self._pid:
            return
        self._returned.close()
        self._close_hosts()
        self._threads.close(_CLOSE_TIMEOUT)

    def _close_hosts(self) -> None:
        for host in self._hosts:
            host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        finally:
            self.close()
