# SPDX-License-Identifier: LGPL-2.1-or-later
"""The threads that make the calls of a connection, and what happens to calls that no task waits for any longer.

libvirt's calls block, and none of them can be interrupted.  So a task passes its call to a thread and waits.  When the
task is cancelled, it stops waiting and the call is *abandoned*: if it has not begun, it never begins; otherwise it ends
in the background and its result is disposed of.  A thread makes one call at a time, and there are as many threads as
requests may be in flight, so an abandoned call counts until it ends.

anyio's own threads are not suitable.  On asyncio, anyio releases the limiter token of an abandoned call while that call
is still running, so the daemon would get more requests than allowed; and anyio's threads keep the interpreter from
exiting.  The threads here are daemon threads: one that waits for a dead daemon does not delay the exit.

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

_IDLE_SECONDS = 10.0  # after which a thread without work ends
_TAKE_SECONDS = 0.05  # for which a thread waits until a busy event loop takes results
_RELEASE_BATCH = 16  # handles to release that make a call of their own; fewer wait for the next call


class Signal:
    """Something that happens once, in any thread.  Listeners are called in that thread."""

    __slots__ = ("_listeners", "_lock", "_set")

    def __init__(self) -> None:
        self._lock = RLock()  # reentrant for the same reason as the lock of Workers
        self._set = False
        self._listeners: list[Callable[[], None]] = []

    def add_listener(self, listener: Callable[[], None]) -> bool:
        """Call *listener* when it happens; return ``False`` if it has happened already."""
        with self._lock:
            if not self._set:
                self._listeners.append(listener)
            return not self._set

    def remove_listener(self, listener: Callable[[], None]) -> None:
        """Do not call *listener*."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def set(self) -> None:
        """Record that it has happened, and call the listeners."""
        with self._lock:
            self._set = True
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()


