# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for what takes long: here a task sleeps where the synchronous model lets a thread sleep.

So a thousand tasks may wait for a thousand domains; each looks at its own now and then, which is one request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, TypeVar, cast

import anyio

from pyvirt.aio._base import unwrap
from pyvirt.aio._runtime import poster
from pyvirt.domain._wait import RARELY, Moments
from pyvirt.domain.blockjob import _CHANGE_IMAGES, chain_of
from pyvirt.domain.blockjob import BlockJob as SyncBlockJob
from pyvirt.errors import ClosedError, ConnectionLostError, Error, OperationAbortedError, OperationTimeoutError

if TYPE_CHECKING:
    import os
    from typing import IO

    from pyvirt.aio._generated.connection import Connection
    from pyvirt.aio._generated.domain.blockjob import BlockJob
    from pyvirt.aio._generated.domain.domain import Domain
    from pyvirt.aio._generated.domain.job import Job
    from pyvirt.aio._generated.domain.migration import Migration
    from pyvirt.aio._generated.storage.volumes import StorageVolume
    from pyvirt.domain import Domain as SyncDomain
    from pyvirt.domain.job import Progress
    from pyvirt.domain.migration import Values
    from pyvirt.enums.domain import DomainState
    from pyvirt.enums.storage import StorageVolDownloadFlags, StorageVolUploadFlags
    from pyvirt.events import Event, Listener
    from pyvirt.models import DomainStateReason
    from pyvirt.uri import URI

T = TypeVar("T")

_FIRST_PAUSE = 0.005  # seconds
_LAST_LOOK = 1.0


async def wait_for(domain: Domain, *states: DomainState, timeout: float | None, interval: float) -> DomainStateReason:
    """Wait until a domain is in one of *states*."""
    looking = _Looking(domain, ("DomainLifecycle",), timeout, interval)
    return await looking.for_(lambda: domain._sync.wait_for(*states, timeout=0))


async def wait_for_job(job: Job, *, timeout: float | None, progress: Progress | None, interval: float) -> None:
    """Wait until a domain has no job."""
    # Drivers do not tell of the end of every job.
    rarely = 1.0 if progress is None else interval
    looking = _Looking(job.domain, ("DomainJobCompleted", "DomainLifecycle"), timeout, interval, rarely, progress)
    await looking.for_(lambda: job._sync.wait(timeout=0, progress=looking.hear))


async def wait_for_block_job(
    job: BlockJob, *, timeout: float | None, progress: Progress | None, interval: float
) -> None:
    """Wait until a block job has done its work."""
    sync = job._sync
    if sync._before is None and (info := await job.info()) is not None and info.type in _CHANGE_IMAGES:
        # It was begun elsewhere, and what it changes is known from here on.
        before = await job._runtime.call(None, lambda: chain_of(sync.domain, sync.name))
        sync = SyncBlockJob(sync.domain, sync.name, before)
    rarely = RARELY if progress is None else interval
    looking = _Looking(job.domain, ("DomainBlockJob", "DomainLifecycle"), timeout, interval, rarely, progress)
    await looking.for_(lambda: sync.wait(timeout=0, progress=looking.hear))


class _Looking:
    """Has a method of the model look, which waits for nothing, until it sees what is waited for.

    It looks when an event comes; where there are none, again and again.
    """

    def __init__(
        self,
        domain: Domain,
        kinds: tuple[str, ...],
        timeout: float | None,
        interval: float,
        rarely: float = RARELY,
        progress: Progress | None = None,
    ) -> None:
        self._runtime = domain._runtime
        self._moments = Moments(domain._sync, kinds, None, interval)
        self._listener: Listener[Event] | None = None
        self._timeout = timeout
        self._end = inf if timeout is None else anyio.current_time() + timeout
        self._interval = interval
        self._rarely = max(rarely, interval)
        self._pause = _FIRST_PAUSE
        self._progress = progress
        self._heard: list[tuple[int, int]] = []

    async def for_(self, look: Callable[[], T]) -> T:
        """Return what *look* returns when it does not raise that its time is over."""
        first = True
        try:
            while True:
                try:
                    return await self._look(look)
                except OperationTimeoutError as error:
                    left = self._end - anyio.current_time()
                    if "after 0 s" not in error.message:  # the look itself was not answered
                        raise
                    if left <= 0:
                        raise self._late(error) from None
                finally:
                    self._tell()
                if first:
                    first = False
                    self._listener = await self._runtime.call(None, self._moments._made, dispose=_close)
                else:
                    await self._rest(left)
        finally:
            if self._listener is not None:
                self._runtime.workers.later(self._listener.close)

    async def _look(self, look: Callable[[], T]) -> T:
        # The last look may take a moment too, but a daemon that does not answer is no reason to wait for ever.
        patience = None if self._timeout is None else max(self._end - anyio.current_time(), _LAST_LOOK)
        return await self._runtime.call(patience, look)

    async def _rest(self, left: float) -> None:
        if self._listener is None:
            await anyio.sleep(min(self._pause, left, self._interval))
            self._pause *= 1.5
            return
        try:
            with anyio.move_on_after(min(left, self._rarely)):
                await anyio.wait_readable(self._listener)
            self._listener.take()
        except (ClosedError, ConnectionLostError):
            pass  # the next look will tell

    def _late(self, error: OperationTimeoutError) -> OperationTimeoutError:
        """Return what a look that saw nothing says when it was the last one."""
        message = error.message.replace("after 0 s", f"after {self._timeout:g} s")
        return OperationTimeoutError(message, function=error.function)

    def hear(self, done: int, size: int) -> None:
        """Take in how far it is, in the thread that looks."""
        self._heard.append((done, size))

    def _tell(self) -> None:
        heard, self._heard = self._heard, []
        if self._progress is not None:
            for done, size in heard:
                self._progress(done, size)


