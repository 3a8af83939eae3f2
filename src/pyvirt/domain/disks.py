# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.disks``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.document import encode_xml
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import UINT, ULLONG, Params
from pyvirt._core.text import decode, encode, encode_or_null
from pyvirt.domain._part import NamedPart, Parts, known
from pyvirt.domain.blockjob import BlockJob, chain_of
from pyvirt.enums import params
from pyvirt.enums.domain import DomainModificationImpact
from pyvirt.enums.domain_device import DomainBlockResizeFlags, DomainDiskErrorCode
from pyvirt.enums.domain_job import (
    DomainBlockCommitFlags,
    DomainBlockCopyFlags,
    DomainBlockPullFlags,
    DomainBlockRebaseFlags,
)
from pyvirt.models import BlockInfo, BlockStats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml.etree import _Element

    from pyvirt._core.params import TypedValue
    from pyvirt.domain.blockjob import Chain
    from pyvirt.xmldesc import XML

_COPY_PARAMETERS = {
    params.DOMAIN_BLOCK_COPY_BANDWIDTH: ULLONG,
    params.DOMAIN_BLOCK_COPY_GRANULARITY: UINT,
    params.DOMAIN_BLOCK_COPY_BUF_SIZE: ULLONG,
}


def _chain_changed_by_pull(chain: Chain, base: str | None = None) -> Chain:
    """Return *chain*, or nothing if a successful pull of the images above *base* does not change the chain."""
    below = chain[1:2]
    return chain if below and base not in below[0] else ()


