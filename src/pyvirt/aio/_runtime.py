# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a task waits for a blocking call.  Every asynchronous method calls libvirt through this module."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from math import inf
from threading import Lock, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from pyvirt.aio._workers import Job, Signal, Workers
from pyvirt.errors import OperationAbortedError, OperationTimeoutError

try:
    import anyio
    from anyio.lowlevel import checkpoint_if_cancelled, current_token
except ImportError as error:
    raise ImportError("pyvirt.aio needs anyio 4.11 or newer: pip install 'pyvirt[aio]'", name="anyio") from error

if TYPE_CHECKING:

    class _TrioToken(Protocol):
        def run_sync_soon(self, function: Callable[[], object]) -> None: ...

    class _Closable(Protocol):
        async def close(self) -> None: ...


T = TypeVar("T")
A = TypeVar("A", bound="_Closable")


def loop_scheduler() -> Callable[[Callable[[], object]], None]:
    """Return a function that any thread may call to run another function in this event loop.  It does not wait."""
    token = current_token().native_token
    if isinstance(token, asyncio.AbstractEventLoop):
        return cast("Callable[[Callable[[], object]], None]", token.call_soon_threadsafe)
    return cast("_TrioToken", token).run_sync_soon


async def wait(signal: Signal) -> None:
    """Wait until *signal* is set, in any thread."""
    schedule = loop_scheduler()
    event = anyio.Event()

    def wake_task() -> None:
        try:
            schedule(event.set)
        except RuntimeError:  # the loop has ended, and the task with it
            pass

    if signal.add_listener(wake_task):
        try:
            await event.wait()
        finally:
            signal.remove_listener(wake_task)


class Runtime:
    """What the asynchronous objects of one connection share: its threads and its timeouts."""

    __slots__ = ("_closed", "_lock", "call_timeout", "close_timeout", "dispose", "workers")

    def __init__(
        self,
        max_requests: int,
        call_timeout: float | None,
        close_timeout: float,
        dispose: Callable[[object], object],
    ) -> None:
        self.workers = Workers(max_requests)
        self.call_timeout = call_timeout
        self.close_timeout = close_timeout
        self.dispose = dispose
        self._lock = Lock()
        self._closed: Signal | None = None

    async def call(
        self,
        timeout: float | None,
        function: Callable[[], T],
        *,
        dispose: Callable[[T], object] | None = None,
        essential: bool = False,
    ) -> T:
        """Call *function* in a thread, and return its result.

        When the task is cancelled, or *timeout* passes, a call that has not begun never begins.  A call that has begun
        ends in the background, and its result is passed to *dispose*.

        :param timeout: seconds, including the time in the queue; ``None`` uses the connection's, ``inf`` sets no limit
        :param dispose: by default closes the objects of libvirt in the result
        :param essential: make the call even if the task stops waiting before it begins
        :raises OperationTimeoutError: the call did not end within *timeout*
        """
        limit = self.call_timeout if timeout is None else timeout
        if not essential:
            await checkpoint_if_cancelled()
        job = Job(function, dispose or self.dispose, essential=essential)
        self.workers.submit(job)
        try:
            if limit is None or limit == inf:
                await wait(job.done)
            else:
                with anyio.move_on_after(limit):
                    await wait(job.done)
        except BaseException:
            self.workers.abandon(job)
            raise
        if not job.finished:
            self.workers.abandon(job)
            assert limit is not None
            raise OperationTimeoutError(
                f"the call was not answered within {limit:g} s; it continues in the background"
                if job.begun
                else f"the call did not begin within {limit:g} s: {self.workers.limit} other calls were in flight"
            )
        self.workers.mark_taken(job)
        return job.take()

    def context(self, timeout: float | None, function: Callable[[], AbstractContextManager[T]]) -> ThreadedContext[T]:
        """Return an asynchronous context manager for the synchronous one that *function* makes."""
        return ThreadedContext(self, timeout, function)

    async def call_after_error(self, error: BaseException, function: Callable[[], T]) -> T | None:
        """Call *function* at the end of a block that raised *error*, even if the task is cancelled.

        A cancelled task waits for the result for at most ``close_timeout``, any other task until the call has ended.
        """
        if not isinstance(error, anyio.get_cancelled_exc_class()):
            return await self.call(inf, function, essential=True)
        with anyio.move_on_after(self.close_timeout, shield=True):
            return await self.call(inf, function, essential=True)
        return None

    async def close(self, close: Callable[[], None]) -> None:
        """Refuse new calls, wait for those under way, and call *close* in a thread; all of this for a limited time."""
        with self._lock:
            first = self._closed is None
            closed = self._closed = self._closed or Signal()
        if first:
            self.workers.refuse_calls()

            def work() -> None:
                try:
                    self.workers.drain(self.close_timeout)
                    close()  # waits for the daemon, which may be dead
                finally:
                    closed.set()

            # A separate thread, because all others may be stuck in calls.  It closes the connection even if this task
            # ends.
            Thread(target=work, name="pyvirt-aio-close", daemon=True).start()
        # Twice: once for the calls under way, once for closing the connection.
        with anyio.move_on_after(2 * self.close_timeout, shield=True):
            await wait(closed)


class ThreadedContext(Generic[T]):
    """A context manager of the synchronous model, entered and left in a thread."""

    __slots__ = ("_function", "_manager", "_runtime", "_timeout")

    def __init__(
        self, runtime: Runtime, timeout: float | None, function: Callable[[], AbstractContextManager[T]]
    ) -> None:
        self._runtime = runtime
        self._timeout = timeout
        self._function = function
        self._manager: AbstractContextManager[T] | None = None

    async def __aenter__(self) -> T:
        manager = self._manager = self._function()
        return await self._runtime.call(self._timeout, manager.__enter__, dispose=self._leave)

    def _leave(self, entered: object) -> None:
        """Leave a context that was entered after the task had stopped waiting, as if its block had raised an error."""
        assert self._manager is not None
        error = OperationAbortedError("the task was cancelled before the block began")
        try:
            self._manager.__exit__(type(error), error, None)
        except OperationAbortedError:
            pass

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        manager = self._manager
        assert manager is not None

        def leave() -> bool | None:
            return manager.__exit__(kind, error, traceback)

        if error is None:
            return await self._runtime.call(self._timeout, leave, essential=True)
        return await self._runtime.call_after_error(error, leave)


class Opening(Generic[A]):
    """A connection to open: ``async with`` opens and closes it; ``await`` only opens it, and you close it."""

    __slots__ = ("_make", "_opened", "_runtime", "_timeout")

    def __init__(self, runtime: Runtime, timeout: float | None, make: Callable[[], A]) -> None:
        self._runtime = runtime
        self._timeout = inf if timeout is None else timeout
        self._make = make
        self._opened: A | None = None

    async def _open(self) -> A:
        try:
            return await self._runtime.call(self._timeout, self._make)
        except BaseException:
            self._runtime.workers.refuse_calls()
            raise

    def __await__(self) -> Generator[object, None, A]:
        return self._open().__await__()

    async def __aenter__(self) -> A:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._opened is not None
        await self._opened.close()
