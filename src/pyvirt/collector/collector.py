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
from pyvirt.collector._host import MOST_UNDER_WAY, HostState
from pyvirt.collector._schedule import Schedule
from pyvirt.collector._threads import Threads
from pyvirt.collector.frame import CollectedFrame, Tick
from pyvirt.connection import Connection
from pyvirt.enums.domain import ConnectGetAllDomainStatsFlags, StatsGroup
from pyvirt.errors import ClosedError
from pyvirt.stats.engine import enforce_unknown, new_frame, new_schema, sealed
from pyvirt.stats.layouts import Shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from pyvirt._core.lib import CData
    from pyvirt.collector._requests import Call

_FAREWELL = 0.5  # seconds that close() waits for calls under way


class _Done:
    """Where calls that have returned wait for the thread that collects.

    Threads know this, but not the collector, which may be forgotten meanwhile.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[HostState, Call] | None] = SimpleQueue()
        #: set when nobody will come any more
        self.end = Event()

    def put(self, host: HostState, job: Call) -> None:
        """Say that *job* has returned."""
        self._jobs.put((host, job))
        if self.end.is_set():
            self._discard()

    def get(self, timeout: float) -> tuple[HostState, Call] | None:
        """Return one, in the order they came; ``None`` is the end.

        :raises Empty: there is none within *timeout* seconds
        """
        return self._jobs.get(timeout > 0, timeout)

    def close(self) -> None:
        """Wake whoever waits, and let go of what is and will be there."""
        self.end.set()
        self._discard()
        self._jobs.put(None)

    def _discard(self) -> None:
        while True:
            try:
                done = self._jobs.get_nowait()
            except Empty:
                return
            if done is not None:
                done[1].discard()


def _start(threads: Threads, done: _Done, host: HostState, job: Call) -> None:
    try:
        threads.run(partial(job.run, partial(done.put, host)))
    except RuntimeError as error:  # no more threads: it must not seem to be under way for ever
        job.error = error
        done.put(host, job)


def _by_name(connections: Connection | Iterable[Connection] | Mapping[str, Connection]) -> dict[str, Connection]:
    """Return the connections by what their hosts are called."""
    if isinstance(connections, Mapping):
        given = [*connections.items()]
    else:
        some = (connections,) if isinstance(connections, Connection) else connections
        given = [(getattr(conn, "_uri", None) or "", conn) for conn in some]
    if not given:
        raise ValueError("there is no connection to collect from")
    if not all(isinstance(conn, Connection) for _, conn in given):
        raise TypeError("a Collector takes pyvirt.Connection objects")
    for name, _ in given:
        if not isinstance(name, str):
            raise TypeError(f"names are str, not {type(name).__name__}")
    named = dict(given)
    if len(named) < len(given):
        twice = next(name for name, n in Counter(name for name, _ in given).items() if n > 1)
        raise ValueError(f"several connections to {twice!r}: tell them apart by names, Collector({{name: conn, …}})")
    return named


class Collector:
    """Bulk statistics in ticks, of one connection or many.  A context manager, and an iterator over frames.

    :param connections: one, or some, or a mapping to them from what their hosts are to be called, by default their
        URIs; they stay open, and stay the caller's
    :param groups: which groups of statistics; or a mapping from groups to the seconds between two ticks that have
        them: ``{StatsGroup.STATE | StatsGroup.CPU_TOTAL: 1, StatsGroup.BLOCK: 10}``
    :param interval: seconds between two ticks of an iteration, where *groups* is no mapping
    :param deadline: seconds after which a tick returns with what it has
    :param workers: how many requests are under way at a time on each connection, 1 to 4: libvirtd takes five of a
        client, and one is for looking who is stuck
    """

    def __init__(
        self,
        connections: Connection | Iterable[Connection] | Mapping[str, Connection],
        *,
        groups: StatsGroup | Mapping[StatsGroup, float] = StatsGroup.ALL,
        interval: float | None = None,
        deadline: float = 2.0,
        workers: int = MOST_UNDER_WAY,
    ) -> None:
        self._closed = True  # until there is something to close
        self._pid = os.getpid()
        given = _by_name(connections)
        if not 1 <= workers <= MOST_UNDER_WAY:
            raise ValueError(f"workers are 1 to {MOST_UNDER_WAY}, not {workers}")
        if not deadline > 0:
            raise ValueError(f"a deadline is a number of seconds above 0, not {deadline!r}")
        self._schedule = Schedule(groups, interval)
        #: seconds after which a tick returns with what it has
        self.deadline = deadline
        #: how many ticks were made, and how many the schedule had that were not, as one before took too long
        self.ticks = self.skipped = 0
        self._schema = new_schema()
        self._shared = Shared()
        self._done = _Done()
        self._threads = Threads("pyvirt-collector")
        start = partial(_start, self._threads, self._done)
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

        :raises OperationTimeoutError: no connection said anything before the deadline
        :raises ConnectionLostError: all connections are lost
        :raises NotSupportedError: nobody has one of the groups
        :raises ClosedError: the collector, or each of its connections, was closed
        """
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("this collector is in the middle of a tick")
        try:
            self._check_open()
            started = monotonic()
            groups, skipped = self._schedule.take(started)
            self.skipped += skipped
            self.ticks += 1
            return self._tick(started, groups, skipped)
        finally:
            self._busy.release()
            if self._closed:  # close() in another thread has not seen what was opened since
                self._close_hosts()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the collector is closed")
        if os.getpid() != self._pid:
            raise ClosedError("the collector was made before fork() and belongs to the parent process")

    def _tick(self, started: float, groups: StatsGroup, skipped: int) -> CollectedFrame:
        end = started + self.deadline
        flags = enforce_unknown(groups, ConnectGetAllDomainStatsFlags(0))
        runs: list[tuple[int, int]] = []
        frame = new_frame(self._schema)

        def add(host: HostState, records: CData, count: int) -> None:
            runs.append((host.number, count))
            if lib.pv_frame_add(frame, records, count) < 0:
                raise MemoryError

        try:
            for host in self._hosts:
                host.begin(self.ticks, groups, flags, self.deadline)
            self._work(end, add)
            missing = {host.name: host.end() for host in self._hosts}
            self._complain()
            self._say_hosts(frame, runs)
        except BaseException:
            lib.pv_frame_free(frame)
            raise
        keeper = sealed(frame)
        tick = Tick(
            hosts=tuple(missing),
            groups=groups,
            missing=missing,
            errors={host.name: host.error for host in self._hosts if host.error is not None},
            skipped=skipped,
            duration=monotonic() - started,
        )
        made = CollectedFrame(keeper, self._shared, tick)
        for host in self._hosts:
            for conn in host.connections:
                conn._adopt(made.keeper)
        return made

    def _work(self, end: float, add: Callable[[HostState, CData, int], None]) -> None:
        while not self._closed:
            now = monotonic()
            if now >= end:
                return
            for host in self._hosts:
                host.advance(now)
            if all(host.finished for host in self._hosts):
                return
            wake = min(end, *(host.wakes_at() for host in self._hosts))
            try:
                wait = min(max(0.0, wake - now), TIMEOUT_MAX)
                while True:
                    done = self._done.get(wait)
                    if done is None:
                        break
                    host, job = done
                    host.take(job, add)
                    wait = 0.0
            except Empty:
                pass
        raise ClosedError("the collector was closed in the middle of a tick")

    def _say_hosts(self, frame: CData, runs: Iterable[tuple[int, int]]) -> None:
        """Tell *frame* of each domain on which host it is, from how many came one after the other."""
        places = array("I")
        for number, count in runs:
            places.extend([number] * count)
        if lib.pv_frame_set_hosts(frame, ffi.from_buffer("uint32_t[]", places), *self._names, len(self._hosts)) < 0:
            raise MemoryError

    def _complain(self) -> None:
        """Raise if nobody said anything that was worth the tick."""
        errors = [host.error for host in self._hosts if host.error is not None]
        if len(errors) < len(self._hosts) or any(host.rows for host in self._hosts):
            return
        if len(errors) == 1:
            raise errors[0]
        # What may pass comes first: a program goes on collecting after that, and not after the others.
        passing = next((error for error in errors if isinstance(error, (TimeoutError, ConnectionError))), errors[0])
        text = "; ".join(f"{host.name}: {host.error}" for host in self._hosts)
        raise type(passing)(f"no connection answered: {text}", code=passing.code, domain=passing.domain)

    # ---- many ticks ----

    def __iter__(self) -> Iterator[CollectedFrame]:
        """Return itself: the schedule goes on, also after a tick that raised."""
        if not self._schedule.has_interval:
            raise ValueError("without an interval there is nothing to wait for: call collect()")
        return self

    def __next__(self) -> CollectedFrame:
        """Wait until something is due, and collect it; the end comes when the collector is closed."""
        while not self._closed:
            now = monotonic()
            wait = self._schedule.next_time(now) - now
            if wait <= 0:
                return self.collect()
            self._done.end.wait(min(wait, TIMEOUT_MAX))
        raise StopIteration

    # ---- the end ----

    def close(self) -> None:
        """End its threads, and a tick under way in another one with :class:`ClosedError`.

        Threads whose call hangs are waited for half a second; they end when it returns, and do not keep the
        interpreter from exiting.  Harmless when repeated.
        """
        if self._closed:
            return
        self._closed = True
        if os.getpid() != self._pid:
            return
        self._done.close()
        self._close_hosts()
        self._threads.close(_FAREWELL)

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
