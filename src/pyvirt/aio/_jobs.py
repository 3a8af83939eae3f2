# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for what takes long: here a task sleeps where the synchronous model lets a thread sleep.

So a thousand tasks may wait for a thousand domains; each looks at its own now and then, which is one request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, TypeVar, cast

import anyio

from pyvirt.aio._base import Async, unwrap
from pyvirt.aio._runtime import poster
from pyvirt.domain.blockjob import _CHANGE_IMAGES, chain_of
from pyvirt.domain.blockjob import BlockJob as SyncBlockJob
from pyvirt.errors import Error, OperationAbortedError, OperationTimeoutError

if TYPE_CHECKING:
    import os
    from typing import IO

    from pyvirt.aio.connection import Connection
    from pyvirt.aio.domain.blockjob import BlockJob
    from pyvirt.aio.domain.domain import Domain
    from pyvirt.aio.domain.job import Job
    from pyvirt.aio.domain.migration import Migration
    from pyvirt.aio.storage.volumes import StorageVolume
    from pyvirt.domain import Domain as SyncDomain
    from pyvirt.domain.job import Progress
    from pyvirt.domain.migration import Values
    from pyvirt.enums.domain import DomainState
    from pyvirt.enums.storage import StorageVolDownloadFlags, StorageVolUploadFlags
    from pyvirt.models import DomainStateReason
    from pyvirt.uri import URI

S = TypeVar("S")
T = TypeVar("T")

_FIRST_PAUSE = 0.005  # seconds
_LAST_LOOK = 1.0


async def wait_for(domain: Domain, *states: DomainState, timeout: float | None, interval: float) -> DomainStateReason:
    """Wait until a domain is in one of *states*."""
    return await _look(domain, lambda: domain._sync.wait_for(*states, timeout=0), timeout, interval)


async def wait_for_job(job: Job, *, timeout: float | None, progress: Progress | None, interval: float) -> None:
    """Wait until a domain has no job."""
    await _look(job, lambda: job._sync.wait(timeout=0, progress=told.hear), timeout, interval, told := _Told(progress))


async def wait_for_block_job(
    job: BlockJob, *, timeout: float | None, progress: Progress | None, interval: float
) -> None:
    """Wait until a block job has done its work."""
    sync = job._sync
    if sync._before is None and (info := await job.info()) is not None and info.type in _CHANGE_IMAGES:
        # It was begun elsewhere, and what it changes is known from here on.
        before = await job._runtime.call(None, lambda: chain_of(sync.domain, sync.name))
        sync = SyncBlockJob(sync.domain, sync.name, before)
    told = _Told(progress)
    await _look(job, lambda: sync.wait(timeout=0, progress=told.hear), timeout, interval, told)


class _Told:
    """Carries what a look hears in its thread to a callback in the event loop."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._heard: list[tuple[int, int]] = []

    def hear(self, done: int, size: int) -> None:
        self._heard.append((done, size))

    def tell(self) -> None:
        heard, self._heard = self._heard, []
        if self._progress is not None:
            for done, size in heard:
                self._progress(done, size)


async def _look(
    one: Async[S], look: Callable[[], T], timeout: float | None, interval: float, told: _Told | None = None
) -> T:
    """Have a method of the model look, which waits for nothing, until it sees what is waited for."""
    end = inf if timeout is None else anyio.current_time() + timeout
    pause = _FIRST_PAUSE
    while True:
        try:
            # The last look may take a moment too, but a daemon that does not answer is no reason to wait for ever.
            patience = None if timeout is None else max(end - anyio.current_time(), _LAST_LOOK)
            found = await one._runtime.call(patience, look)
        except OperationTimeoutError as error:
            left = end - anyio.current_time()
            if "after 0 s" not in error.message:  # the look itself was not answered
                raise
            if left <= 0:
                assert timeout is not None
                message = error.message.replace("after 0 s", f"after {timeout:g} s")
                raise OperationTimeoutError(message, function=error.function) from None
        else:
            return found
        finally:
            if told is not None:
                told.tell()
        await anyio.sleep(min(pause, left, interval))
        pause *= 1.5


async def watch(
    job: Job, call: Callable[[], Awaitable[T]], progress: Progress, *, interval: float, timeout: float | None
) -> T:
    """Return what *call* does, which is this domain's job, and tell *progress* how far it is."""
    results: list[T] = []
    failures: list[Exception] = []

    async def report() -> None:
        try:
            while True:
                await anyio.sleep(interval)
                await _report(job, progress)
        except Exception as error:
            failures.append(error)
            group.cancel_scope.cancel()

    async def work() -> None:
        try:
            results.append(await call())
        except Exception as error:
            failures.append(error)
        group.cancel_scope.cancel()

    try:
        with anyio.move_on_after(timeout):
            async with anyio.create_task_group() as group:
                group.start_soon(report)
                group.start_soon(work)
    finally:
        if not results and not failures:  # cancelled, or late
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
    from pyvirt.aio.connection import Connection
    from pyvirt.aio.domain.domain import Domain

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
