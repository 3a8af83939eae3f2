# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for states and jobs, and transfers.  Where the synchronous model lets a thread sleep, a task sleeps here.

So a thousand tasks can wait for a thousand domains: each task checks its own domain from time to time, by one request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from math import inf
from typing import TYPE_CHECKING, TypeVar, cast

import anyio

from pyvirt.aio._base import unwrap
from pyvirt.aio._runtime import loop_scheduler
from pyvirt.domain._conditions import BlockJobDone, JobEnded, StateReached
from pyvirt.domain._wait import new_listener
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
    from pyvirt.aio._runtime import Runtime
    from pyvirt.domain import Domain as SyncDomain
    from pyvirt.domain._wait import Condition
    from pyvirt.domain.job import JobProgress
    from pyvirt.domain.migration import Values
    from pyvirt.enums.domain import DomainState
    from pyvirt.enums.storage import StorageVolDownloadFlags, StorageVolUploadFlags
    from pyvirt.events import Event, Listener
    from pyvirt.models import DomainStateReason
    from pyvirt.uri import URI

T = TypeVar("T")

_FIRST_PAUSE = 0.005  # seconds
_LAST_CHECK = 1.0  # seconds that the last check may take, even if the time is over


async def wait_for(domain: Domain, *states: DomainState, timeout: float | None, interval: float) -> DomainStateReason:
    """Wait until a domain is in one of *states*."""
    return await _wait(domain._runtime, StateReached(domain._sync, states), timeout, interval)


async def wait_for_job(job: Job, *, timeout: float | None, progress: JobProgress | None, interval: float) -> None:
    """Wait until a domain has no job."""
    reports = _Reports(progress)
    await _wait(job._runtime, JobEnded(job._sync, reports.add_if_wanted, interval), timeout, interval, reports)


async def wait_for_block_job(
    job: BlockJob, *, timeout: float | None, progress: JobProgress | None, interval: float
) -> None:
    """Wait until a copy or an active commit is ready for ``pivot()``, or any other block job has ended."""
    reports = _Reports(progress)
    await _wait(job._runtime, BlockJobDone(job._sync, reports.add_if_wanted, interval), timeout, interval, reports)


class _Reports:
    """Progress that a thread has reported, and that the task passes to the callback."""

    def __init__(self, progress: JobProgress | None) -> None:
        self._progress = progress
        self._reports: list[tuple[int, int]] = []

    @property
    def add_if_wanted(self) -> JobProgress | None:
        """The function that the thread calls; ``None`` if there is no progress callback."""
        return None if self._progress is None else self._add

    def _add(self, done: int, size: int) -> None:
        self._reports.append((done, size))

    def pass_on(self) -> None:
        """Call the progress callback, in this task."""
        reports, self._reports = self._reports, []
        if self._progress is not None:
            for done, size in reports:
                self._progress(done, size)


async def _wait(
    runtime: Runtime,
    condition: Condition[T],
    timeout: float | None,
    interval: float,
    reports: _Reports | None = None,
) -> T:
    """Wait as :func:`pyvirt.domain._wait.wait` does; each check is one request, and between them the task sleeps."""
    end = inf if timeout is None else anyio.current_time() + timeout
    listener: Listener[Event] | None = None
    pauses = _pauses(interval)
    first = True
    try:
        while True:
            # The last check may take a moment too, but a daemon that does not answer must not delay it indefinitely.
            limit = None if timeout is None else max(end - anyio.current_time(), _LAST_CHECK)
            try:
                met = await runtime.call(limit, condition.met)
            finally:
                if reports is not None:
                    reports.pass_on()
            if met:
                return condition.result
            left = end - anyio.current_time()
            if left <= 0:
                assert timeout is not None
                raise condition.late(timeout)
            if first:
                first = False
                make = partial(new_listener, condition.domain, condition.kinds)
                listener = await runtime.call(None, make, dispose=_close)
            elif listener is None:
                await anyio.sleep(min(next(pauses), left))
            else:
                await _wait_for_event(listener, min(left, max(condition.recheck, interval)))
    finally:
        if listener is not None:
            runtime.workers.run_in_background(listener.close)


def _pauses(interval: float) -> Iterator[float]:
    """Yield the seconds to sleep between checks where there are no events: few at first, *interval* in the end."""
    pause = _FIRST_PAUSE
    while True:
        yield min(pause, interval)
        pause *= 1.5


async def _wait_for_event(listener: Listener[Event], timeout: float) -> None:
    try:
        with anyio.move_on_after(timeout):
            await anyio.wait_readable(listener)
        listener.take()
    except (ClosedError, ConnectionLostError):
        pass  # the next check raises the error


def _close(listener: Listener[Event] | None) -> None:
    if listener is not None:
        listener.close()


async def watch(
    job: Job, call: Callable[[], Awaitable[T]], progress: JobProgress, *, interval: float, timeout: float | None
) -> T:
    """Await *call*, which runs a job of this domain, report its progress to *progress*, and return the result."""
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
        if not ended:  # cancelled, the timeout has passed, or the progress callback raised an exception
            await _abort(job)
    if results:
        return results[0]
    if not failures:
        raise OperationTimeoutError(f"the job had not ended after {timeout:g} s, and was aborted")
    raise failures[0]


async def _report(job: Job, progress: JobProgress) -> None:
    try:
        info = await job.info()
    except Error:
        return  # the call itself raises the error that counts
    if info is not None:
        progress(info.data_processed, info.data_total)


async def _abort(job: Job) -> None:
    with anyio.move_on_after(job._runtime.close_timeout, shield=True):
        while True:
            try:
                await job.abort()
                return
            except Error:  # perhaps the job has not begun yet
                await anyio.sleep(0.05)


async def migrate(
    migration: Migration,
    dest: Connection | str | URI | None,
    values: Values | None,
    /,
    *,
    flags: int,
    progress: JobProgress | None,
    timeout: float | None,
    **more: object,
) -> Domain | None:
    """Migrate a domain, and return the domain on *dest*."""
    from pyvirt.aio._generated.connection import Connection
    from pyvirt.aio._generated.domain.domain import Domain

    runtime = migration._runtime
    # The overloads of to() need types that are not known here.
    to = cast("Callable[..., SyncDomain | None]", migration._sync.to)

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
    """Write the content of a volume to a file."""

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
    """Write a file to a volume, over its content."""

    def call(report: Callable[[int], None]) -> int:
        return volume._sync.upload(source, offset=offset, length=length, progress=report, flags=flags)

    return await _transfer(volume, call, progress, timeout)


async def _transfer(
    volume: StorageVolume,
    call: Callable[[Callable[[int], None]], int],
    progress: Callable[[int], object] | None,
    timeout: float | None,
) -> int:
    """Make a transfer in a thread.  It ends when its progress report raises, so a cancelled task can stop it."""
    schedule = loop_scheduler()
    failures: list[Exception] = []
    stopped = False

    def report(moved: int) -> None:
        if stopped or failures:
            raise OperationAbortedError("the transfer was cancelled")
        if progress is not None:
            schedule(lambda: report_in_task(moved))

    def report_in_task(moved: int) -> None:
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
        stopped = True
    if failures:
        raise failures[0]
    return moved