def _close(listener: Listener[Event] | None) -> None:
    if listener is not None:
        listener.close()


async def watch(
    job: Job, call: Callable[[], Awaitable[T]], progress: Progress, *, interval: float, timeout: float | None
) -> T:
    """Return what *call* does, which is this domain's job, and tell *progress* how far it is."""
    results: list[T] = []
    failures: list[Exception] = []
    ended = False

    async def report() -> None:
        try:
            while True:
                await anyio.sleep(interval)
                await _report(job, progress)
        except Exception as error:
            failures.append(error)
            group.cancel_scope.cancel()

    async def work() -> None:
        nonlocal ended
        try:
            results.append(await call())
        except Exception as error:
            failures.append(error)
        ended = True
        group.cancel_scope.cancel()

    try:
        with anyio.move_on_after(timeout):
            async with anyio.create_task_group() as group:
                group.start_soon(report)
                group.start_soon(work)
    finally:
        if not ended:  # cancelled, or late, or progress raised
            await _abort(job)
    if results:
        return results[0]
    if not failures:
        raise OperationTimeoutError(f"the job was not over after {timeout:g} s, and is aborted")
    raise failures[0]


async def _report(job: Job, progress: Progress) -> None:
    try:
        info = await job.info()
    except Error:
        return  # that of the call itself counts
    if info is not None:
        progress(info.data_processed, info.data_total)


async def _abort(job: Job) -> None:
    with anyio.move_on_after(job._runtime.close_timeout, shield=True):
        while True:
            try:
                await job.abort()
                return
            except Error:  # it has perhaps not begun yet
                await anyio.sleep(0.05)


async def migrate(
    migration: Migration,
    dest: Connection | str | URI | None,
    values: Values | None,
    /,
    *,
    flags: int,
    progress: Progress | None,
    timeout: float | None,
    **more: object,
) -> Domain | None:
    """Move a domain, and return it as *dest* has it."""
    from pyvirt.aio._generated.connection import Connection
    from pyvirt.aio._generated.domain.domain import Domain

    runtime = migration._runtime
    to = cast("Callable[..., SyncDomain | None]", migration._sync.to)  # its overloads say more than is known here

    def call() -> Domain | None:
        found = to(unwrap(dest), values, flags=flags, **more)
        if found is None:
            return None
        assert isinstance(dest, Connection)
        return Domain(dest._runtime, found)

    if progress is None:
        return await runtime.call(timeout, call)
    job = migration.domain.job
    return await watch(job, lambda: runtime.call(inf, call), progress, interval=0.2, timeout=timeout)


# ---- transfers ----


async def download(
    volume: StorageVolume,
    dest: str | os.PathLike[str] | IO[bytes],
    *,
    offset: int,
    length: int,
    progress: Callable[[int], object] | None,
    flags: StorageVolDownloadFlags,
    timeout: float | None,
) -> int:
    """Write the content of a volume into a file."""

    def call(report: Callable[[int], None]) -> int:
        return volume._sync.download(dest, offset=offset, length=length, progress=report, flags=flags)

    return await _transfer(volume, call, progress, timeout)


async def upload(
    volume: StorageVolume,
    source: str | os.PathLike[str] | IO[bytes],
    *,
    offset: int,
    length: int,
    progress: Callable[[int], object] | None,
    flags: StorageVolUploadFlags,
    timeout: float | None,
) -> int:
    """Write a file over the content of a volume."""

    def call(report: Callable[[int], None]) -> int:
        return volume._sync.upload(source, offset=offset, length=length, progress=report, flags=flags)

    return await _transfer(volume, call, progress, timeout)


async def _transfer(
    volume: StorageVolume,
    call: Callable[[Callable[[int], None]], int],
    progress: Callable[[int], object] | None,
    timeout: float | None,
) -> int:
    """Make a call that reports in its thread, and can be ended by what that raises: so it ends when it is cancelled."""
    post = poster()
    failures: list[Exception] = []
    over = False

    def report(moved: int) -> None:
        if over or failures:
            raise OperationAbortedError("the transfer was cancelled")
        if progress is not None:
            post(lambda: tell(moved))

    def tell(moved: int) -> None:
        assert progress is not None
        try:
            progress(moved)
        except Exception as error:
            failures.append(error)

    try:
        moved = await volume._runtime.call(timeout, lambda: call(report))
    except OperationAbortedError:
        if not failures:
            raise
    finally:
        over = True
    if failures:
        raise failures[0]
    return moved
