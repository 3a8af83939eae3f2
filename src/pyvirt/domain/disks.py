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


def _pullable(chain: Chain, base: str | None = None) -> Chain:
    """Return *chain*, or nothing if a pull of what is above *base* leaves it as it is even when all goes well."""
    below = chain[1:2]
    return chain if below and base not in below[0] else ()


class Disk(NamedPart):
    """A disk of a domain.

    Its name is the target in its configuration, ``"vda"``, or the path of its image.  Where a call is about one of
    several images, ``"vda[3]"`` is that of this index in the running configuration.
    """

    __slots__ = ()

    # ---- figures ----

    def stats(self) -> dict[str, TypedValue]:
        """Return how much was read and written since the domain started.  (virDomainBlockStatsFlags)

        Names are :mod:`pyvirt.enums.params`' ``DOMAIN_BLOCK_STATS_…``; times are nanoseconds.  The disk named ``""``
        is the sum of all.

        :raises OperationInvalidError: the domain does not run
        """
        call, name = lib.virDomainBlockStatsFlags, encode(self._name)
        return self._fill_params(call, 0, before=(name,))

    def basic_stats(self) -> BlockStats:
        """Return how much was read and written, also in drivers that know no more than that.  (virDomainBlockStats)"""
        out = ffi.new("virDomainBlockStatsStruct *")
        self._call(lib.virDomainBlockStats, encode(self._name), out, ffi.sizeof("virDomainBlockStatsStruct"))
        return BlockStats(*known((out.rd_req, out.rd_bytes, out.wr_req, out.wr_bytes, out.errs)))

    def info(self) -> BlockInfo:
        """Return its size for the guest, and on the host.  (virDomainGetBlockInfo)"""
        out = ffi.new("virDomainBlockInfo *")
        self._call(lib.virDomainGetBlockInfo, encode(self._name), out, 0)
        return BlockInfo(out.capacity, out.allocation, out.physical)

    def peek(self, offset: int, size: int) -> bytes:
        """Read from its image: what a guest sees, if the image is raw.  (virDomainBlockPeek)

        :param size: bytes; a daemon takes no more than 4 MiB
        """
        buffer = ffi.new("char[]", size)
        self._call(lib.virDomainBlockPeek, encode(self._name), offset, size, buffer, 0)
        return bytes(ffi.buffer(buffer))

    # ---- settings ----

    def resize(self, size: int, *, flags: DomainBlockResizeFlags = DomainBlockResizeFlags(0)) -> None:
        """Give it another size while the guest uses it.  (virDomainBlockResize)

        :param size: bytes
        :raises OperationInvalidError: the domain does not run
        """
        flags |= DomainBlockResizeFlags.BYTES  # without it the size would be in KiB
        self._call(lib.virDomainBlockResize, encode(self._name), size, flags)

    def set_threshold(self, threshold: int) -> None:
        """Have an event sent when an image has grown so far, once.  (virDomainSetBlockThreshold)

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
        """Limit its throughput: ``total_bytes_sec=10 << 20``.  (virDomainSetBlockIoTune)

        :raises InvalidArgumentError: no such limit, or some that contradict each other
        """
        with Params({**(values or {}), **more}) as array:
            self._call(lib.virDomainSetBlockIoTune, encode(self._name), array.pointer, array.count, flags)

    # ---- jobs: all speeds in bytes per second, 0 for no limit ----

    @property
    def job(self) -> BlockJob:
        """The job that runs behind it, whoever began it."""
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
        """Begin to copy it; the copy follows what the guest writes until the job ends.  (virDomainBlockCopy)

        ``job.wait()``, then ``job.pivot()`` to go on with the copy, or ``job.abort()`` to keep it as it is then.

        :param xml: the other image: ``<disk type='file'><source file='…'/><driver type='qcow2'/></disk>``
        :param granularity: bytes that are copied when one of them changes, a power of two
        :param buf_size: bytes that may be on their way
        :param flags: a persistent domain needs ``TRANSIENT_JOB``: a restart would know nothing of the copy
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
        """Begin to merge images down: from *top* into *base*.  (virDomainBlockCommit)

        :param base: a path or ``"vda[3]"``; ``None`` for the lowest image, or with ``SHALLOW`` the one below *top*
        :param top: likewise; ``None`` for the active image, which needs ``ACTIVE``, and in the end a
            :meth:`~BlockJob.pivot`
        """
        flags |= DomainBlockCommitFlags.BANDWIDTH_BYTES
        before = chain_of(self._domain, self._name)
        names = encode(self._name), encode_or_null(base), encode_or_null(top)
        self._call(lib.virDomainBlockCommit, *names, bandwidth, flags)
        return BlockJob(self._domain, self._name, before)

    def pull(self, *, bandwidth: int = 0, flags: DomainBlockPullFlags = DomainBlockPullFlags(0)) -> BlockJob:
        """Begin to merge all images up into the active one.  (virDomainBlockPull)"""
        flags |= DomainBlockPullFlags.BANDWIDTH_BYTES
        before = chain_of(self._domain, self._name)
        self._call(lib.virDomainBlockPull, encode(self._name), bandwidth, flags)
        return BlockJob(self._domain, self._name, _pullable(before))

    def rebase(
        self,
        base: str | None = None,
        *,
        bandwidth: int = 0,
        flags: DomainBlockRebaseFlags = DomainBlockRebaseFlags(0),
    ) -> BlockJob:
        """Begin to merge up into the active image all that is above *base*.  (virDomainBlockRebase)

        :param base: a path or ``"vda[3]"``; ``None`` for none, as in :meth:`pull`
        :param flags: with ``COPY`` it is a copy to the path *base*; :meth:`copy_to` can do more
        """
        flags |= DomainBlockRebaseFlags.BANDWIDTH_BYTES
        before = chain_of(self._domain, self._name)
        self._call(lib.virDomainBlockRebase, encode(self._name), encode_or_null(base), bandwidth, flags)
        if not flags & DomainBlockRebaseFlags.COPY:
            before = _pullable(before, base)
        return BlockJob(self._domain, self._name, before)


class Disks(Parts[Disk]):
    """The disks of a domain: ``dom.disks["vda"]``, ``for disk in dom.disks``, ``"vdb" in dom.disks``."""

    __slots__ = ()
    _kind = Disk
    _elements = "devices/disk/target[@dev]"

    def _name_of(self, element: _Element) -> str | None:
        return element.get("dev")

    def errors(self) -> dict[str, DomainDiskErrorCode]:
        """Return the disks whose last operation failed, by target; none while all is well.

        (virDomainGetDiskErrors)

        :raises OperationInvalidError: the domain does not run
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
