# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.job``: the one long operation on a domain as a whole, a migration, a save, a dump or a backup."""

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

    #: is given how many bytes are done and how many there are
    JobProgress: TypeAlias = Callable[[int, int], object]


class Job(Part):
    """The job of a domain, whoever began it: there is at most one."""

    __slots__ = ()

    def info(self) -> DomainJobInfo | None:
        """Return how far it is, ``None`` when there is no job.  (virDomainGetJobInfo)

        :raises OperationInvalidError: the domain does not run
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
        """Return all that is known of it.  (virDomainGetJobStats)

        Its ``"type"`` is a :class:`~pyvirt.enums.DomainJobType`, ``NONE`` when there is no job; the other names are
        :mod:`pyvirt.enums.params`' ``DOMAIN_JOB_…``: bytes, milliseconds, bytes per second.

        :param flags: with ``COMPLETED`` of the latest one that ended, which is forgotten when it was asked for, unless
            there is ``KEEP_COMPLETED``
        """
        kind = ffi.new("int *")
        found = self._call_params(lib.virDomainGetJobStats, flags, before=(kind,))
        return {"type": DomainJobType(kind[0]), **found}

    def wait(self, *, timeout: float | None = None, progress: JobProgress | None = None, interval: float = 0.2) -> None:
        """Wait until there is no job; how it ended, :meth:`stats` of the ``COMPLETED`` one say.  (virDomainGetJobInfo)

        Events tell when to look, of those jobs whose end drivers tell, and in any case it is looked every second.

        :param timeout: seconds; ``None`` waits without end
        :param progress: called with how many bytes are done and how many there are, which may grow
        :param interval: seconds between calls of *progress*, and between looks where the driver has no events
        :raises OperationInvalidError: the domain does not run any more
        :raises OperationTimeoutError: it was not over within *timeout*; it goes on
        """
        from pyvirt.domain._conditions import JobEnded

        wait(JobEnded(self, progress, interval), timeout, interval)

    def abort(self, *, flags: DomainAbortJobFlags = DomainAbortJobFlags(0)) -> None:
        """End it; whoever waits for it gets an :class:`OperationAbortedError`.

        (virDomainAbortJob, or with *flags* virDomainAbortJobFlags)

        :param flags: with ``POSTCOPY`` also a migration that runs on both sides, which can then be resumed
        :raises OperationInvalidError: there is none, or it cannot be aborted any more
        """
        # A daemon before 8.5 knows only the one without flags.
        if flags:
            self._call(lib.virDomainAbortJobFlags, flags)
        else:
            self._call(lib.virDomainAbortJob)

    def watch(self, call: Callable[[], T], progress: JobProgress, *, interval: float = 0.2) -> T:
        """Return what *call* does, which is this domain's job: ``dom.job.watch(lambda: dom.save(path), show)``.

        *call* runs in a thread of its own, *progress* in this one.  When that raises, or on Ctrl-C, the job is aborted.
        (virDomainGetJobInfo, virDomainAbortJob)

        :param progress: called every *interval* seconds with how many bytes are done and how many there are
        """
        return run_watched(call, lambda: self._report(progress), self._try_to_abort, interval)

    def _report(self, progress: JobProgress) -> None:
        try:
            info = self.info()
        except Error:
            return  # that of the call itself counts
        if info is not None:
            progress(info.data_processed, info.data_total)

    def _try_to_abort(self) -> None:
        try:
            self.abort()
        except Error:
            pass
