# SPDX-License-Identifier: LGPL-2.1-or-later
"""The threads that make a connection's calls, and what becomes of a call that nobody waits for any more.

libvirt's calls block, and none of them can be interrupted.  So a task hands its call to a thread and waits; when it
is cancelled it stops waiting, and the call is *abandoned*: if it has not begun it never will, else it ends in the
background and its result is disposed of.  The thread is the slot: there are as many as requests may be in flight, so
that an abandoned call counts until it ends.

anyio's own threads would not do.  On asyncio it gives the token of an abandoned call back while the call still runs,
so the daemon would see more requests than allowed; and its threads keep the interpreter from exiting.  These are
daemon threads: one that waits for a dead daemon holds nobody up.

Nothing here knows an event loop.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextvars import copy_context
from threading import Condition, RLock, Thread
from time import monotonic
from typing import Generic, TypeVar

from pyvirt.errors import ClosedError

T = TypeVar("T", covariant=True)

_IDLE = 10.0  # seconds until a thread without work ends
_PATIENCE = 0.05  # seconds that a thread gives an event loop that is behind
_MANY = 16  # handles that nobody needs any more, and which may wait for the next call if they are fewer


class Signal:
    """Something that happens once, in any thread.  Who listens is told in the thread in which it happens."""

    __slots__ = ("_listeners", "_lock", "_set")

    def __init__(self) -> None:
        self._lock = RLock()  # see Workers
        self._set = False
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> bool:
        """Tell *listener* when it happens; return whether it is still to happen."""
        with self._lock:
            if not self._set:
                self._listeners.append(listener)
            return not self._set

    def forget(self, listener: Callable[[], None]) -> None:
        """Do not tell *listener*."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def set(self) -> None:
        """Say that it has happened."""
        with self._lock:
            self._set = True
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()


