# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.memory``: the size of a domain's memory, its use, and the limits on the host."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import ULLONG, Params
from pyvirt.domain._part import Part
from pyvirt.enums import params
from pyvirt.enums.domain import DomainModificationImpact
from pyvirt.enums.domain_device import DomainMemoryFlags, DomainMemoryModFlags, DomainMemoryStatTags
from pyvirt.enums.limits import DOMAIN_MEMORY_PARAM_UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyvirt._core.params import TypedValue

_CURRENT = DomainMemoryModFlags.CURRENT
_MOST_STATS = 64  # more than any libvirt reports

_COUNTS = frozenset(
    {
        DomainMemoryStatTags.MAJOR_FAULT,
        DomainMemoryStatTags.MINOR_FAULT,
        DomainMemoryStatTags.LAST_UPDATE,
        DomainMemoryStatTags.HUGETLB_PGALLOC,
        DomainMemoryStatTags.HUGETLB_PGFAIL,
    }
)
_SIZES = frozenset(DomainMemoryStatTags) - _COUNTS

_LIMITS = dict.fromkeys(
    (
        params.DOMAIN_MEMORY_HARD_LIMIT,
        params.DOMAIN_MEMORY_SOFT_LIMIT,
        params.DOMAIN_MEMORY_MIN_GUARANTEE,
        params.DOMAIN_MEMORY_SWAP_HARD_LIMIT,
    ),
    ULLONG,
)


def _kib(size: int) -> int:
    """Return bytes as KiB, which libvirt takes, rounded up as in a domain's configuration."""
    number = index(size)
    return -(-number // 1024) if number > 0 else number


class Memory(Part):
    """The memory of a domain, all sizes in bytes.

    ``flags`` choose the configuration, as in ``dom.devices``.  ``dom.info()`` returns the current size.
    """

    __slots__ = ()

    # ---- size ----

    def max(self) -> int:
        """Return the maximum size.  (virDomainGetMaxMemory)"""
        kib: int = self._call_nonzero(lib.virDomainGetMaxMemory)
        return kib << 10

    def set_max(self, size: int) -> None:
        """Set the maximum size, also in drivers that do not accept flags.  (virDomainSetMaxMemory)

        :raises OperationInvalidError: the domain is running, and the driver cannot change its maximum then
        """
        self._call(lib.virDomainSetMaxMemory, _kib(size))

    def set(self, size: int, *, flags: DomainMemoryModFlags = _CURRENT) -> None:
        """Set the current size.  (virDomainSetMemoryFlags)

        A running guest is asked, through its balloon driver, to give back the rest; it may do so later, or never.

        :param flags: with ``MAXIMUM`` set the maximum size; most drivers do so in the stored configuration only
        :raises InvalidArgumentError: *size* is larger than the maximum
        """
        self._call(lib.virDomainSetMemoryFlags, _kib(size), flags)

    def set_live(self, size: int) -> None:
        """Set the current size of a running domain, also in drivers that do not accept flags.  (virDomainSetMemory)

        :raises OperationInvalidError: the domain is not running
        """
        self._call(lib.virDomainSetMemory, _kib(size))

    # ---- use and content ----

    def stats(self) -> dict[DomainMemoryStatTags, int]:
        """Return how the guest uses the memory, as its balloon driver reports it.  (virDomainMemoryStats)

        Bytes; faults and huge pages are counts, ``LAST_UPDATE`` is seconds since 1970.  Statistics that this
        pyvirt does not know are returned as libvirt sent them.

        :raises OperationInvalidError: the domain is not running
        """
        out = ffi.new("virDomainMemoryStatStruct[]", _MOST_STATS)
        count = self._call(lib.virDomainMemoryStats, out, _MOST_STATS, 0)
        found = ((DomainMemoryStatTags(one.tag), one.val) for one in ffi.unpack(out, count))
        return {tag: value << 10 if tag in _SIZES else value for tag, value in found}

    def set_stats_period(self, seconds: int, *, flags: DomainMemoryModFlags = _CURRENT) -> None:
        """Set how often the guest reports its use of the memory.  (virDomainSetMemoryStatsPeriod)

        :param seconds: the period; 0 for never
        """
        self._call(lib.virDomainSetMemoryStatsPeriod, seconds, flags)

    def peek(self, start: int, size: int, *, flags: DomainMemoryFlags) -> bytes:
        """Read from the memory.  (virDomainMemoryPeek)

        :param start: an address: with ``PHYSICAL`` a physical one of the guest, with ``VIRTUAL`` one of its current
            process
        :param size: bytes; a daemon accepts at most 4 MiB
        :raises OperationInvalidError: the domain is not running
        """
        buffer = ffi.new("char[]", size)
        self._call(lib.virDomainMemoryPeek, start, size, buffer, flags)
        return bytes(ffi.buffer(buffer))

    # ---- limits on the host ----

    def parameters(
        self, *, flags: DomainModificationImpact = DomainModificationImpact.CURRENT
    ) -> dict[str, TypedValue | None]:
        """Return the limits of its use of the host's memory, ``None`` where there is none.

        (virDomainGetMemoryParameters)  Names are :mod:`pyvirt.enums.params`' ``DOMAIN_MEMORY_…``.

        :raises OperationInvalidError: the domain is running, but not in a control group
        """
        found = self._fill_params(lib.virDomainGetMemoryParameters, flags)
        return {name: _limit(name, value) for name, value in found.items()}

    def set_parameters(
        self,
        values: Mapping[str, int | None] | None = None,
        /,
        *,
        flags: DomainModificationImpact = DomainModificationImpact.CURRENT,
        **more: int | None,
    ) -> None:
        """Set limits of its use of the host's memory: ``hard_limit=1 << 30``, ``None`` for no limit.

        (virDomainSetMemoryParameters)

        :raises InvalidArgumentError: no such limit, or two limits contradict each other
        """
        limits = {**(values or {}), **more}
        sizes = {name: DOMAIN_MEMORY_PARAM_UNLIMITED if size is None else _kib(size) for name, size in limits.items()}
        with Params(sizes, _LIMITS) as array:
            self._call(lib.virDomainSetMemoryParameters, array.pointer, array.count, flags)


def _limit(name: str, value: TypedValue) -> TypedValue | None:
    if name not in _LIMITS or not isinstance(value, int):
        return value
    return None if value >= DOMAIN_MEMORY_PARAM_UNLIMITED else value << 10
