# SPDX-License-Identifier: LGPL-2.1-or-later
"""Block jobs: a copy, a commit or a pull of the images of a disk, while the guest uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import encode
from pyvirt.domain._part import NamedPart
from pyvirt.domain._wait import wait
from pyvirt.enums.domain_job import (
    DomainBlockJobAbortFlags,
    DomainBlockJobInfoFlags,
    DomainBlockJobSetSpeedFlags,
    DomainBlockJobType,
)
from pyvirt.models import BlockJobInfo
from pyvirt.xmldesc import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from lxml.etree import _Element

    from pyvirt.domain.domain import Domain

    #: the names of each image of a disk, from the active image to the lowest
    Chain: TypeAlias = tuple[frozenset[str], ...]


CHANGE_IMAGES = (
    DomainBlockJobType.PULL,
    DomainBlockJobType.COPY,
    DomainBlockJobType.COMMIT,
    DomainBlockJobType.ACTIVE_COMMIT,
)


def _layers(disk: _Element) -> Iterator[tuple[_Element, _Element]]:
    layer: _Element | None = disk
    while layer is not None and (source := layer.find("source")) is not None:
        yield layer, source
        layer = layer.find("backingStore")


def _find_images(domain: Domain, disk: str) -> tuple[Chain, bool]:
    """Return the images of a disk, and whether a copy of it is ready to replace it.

    Both are read from the running configuration.  There are no images if there is no such disk.
    """
    for element in parse(domain.xml_desc()).iterfind("devices/disk"):
        target, mirror = element.find("target"), element.find("mirror")
        name = None if target is None else target.get("dev")
        chain = []
        for layer, source in _layers(element):
            index = layer.get("index") or source.get("index")  # only a running domain has it
            chain.append(frozenset(map(str, (*source.attrib.values(), f"{name}[{index}]"))))
        if disk == name or any(disk in image for image in chain[:1]):
            return tuple(chain), mirror is not None and mirror.get("ready") == "yes"
    return (), False


def chain_of(domain: Domain, disk: str) -> Chain:
    """Return the images of a disk in the running configuration; none if there is no such disk."""
    return _find_images(domain, disk)[0]


class BlockJob(NamedPart):
    """The block job of a disk: there is at most one at a time."""

    __slots__ = ("_before",)

    def __init__(self, domain: Domain, disk: str, before: Chain | None = None) -> None:
        """Make the job of *disk*; *before* are its images before the job began, if it was begun here."""
        super().__init__(domain, disk)
        self._before = before

    def info(self) -> BlockJobInfo | None:
        """Return the progress of the job, ``None`` if there is no job.  (virDomainGetBlockJobInfo)"""
        out = ffi.new("virDomainBlockJobInfo *")
        flags = DomainBlockJobInfoFlags.BANDWIDTH_BYTES
        if not self._call(lib.virDomainGetBlockJobInfo, encode(self._name), out, flags):
            return None
        return BlockJobInfo(DomainBlockJobType(out.type), out.bandwidth, out.cur, out.end)

    def wait(
        self,
        *,
        timeout: float | None = None,
        progress: Callable[[int, int], object] | None = None,
        interval: float = 0.2,
    ) -> None:
        """Wait until a copy or an active commit is ready for :meth:`pivot`, or any other block job has ended.

        (virDomainGetBlockJobInfo, virDomainGetXMLDesc)

        The job is checked after each event.

        :param timeout: seconds; ``None`` waits indefinitely
        :param progress: called with the amount done and the total, in a unit that the hypervisor chooses
        :param interval: seconds between calls of *progress*, and between checks where the driver has no events
        :raises OperationFailedError: the job ended without changing the disk: it failed or was aborted; for a backup
            this cannot be determined
        :raises OperationTimeoutError: the job had not finished within *timeout*; it continues
        """
        from pyvirt.domain._conditions import BlockJobDone

        wait(BlockJobDone(self, progress, interval), timeout, interval)

    def abort(self, *, flags: DomainBlockJobAbortFlags = DomainBlockJobAbortFlags(0)) -> None:
        """Abort the job; the disk keeps its images.  (virDomainBlockJobAbort)

        :param flags: with ``ASYNC`` this does not wait for the end of the job
        :raises InvalidArgumentError: there is no job
        """
        self._call(lib.virDomainBlockJobAbort, encode(self._name), flags)

    def pivot(self, *, flags: DomainBlockJobAbortFlags = DomainBlockJobAbortFlags(0)) -> None:
        """Complete a copy or an active commit: from now on the guest uses the other image.  (virDomainBlockJobAbort)

        :raises InvalidArgumentError: there is no job
        :raises OperationInvalidError: the job is not ready; use :meth:`wait`
        """
        self.abort(flags=flags | DomainBlockJobAbortFlags.PIVOT)

    def set_speed(self, bandwidth: int) -> None:
        """Set the limit of its speed.  (virDomainBlockJobSetSpeed)

        :param bandwidth: bytes per second, 0 for no limit
        """
        flags = DomainBlockJobSetSpeedFlags.BANDWIDTH_BYTES
        self._call(lib.virDomainBlockJobSetSpeed, encode(self._name), bandwidth, flags)
