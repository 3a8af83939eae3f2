# SPDX-License-Identifier: LGPL-2.1-or-later
"""The conditions that programs wait for: a state, the end of a job, the result of a block job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core import codes
from pyvirt.domain._wait import RECHECK_SECONDS, Condition
from pyvirt.domain.blockjob import CHANGE_IMAGES, _find_images, chain_of
from pyvirt.enums.domain import DomainState
from pyvirt.errors import DomainNotFoundError, OperationFailedError, OperationTimeoutError
from pyvirt.models import DomainStateReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyvirt.domain.blockjob import BlockJob
    from pyvirt.domain.domain import Domain
    from pyvirt.domain.job import Job, JobProgress
    from pyvirt.models import BlockJobInfo


class StateReached(Condition[DomainStateReason]):
    """The domain is in one of several states.  A transient domain that has stopped counts as SHUTOFF."""

    kinds = ("DomainLifecycle",)

    def __init__(self, domain: Domain, states: Sequence[DomainState]) -> None:
        super().__init__(domain)
        self._states = [DomainState(state) for state in states]
        if not self._states:
            raise TypeError("wait_for() needs at least one state")

    def met(self) -> bool:
        """See :meth:`Condition.met`.  (virDomainGetState)"""
        try:
            self.result = self.domain.state()
        except DomainNotFoundError:
            if DomainState.SHUTOFF not in self._states:
                raise
            self.result = DomainStateReason.decode(DomainState.SHUTOFF, 0)
        return self.result.state in self._states

    def late(self, timeout: float) -> OperationTimeoutError:
        """See :meth:`Condition.late`."""
        wanted = " or ".join(state.name for state in self._states)
        return OperationTimeoutError(
            f"domain {self.domain.name!r} is {self.result.state.name}, not {wanted}, after {timeout:g} s",
            function="virDomainGetState",
        )


class JobEnded(Condition[None]):
    """The domain has no job."""

    kinds = ("DomainJobCompleted", "DomainLifecycle")

    def __init__(self, job: Job, progress: JobProgress | None, interval: float) -> None:
        # Drivers do not report the end of every job by an event.
        super().__init__(job.domain, recheck=1.0 if progress is None else interval)
        self._job = job
        self._progress = progress

    def met(self) -> bool:
        """See :meth:`Condition.met`.  (virDomainGetJobInfo)"""
        info = self._job.info()
        if info is None:
            self.result = None
            return True
        if self._progress is not None:
            self._progress(info.data_processed, info.data_total)
        return False

    def late(self, timeout: float) -> OperationTimeoutError:
        """See :meth:`Condition.late`."""
        return OperationTimeoutError(
            f"the job of domain {self.domain.name!r} had not ended after {timeout:g} s", function="virDomainGetJobInfo"
        )


class BlockJobDone(Condition[None]):
    """A copy or an active commit is ready for ``pivot()``, or any other block job has ended."""

    kinds = ("DomainBlockJob", "DomainLifecycle")

    def __init__(self, job: BlockJob, progress: Callable[[int, int], object] | None, interval: float) -> None:
        super().__init__(job.domain, recheck=RECHECK_SECONDS if progress is None else interval)
        self._job = job
        self._progress = progress
        self._begun_here = job._before is not None
        self._before = job._before  # after a job has ended, only the images show its outcome
        self._last: BlockJobInfo | None = None

    def met(self) -> bool:
        """See :meth:`Condition.met`.  (virDomainGetBlockJobInfo, virDomainGetXMLDesc)

        :raises OperationFailedError: the job ended without changing the disk
        """
        if self._before is None:
            self._before = chain_of(self.domain, self._job.name)
        self.result = None
        info = self._job.info()
        if info is None:
            self._check_outcome()
            return True
        if self._progress is not None:
            self._progress(info.cur, info.end)
        self._last = info
        # The hypervisor reports it first, and libvirt refuses to pivot until it has received that report.
        return info.ready and _find_images(self.domain, self._job.name)[1]

    def _check_outcome(self) -> None:
        last = self._last
        if last is not None and last.type not in CHANGE_IMAGES:
            return  # a backup: once it has ended, libvirt no longer reports its result
        if (last or self._begun_here) and chain_of(self.domain, self._job.name) == self._before:
            raise OperationFailedError(
                f"the block job of disk {self._job.name!r} ended without changing the disk: it failed or was aborted",
                code=codes.OPERATION_FAILED,
                function="virDomainGetBlockJobInfo",
            )
        if self._progress is not None and last is not None:
            self._progress(last.end, last.end)

    def late(self, timeout: float) -> OperationTimeoutError:
        """See :meth:`Condition.late`."""
        return OperationTimeoutError(
            f"the block job of disk {self._job.name!r} had not finished after {timeout:g} s",
            function="virDomainGetBlockJobInfo",
        )