class Disk(NamedPart):
    """A disk of a domain.

    Its name is the target in its configuration, ``"vda"``, or the path of its image.  In calls that take one of several
    images, ``"vda[3]"`` is the image with index 3 in the running configuration.
    """

    __slots__ = ()

    # ---- statistics ----

    def stats(self) -> dict[str, TypedValue]:
        """Return how much was read and written since the domain started.  (virDomainBlockStatsFlags)

        Names are :mod:`pyvirt.enums.params`' ``DOMAIN_BLOCK_STATS_…``; times are nanoseconds.  The disk with the name
        ``""`` stands for all disks: it returns the sums.

        :raises OperationInvalidError: the domain is not running
        """
        call, name = lib.virDomainBlockStatsFlags, encode(self._name)
        return self._fill_params(call, 0, before=(name,))

    def basic_stats(self) -> BlockStats:
        """Return how much was read and written, also in drivers without more statistics.  (virDomainBlockStats)"""
        out = ffi.new("virDomainBlockStatsStruct *")
        self._call(lib.virDomainBlockStats, encode(self._name), out, ffi.sizeof("virDomainBlockStatsStruct"))
        return BlockStats(*known((out.rd_req, out.rd_bytes, out.wr_req, out.wr_bytes, out.errs)))

    def info(self) -> BlockInfo:
        """Return its size as the guest sees it, and on the host.  (virDomainGetBlockInfo)"""
        out = ffi.new("virDomainBlockInfo *")
        self._call(lib.virDomainGetBlockInfo, encode(self._name), out, 0)
        return BlockInfo(out.capacity, out.allocation, out.physical)

    def peek(self, offset: int, size: int) -> bytes:
        """Read from its image; for a raw image that is the content that the guest sees.  (virDomainBlockPeek)

        :param size: bytes; a daemon accepts at most 4 MiB
        """
        buffer = ffi.new("char[]", size)
        self._call(lib.virDomainBlockPeek, encode(self._name), offset, size, buffer, 0)
        return bytes(ffi.buffer(buffer))

    # ---- settings ----

    def resize(self, size: int, *, flags: DomainBlockResizeFlags = DomainBlockResizeFlags(0)) -> None:
        """Set its size while the guest uses it.  (virDomainBlockResize)

        :param size: bytes
        :raises OperationInvalidError: the domain is not running
        """
        flags |= DomainBlockResizeFlags.BYTES  # without it the size would be in KiB
        self._call(lib.virDomainBlockResize, encode(self._name), size, flags)

    def set_threshold(self, threshold: int) -> None:
        """Set the size of an image at which libvirt sends an event, once.  (virDomainSetBlockThreshold)

        :param threshold: bytes, 0 for no event
        """
        self._call(lib.virDomainSetBlockThreshold, encode(self._name), threshold, 0)

    def io_tune(self, *, flags: DomainModificationImpact = DomainModificationImpact.CURRENT) -> dict[str, TypedValue]:
        """Return the limits of its throughput, 0 where there is none.  (virDomainGetBlockIoTune)

        Names are :mod:`pyvirt.enums.params`' ``DOMAIN_BLOCK_IOTUNE_…``: bytes and operations per second, lengths in
        seconds.
        """
        call, name = lib.virDomainGetBlockIoTune, encode(self._name)
        return self._fill_params(call, flags, before=(name,))

    def set_io_tune(
        self,
        values: Mapping[str, TypedValue] | None = None,
        /,
        *,
        flags: DomainModificationImpact = DomainModificationImpact.CURRENT,
        **more: TypedValue,
    ) -> None:
        """Set limits of its throughput: ``total_bytes_sec=10 << 20``.  (virDomainSetBlockIoTune)

        :raises InvalidArgumentError: no such limit, or two limits contradict each other
        """
        with Params({**(values or {}), **more}) as array:
            self._call(lib.virDomainSetBlockIoTune, encode(self._name), array.pointer, array.count, flags)

    # ---- jobs: all speeds in bytes per second, 0 for no limit ----

    @property
    def job(self) -> BlockJob:
        """Its block job, also one that another program has started."""
        return BlockJob(self._domain, self._name)

    def copy_to(
        self,
        xml: XML,
        *,
        bandwidth: int | None = None,
        granularity: int | None = None,
        buf_size: int | None = None,
        flags: DomainBlockCopyFlags = DomainBlockCopyFlags(0),
    ) -> BlockJob:
        """Start to copy it; the copy receives all writes of the guest until the job ends.  (virDomainBlockCopy)

        Call ``job.wait()`` first.  Then ``job.pivot()`` makes the guest use the copy, or ``job.abort()`` keeps the
        copy as it is at that time.

        :param xml: the other image: ``<disk type='file'><source file='…'/><driver type='qcow2'/></disk>``
        :param granularity: bytes that are copied when one of them changes, a power of two
        :param buf_size: bytes in transfer at most
        :param flags: a persistent domain needs ``TRANSIENT_JOB``, because the job does not survive a restart of the
            domain
        """
        given = zip(_COPY_PARAMETERS, (bandwidth, granularity, buf_size), strict=True)
        before = chain_of(self._domain, self._name)
        with Params({name: value for name, value in given if value is not None}, _COPY_PARAMETERS) as array:
            dest = encode_xml(xml)
            self._call(lib.virDomainBlockCopy, encode(self._name), dest, array.pointer, array.count, flags)
        return BlockJob(self._domain, self._name, before)

    def commit(
        self,
        base: str | None = None,
        top: str | None = None,
        *,
        bandwidth: int = 0,
        flags: DomainBlockCommitFlags = DomainBlockCommitFlags(0),
    ) -> BlockJob:
        """Start to merge images down: from *top* into *base*.  (virDomainBlockCommit)

        :param base: a path or ``"vda[3]"``; ``None`` for the lowest image, or with ``SHALLOW`` the one below *top*
        :param top: likewise; ``None`` for the active image, which needs ``ACTIVE``, and a
            :meth:`~BlockJob.pivot` at the end
        """
        flags |= DomainBlockCommitFlags.BANDWIDTH_BYTES
        before = chain_of(self._domain, self._name)
        names = encode(self._name), encode_or_null(base), encode_or_null(top)
        self._call(lib.virDomainBlockCommit, *names, bandwidth, flags)
        return BlockJob(self._domain, self._name, before)

    def pull(self, *, bandwidth: int = 0, flags: DomainBlockPullFlags = DomainBlockPullFlags(0)) -> BlockJob:
        """Start to merge all images up into the active one.  (virDomainBlockPull)"""
        flags |= DomainBlockPullFlags.BANDWIDTH_BYTES
        before = chain_of(self._domain, self._name)
        self._call(lib.virDomainBlockPull, encode(self._name), bandwidth, flags)
        return BlockJob(self._domain, self._name, _chain_changed_by_pull(before))

    def rebase(
        self,
        base: str | None = None,
        *,
        bandwidth: int = 0,
        flags: DomainBlockRebaseFlags = DomainBlockRebaseFlags(0),
    ) -> BlockJob:
        """Start to merge all images above *base* up into the active one.  (virDomainBlockRebase)

        :param base: a path or ``"vda[3]"``; ``None`` for none, as in :meth:`pull`
        :param flags: with ``COPY`` it is a copy to the path *base*; :meth:`copy_to` can do more
        """
        flags |= DomainBlockRebaseFlags.BANDWIDTH_BYTES
        before = chain_of(self._domain, self._name)
        self._call(lib.virDomainBlockRebase, encode(self._name), encode_or_null(base), bandwidth, flags)
        if not flags & DomainBlockRebaseFlags.COPY:
            before = _chain_changed_by_pull(before, base)
        return BlockJob(self._domain, self._name, before)


class Disks(Parts[Disk]):
    """The disks of a domain: ``dom.disks["vda"]``, ``for disk in dom.disks``, ``"vdb" in dom.disks``."""

    __slots__ = ()
    _kind = Disk
    _elements = "devices/disk/target[@dev]"

    def _name_of(self, element: _Element) -> str | None:
        return element.get("dev")

    def errors(self) -> dict[str, DomainDiskErrorCode]:
        """Return the errors of disks whose last operation failed, by target.  (virDomainGetDiskErrors)

        :raises OperationInvalidError: the domain is not running
        """
        room = self._call(lib.virDomainGetDiskErrors, ffi.NULL, 0, 0)
        if not room:
            return {}
        out = ffi.new("virDomainDiskError[]", room)
        count = self._call(lib.virDomainGetDiskErrors, out, room, 0)
        try:
            return {decode(out[i].disk): DomainDiskErrorCode(out[i].error) for i in range(count)}
        finally:
            for i in range(count):
                lib.free(out[i].disk)