class Job(Generic[T]):
    """One call, on its way from a task to a thread and back."""

    __slots__ = (
        "_abandoned",
        "_context",
        "_dispose",
        "_essential",
        "_function",
        "_result",
        "_untaken",
        "begun",
        "done",
        "error",
        "finished",
    )

    _result: T

    def __init__(self, function: Callable[[], T], dispose: Callable[[T], object], *, essential: bool = False) -> None:
        """Prepare a call of *function*; its result is passed to *dispose* if no task waits for it.

        :param essential: make the call even if the task stops waiting, or the connection closes, before the call begins
        """
        self._function = function
        self._dispose = dispose
        self._essential = essential
        self._context = copy_context()
        self._abandoned = self._untaken = False
        #: Whether a thread has begun the call.
        self.begun = False
        #: Whether there is a result or an error to take.
        self.finished = False
        #: The exception that the call raised.
        self.error: BaseException | None = None
        #: Set when the call is finished.
        self.done = Signal()

    def take(self) -> T:
        """Return the result, or raise the error.  Call it once only, after the call is finished."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame
        try:
            return self._result
        finally:
            del self._result

    def discard(self) -> None:
        """Dispose of the result."""
        try:
            self._dispose(self._result)
        except Exception:  # no task is left to receive it, and nothing can be done
            pass


class Workers:
    """As many threads as requests may be in flight, started when they are needed."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"max_requests must be at least 1, not {limit}")
        #: How many calls may be under way at a time.
        self.limit = limit
        #: The highest number of calls that were under way at a time.
        self.most_in_flight = 0
        self._pid = os.getpid()
        # Reentrant: Python may collect a coroutine that waits for a call while this thread holds the lock, and the call
        # is then abandoned in this thread.
        lock = RLock()
        self._lock = lock
        self._has_work = Condition(lock)
        self._call_ended = Condition(lock)
        self._result_taken = Condition(lock)
        # Jobs of any result type: results are not used here.
        self._waiting: OrderedDict[Job[object], None] = OrderedDict()
        self._running: set[Job[object]] = set()
        self._unreleased: list[object] = []
        self._untaken = 0
        self._threads = 0
        self._idle = 0
        self._closing = False

    @property
    def in_flight(self) -> int:
        """How many calls are under way, including abandoned ones."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return len(self._waiting)

    @property
    def closing(self) -> bool:
        """Whether new calls are refused."""
        return self._closing

    def submit(self, job: Job[object]) -> None:
        """Queue *job* for a thread.

        :raises ClosedError: new calls are refused
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
            # When the interpreter exits, no thread can be started; jobs that are left are dropped with the process.
            if self._threads >= self.limit or sys.is_finalizing():
                return
            self._threads += 1
        try:
            Thread(target=self._work, name="pyvirt-aio", daemon=True).start()
        except BaseException:  # no thread could be started: without any other thread this job would never run
            with self._lock:
                self._threads -= 1
                if self._threads:
                    return
                self._waiting.pop(job, None)
            raise

    def mark_taken(self, job: Job[object]) -> None:
        """Note that the task has received the end of *job*, or waits for it no longer."""
        with self._lock:
            if job._untaken:
                job._untaken = False
                self._untaken -= 1
                self._result_taken.notify()

    def abandon(self, job: Job[object]) -> None:
        """Stop waiting for *job*: it does not begin, or it ends in the background and its result is disposed of."""
        if self._pid != os.getpid():
            return
        with self._lock:
            if job._abandoned:
                return
            job._abandoned = True
            if not job._essential:
                self._waiting.pop(job, None)
            # The result had arrived, but the task was cancelled before it took the result.
            has_result = job.finished and job.error is None
            self.mark_taken(job)
            self._call_ended.notify_all()
        if has_result:
            # Not in this thread, which runs the event loop: to dispose of a connection blocks.
            self.run_in_background(job.discard)

    def run_in_background(self, function: Callable[[], object]) -> None:
        """Call *function* in one of the threads; no task waits for it."""
        job = Job(function, _ignore, essential=True)
        job._abandoned = True
        try:
            self.submit(job)
        except (RuntimeError, ClosedError):  # no thread could be started, or this is a forked child: finalisers must do
            pass

    def release_soon(self, handle: object) -> None:
        """Drop the reference to *handle* in one of the threads, not in this thread, which runs the event loop.

        Freeing an object of libvirt releases the GIL, and then a busy thread may take it: an event loop that drops a
        list of 100 objects would wait for the GIL a hundred times.
        """
        if self._closing:
            return  # closing the connection releases all its handles
        unreleased = self._unreleased
        unreleased.append(handle)
        # If a call is running or waiting, the thread that makes it releases them.
        if len(unreleased) >= _RELEASE_BATCH and not self._running and not self._waiting:
            self.run_in_background(unreleased.clear)

    def refuse_calls(self) -> None:
        """Refuse new calls; calls that have not begun fail with :class:`ClosedError`."""
        with self._lock:
            self._closing = True
            failed = [job for job in list(self._waiting) if not job._essential]
            for job in failed:
                self._waiting.pop(job, None)
            self._fail(failed)
            self._has_work.notify_all()
        for job in failed:
            job.done.set()

    def drain(self, timeout: float) -> None:
        """Wait until all calls but abandoned ones have ended; after *timeout* seconds, abandon the others.  Blocks."""
        end = monotonic() + timeout
        with self._lock:
            while self._waiting or not all(job._abandoned and not job._essential for job in self._running):
                left = end - monotonic()
                if left <= 0 or not self._call_ended.wait(left):
                    break
            stuck = [job for job in (*self._running, *self._waiting) if not (job._abandoned or job.finished)]
            self._fail(stuck)
        for job in stuck:
            job.done.set()

    def _fail(self, jobs: list[Job[object]]) -> None:
        for job in jobs:
            job._abandoned = job.finished = True
            job.error = ClosedError("the connection was closed before this call was answered")

    def _work(self) -> None:
        """Make calls until this thread is no longer needed."""
        while True:
            job = self._next_job()
            if job is None:
                return
            is_awaited = self._make_call(job)
            done = job.done
            del job  # otherwise its result would stay alive while this thread is idle
            if is_awaited:
                done.set()
            self._unreleased.clear()

    def _next_job(self) -> Job[object] | None:
        """Return the next job, or ``None`` when this thread must end."""
        end = monotonic() + _IDLE_SECONDS
        with self._lock:
            # Results that no task has taken pile up while the event loop is busy.  The loop would then handle all of
            # them in one turn, and be late for everything else.
            if self._untaken >= 2 * self.limit:
                self._result_taken.wait(_TAKE_SECONDS)
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

    def _make_call(self, job: Job[object]) -> bool:
        """Make the call, and return whether a task waits for its end."""
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
            job.discard()  # while this call still counts: disposing may be a request too
        with self._lock:
            self._running.discard(job)
            self._call_ended.notify_all()
        return not abandoned


def _ignore(result: object) -> None:
    """Dispose of a result that needs no disposal."""