class Job(Generic[T]):
    """One call, on its way from a task to a thread and back."""

    __slots__ = (
        *("_abandoned", "_context", "_dispose", "_essential", "_function", "_result", "_untaken"),
        *("begun", "done", "error", "finished"),
    )

    _result: T

    def __init__(self, function: Callable[[], T], dispose: Callable[[T], object], *, essential: bool = False) -> None:
        """Prepare a call of *function*, whose result goes to *dispose* if nobody waits for it.

        :param essential: it is made even if nobody waits for it, or the connection closes, before it has begun
        """
        self._function = function
        self._dispose = dispose
        self._essential = essential
        self._context = copy_context()
        self._abandoned = self._untaken = False
        #: Whether a thread has begun with it.
        self.begun = False
        #: Whether there is a result or an error to take.
        self.finished = False
        #: What it raised.
        self.error: BaseException | None = None
        #: Set when it is finished.
        self.done = Signal()

    def take(self) -> T:
        """Return the result, or raise the error.  Only once, after it is finished."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # which holds this frame
        try:
            return self._result
        finally:
            del self._result

    def discard(self) -> None:
        """Dispose of the result."""
        try:
            self._dispose(self._result)
        except Exception:  # there is nobody to tell, and nothing to be done
            pass


class Workers:
    """As many threads as requests may be in flight, started when needed."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"at least one request must be allowed in flight, not {limit}")
        #: How many calls may be under way.
        self.limit = limit
        #: How many were, at most.
        self.most_in_flight = 0
        self._pid = os.getpid()
        # Reentrant: when Python collects a coroutine that waits for a call, in whatever this thread is at in here, the
        # call is abandoned.
        lock = RLock()
        self._lock = lock
        self._has_work = Condition(lock)
        self._has_rest = Condition(lock)
        self._has_room = Condition(lock)
        # Jobs are kept as objects: in here nobody looks at what they return.
        self._waiting: OrderedDict[Job[object], None] = OrderedDict()
        self._running: set[Job[object]] = set()
        self._graves: list[object] = []
        self._untaken = 0
        self._threads = 0
        self._idle = 0
        self._closing = False

    @property
    def in_flight(self) -> int:
        """How many calls are under way, abandoned ones included."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return len(self._waiting)

    @property
    def closing(self) -> bool:
        """Whether no more calls are taken."""
        return self._closing

    def submit(self, job: Job[object]) -> None:
        """Have *job* done when its turn comes.

        :raises ClosedError: no more calls are taken
        """
        if self._pid != os.getpid():
            raise ClosedError("the connection was opened before fork() and belongs to the parent process")
        with self._lock:
            if self._closing and not job._essential:
                raise ClosedError("the connection is closed")
            self._waiting[job] = None
            if self._idle >= len(self._waiting):
                self._has_work.notify()
                return
            # At exit no thread starts any more, and what is left over is dropped with the process.
            if self._threads >= self.limit or sys.is_finalizing():
                return
            self._threads += 1
        try:
            Thread(target=self._work, name="pyvirt-aio", daemon=True).start()
        except BaseException:  # no more threads: if there is none at all, nobody would ever come to this job
            with self._lock:
                self._threads -= 1
                if self._threads:
                    return
                self._waiting.pop(job, None)
            raise

    def settle(self, job: Job[object]) -> None:
        """Say that whoever waited for *job* has seen that it is over."""
        with self._lock:
            if job._untaken:
                job._untaken = False
                self._untaken -= 1
                self._has_room.notify()

    def abandon(self, job: Job[object]) -> None:
        """Wait no more for *job*: it does not begin, or it ends in the background and is disposed of."""
        if self._pid != os.getpid():
            return
        with self._lock:
            if job._abandoned:
                return
            job._abandoned = True
            if not job._essential:
                self._waiting.pop(job, None)
            # The result was there, but the task was cancelled before it saw it.
            late = job.finished and job.error is None
            self.settle(job)
            self._has_rest.notify_all()
        if late:
            self.later(job.discard)  # not here, in the thread of an event loop: to dispose of a connection blocks

    def later(self, function: Callable[[], object]) -> None:
        """Have *function* called, for which nobody waits."""
        job = Job(function, _nothing, essential=True)
        job._abandoned = True
        try:
            self.submit(job)
        except (RuntimeError, ClosedError):  # no more threads, or those of another process: Python does what it can
            pass

    def bury(self, handle: object) -> None:
        """Let go of *handle* in one of the threads, soon, rather than here, in the thread of an event loop.

        To free something of libvirt's releases the GIL, and whoever is busy takes it: an event loop that drops a
        listing of 100 would stand in line a hundred times.
        """
        if self._closing:
            return  # there is nothing to be freed any more
        graves = self._graves
        graves.append(handle)
        if len(graves) >= _MANY and not self._running and not self._waiting:  # else somebody comes by anyhow
            self.later(graves.clear)

    def refuse(self) -> None:
        """Take no more calls; those that have not begun fail with :class:`ClosedError`."""
        with self._lock:
            self._closing = True
            failed = [job for job in list(self._waiting) if not job._essential]
            for job in failed:
                self._waiting.pop(job, None)
            self._give_up(failed)
            self._has_work.notify_all()
        for job in failed:
            job.done.set()

    def drain(self, timeout: float) -> None:
        """Wait until all calls are over but for abandoned ones; for *timeout* seconds, then those are too.  Blocks."""
        end = monotonic() + timeout
        with self._lock:
            while self._waiting or not all(job._abandoned and not job._essential for job in self._running):
                left = end - monotonic()
                if left <= 0 or not self._has_rest.wait(left):
                    break
            stuck = [job for job in (*self._running, *self._waiting) if not (job._abandoned or job.finished)]
            self._give_up(stuck)
        for job in stuck:
            job.done.set()

    def _give_up(self, jobs: list[Job[object]]) -> None:
        for job in jobs:
            job._abandoned = job.finished = True
            job.error = ClosedError("the connection was closed before this call was answered")

    def _work(self) -> None:
        while True:
            job = self._next()
            if job is None:
                return
            heard = self._do(job)
            done = job.done
            del job  # or its result would live on here, while this thread is idle
            if heard:
                done.set()
            self._graves.clear()

    def _next(self) -> Job[object] | None:
        """Return the next job to be done, or ``None`` when it is time for this thread to end."""
        end = monotonic() + _IDLE
        with self._lock:
            # Results that nobody has looked at pile up in a loop that is behind, which would then handle all of them
            # at one turn, and be late for everything else.
            if self._untaken >= 2 * self.limit:
                self._has_room.wait(_PATIENCE)
            while not self._waiting:
                left = end - monotonic()
                if self._closing or left <= 0:
                    self._threads -= 1
                    return None
                self._idle += 1
                self._has_work.wait(left)
                self._idle -= 1
            job, _ = self._waiting.popitem(last=False)
            job.begun = True
            self._running.add(job)
            self.most_in_flight = max(self.most_in_flight, len(self._running))
            return job

    def _do(self, job: Job[object]) -> bool:
        """Make the call, and return whether anybody is there to hear of it."""
        result = error = None
        try:
            result = job._context.run(job._function)
        except BaseException as raised:
            error = raised
        with self._lock:
            abandoned = job._abandoned
            job._result = result
            if not abandoned:
                job.error = error
                job.finished = job._untaken = True
                self._untaken += 1
        if abandoned and error is None:
            job.discard()  # still in this slot: to dispose of something may be a request as well
        with self._lock:
            self._running.discard(job)
            self._has_rest.notify_all()
        return not abandoned


def _nothing(result: object) -> None:
    """Dispose of what needs no disposal."""
