# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.job``: a long operation on a whole domain: a migration, a save, a dump or a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.background import run_watched
from pyvirt._core.lib import ffi, lib
from pyvirt.domain._part import Part
from pyvirt.domain._wait import wait
from pyvirt.enums.domain_job import DomainAbortJobFlags, DomainGetJobStatsFlags, DomainJobType
from pyvirt.errors import Error
from pyvirt.models import DomainJobInfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias, TypeVar

    from pyvirt._core.params import TypedValue

    T = TypeVar("T")

    #: called with the bytes done and the total
    JobProgress: TypeAlias = Callable[[int, int], object]


class Job(Part):
    """The job of a domain, also one that another program has started: there is at most one at a time."""

    __slots__ = ()

    def info(self) -> DomainJobInfo | None:
        """Return the progress of the job, ``None`` if there is no job.  (virDomainGetJobInfo)

        :raises OperationInvalidError: the domain is not running
        """
        out = ffi.new("virDomainJobInfo *")
        self._call(lib.virDomainGetJobInfo, out)
        if out.type == DomainJobType.NONE:
            return None
        return DomainJobInfo(
            DomainJobType(out.type),
            *(out.timeElapsed, out.timeRemaining),
            *(out.dataTotal, out.dataProcessed, out.dataRemaining),
            *(out.memTotal, out.memProcessed, out.memRemaining),
            *(out.fileTotal, out.fileProcessed, out.fileRemaining),
        )

    def stats(self, *, flags: DomainGetJobStatsFlags = DomainGetJobStatsFlags(0)) -> dict[str, TypedValue]:
        """Return all statistics of the job.  (virDomainGetJobStats)

        Its ``"type"`` is a :class:`~pyvirt.enums.DomainJobType`, ``NONE`` when there is no job; the other names are
        :mod:`pyvirt.enums.params`' ``DOMAIN_JOB_…``: bytes, milliseconds, bytes per second.

        :param flags: with ``COMPLETED`` those of the latest job that ended; libvirt forgets them when they are read,
            unless *flags* have ``KEEP_COMPLETED``
        """
        kind = ffi.new("int *")
        found = self._call_params(lib.virDomainGetJobStats, flags, before=(kind,))
        return {"type": DomainJobType(kind[0]), **found}

    def wait(self, *, timeout: float | None = None, progress: JobProgress | None = None, interval: float = 0.2) -> None:
        """Wait until there is no job; :meth:`stats` with ``COMPLETED`` returns its outcome.  (virDomainGetJobInfo)

        The job is checked after each event, and at least once a second: drivers do not report the end of every job.

        :param timeout: seconds; ``None`` waits indefinitely
        :param progress: called with the bytes done and the total, which may grow
        :param interval: seconds between calls of *progress*, and between checks where the driver has no events
        :raises OperationInvalidError: the domain is no longer running
        :raises OperationTimeoutError: the job had not ended within *timeout*; it continues
        """
        from pyvirt.domain._conditions import JobEnded

        wait(JobEnded(self, progress, interval), timeout, interval)

    def abort(self, *, flags: DomainAbortJobFlags = DomainAbortJobFlags(0)) -> None:
        """Abort the job; a call that performs it, such as a save, raises :class:`OperationAbortedError`.

        (virDomainAbortJob, or with *flags* virDomainAbortJobFlags)

        :param flags: with ``POSTCOPY`` also a migration in its post-copy phase, which can then be resumed
        :raises OperationInvalidError: there is no job, or it can no longer be aborted
        """
        # A daemon before 8.5 has only the function without flags.
        if flags:
            self._call(lib.virDomainAbortJobFlags, flags)
        else:
            self._call(lib.virDomainAbortJob)

    def watch(self, call: Callable[[], T], progress: JobProgress, *, interval: float = 0.2) -> T:
        """Run *call*, which performs this domain's job, report its progress, and return the result of *call*.

        ``dom.job.watch(lambda: dom.save(path), show)``: *call* runs in a separate thread, *progress* in this one.  If
        *progress* raises, or on Ctrl-C, the job is aborted.  (virDomainGetJobInfo, virDomainAbortJob)

        :param progress: called every *interval* seconds with the bytes done and the total
        """
        return run_watched(call, lambda: self._report(progress), self._try_to_abort, interval)

    def _report(self, progress: JobProgress) -> None:
        try:
            info = self.info()
        except Error:
            return  # the error of the call itself is raised
        if info is not None:
            progress(info.data_processed, info.data_total)

    def _try_to_abort(self) -> None:
        try:
            self.abort()
        except Error:
            pass
