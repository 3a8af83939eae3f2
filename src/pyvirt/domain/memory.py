# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.memory``: how much a domain has, how it uses it, and the limits on the host."""

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
_MOST_STATS = 64  # more than any libvirt has

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
    """Return bytes as libvirt takes them, rounded up as libvirt does it in a domain's configuration."""
    number = index(size)
    return -(-number // 1024) if number > 0 else number


class Memory(Part):
    """The memory of a domain, all sizes in bytes.

    ``flags`` choose the configuration, as in ``dom.devices``.  What it has at this moment, ``dom.info()`` tells.
    """

    __slots__ = ()

    # ---- how much ----

    def max(self) -> int:
        """Return how much it can have.  (virDomainGetMaxMemory)"""
        kib: int = self._call_nonzero(lib.virDomainGetMaxMemory)
        return kib << 10

    def set_max(self, size: int) -> None:
        """Say how much it can have, also in drivers that know no flags.  (virDomainSetMaxMemory)

        :raises OperationInvalidError: it runs, and that is more than the driver can do
        """
        self._call(lib.virDomainSetMaxMemory, _kib(size))

    def set(self, size: int, *, flags: DomainMemoryModFlags = _CURRENT) -> None:
        """Say how much it shall have.  (virDomainSetMemoryFlags)

        A running guest is asked to give the rest back (its balloon), and may take its time or ignore it.

        :param flags: with ``MAXIMUM`` how much it can have, of most drivers in the stored configuration only
        :raises InvalidArgumentError: more than it can have
        """
        self._call(lib.virDomainSetMemoryFlags, _kib(size), flags)

    def set_live(self, size: int) -> None:
        """Say how much the running domain shall have, also in drivers that know no flags.  (virDomainSetMemory)

        :raises OperationInvalidError: it does not run
        """
        self._call(lib.virDomainSetMemory, _kib(size))

    # ---- what it does with it ----

    def stats(self) -> dict[DomainMemoryStatTags, int]:
        """Return how the guest uses it, as far as its balloon driver tells.  (virDomainMemoryStats)

        Bytes; faults and huge pages are counts, ``LAST_UPDATE`` is seconds since 1970.  What this pyvirt does not
        know is as libvirt sent it.

        :raises OperationInvalidError: the domain does not run
        """
        out = ffi.new("virDomainMemoryStatStruct[]", _MOST_STATS)
        count = self._call(lib.virDomainMemoryStats, out, _MOST_STATS, 0)
        found = ((DomainMemoryStatTags(one.tag), one.val) for one in ffi.unpack(out, count))
        return {tag: value << 10 if tag in _SIZES else value for tag, value in found}

    def set_stats_period(self, seconds: int, *, flags: DomainMemoryModFlags = _CURRENT) -> None:
        """Have the guest tell how it uses it every so often.  (virDomainSetMemoryStatsPeriod)

        :param seconds: 0 for never
        """
        self._call(lib.virDomainSetMemoryStatsPeriod, seconds, flags)

    def peek(self, start: int, size: int, *, flags: DomainMemoryFlags) -> bytes:
        """Read from it.  (virDomainMemoryPeek)

        :param start: an address: with ``PHYSICAL`` the guest's own, with ``VIRTUAL`` that of what it is at just now
        :param size: bytes; a daemon takes no more than 4 MiB
        :raises OperationInvalidError: the domain does not run
        """
        buffer = ffi.new("char[]", size)
        self._call(lib.virDomainMemoryPeek, start, size, buffer, flags)
        return bytes(ffi.buffer(buffer))

    # ---- limits on the host ----

    def parameters(
        self, *, flags: DomainModificationImpact = DomainModificationImpact.CURRENT
    ) -> dict[str, TypedValue | None]:
        """Return the limits of what it uses of the host's, ``None`` where there is none.

        (virDomainGetMemoryParameters)  Names are :mod:`pyvirt.enums.params`' ``DOMAIN_MEMORY_…``.

        :raises OperationInvalidError: it runs, and not in a control group
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
        """Limit what it uses of the host's: ``hard_limit=1 << 30``, ``None`` for no limit.

        (virDomainSetMemoryParameters)

        :raises InvalidArgumentError: no such limit, or some that contradict each other
        """
        limits = {**(values or {}), **more}
        sizes = {name: DOMAIN_MEMORY_PARAM_UNLIMITED if size is None else _kib(size) for name, size in limits.items()}
        with Params(sizes, _LIMITS) as array:
            self._call(lib.virDomainSetMemoryParameters, array.pointer, array.count, flags)


def _limit(name: str, value: TypedValue) -> TypedValue | None:
    if name not in _LIMITS or not isinstance(value, int):
        return value
    return None if value >= DOMAIN_MEMORY_PARAM_UNLIMITED else value << 10
