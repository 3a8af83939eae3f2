# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reading statistics, in as many calls as are necessary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.call import last_error
from pyvirt._core.lib import ffi, lib
from pyvirt.enums.domain import ConnectGetAllDomainStatsFlags, StatsGroup
from pyvirt.stats.frame import FrameKeeper, StatsFrame
from pyvirt.stats.layouts import FrameCache

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyvirt._core.lib import CData
    from pyvirt._model.abc import Conn, HasPointer

# The flags that virDomainListGetStats takes; the other flags select domains.
_REQUEST_FLAGS = (
    ConnectGetAllDomainStatsFlags.NOWAIT
    | ConnectGetAllDomainStatsFlags.BACKING
    | ConnectGetAllDomainStatsFlags.ENFORCE_STATS
)
_KNOWN_GROUPS = sum(StatsGroup)
_MAX_DOMAINS = 16384  # REMOTE_DOMAIN_LIST_MAX: the limit of one message


class Engine:
    """Reads the statistics of one connection, and keeps what its frames share: names, and the layouts of records."""

    def __init__(self, conn: Conn) -> None:
        self._conn = conn
        self._schema = new_schema()
        self._cache = FrameCache()
        self._split = False  # whether an earlier call showed that this host is too large for one call
        self._max_domains = _MAX_DOMAINS

    def collect(
        self,
        groups: StatsGroup,
        domains: Iterable[HasPointer] | None = None,
        flags: ConnectGetAllDomainStatsFlags = ConnectGetAllDomainStatsFlags(0),
    ) -> StatsFrame:
        """Read the statistics once.  See :meth:`Domains.stats`.

        If a host or a list is too large for one message, this makes several requests.
        """
        frame = new_frame(self._schema)
        try:
            self._fill(frame, groups, domains, add_enforce_flag(groups, flags))
        except BaseException:
            lib.pv_frame_free(frame)
            raise
        made = StatsFrame(seal(frame), self._cache)
        self._conn._adopt(made.keeper)
        return made

    def _fill(
        self,
        frame: CData,
        groups: StatsGroup,
        domains: Iterable[HasPointer] | None,
        flags: ConnectGetAllDomainStatsFlags,
    ) -> None:
        if domains is not None:
            self._read_list(frame, list(domains), groups, flags)
        elif self._split or not self._read(frame, None, groups, flags):
            self._split = True
            self._read_list(frame, self._conn.domains._list(flags & ~_REQUEST_FLAGS), groups, flags & _REQUEST_FLAGS)

    def _read_list(
        self,
        frame: CData,
        domains: Sequence[HasPointer],
        groups: StatsGroup,
        flags: ConnectGetAllDomainStatsFlags,
    ) -> None:
        first = 0
        while first < len(domains):
            part = domains[first : first + self._max_domains]
            if self._read(frame, part, groups, flags):
                first += len(part)
            else:
                self._max_domains = max(1, len(part) // 2)

    def _read(
        self,
        frame: CData,
        domains: Sequence[HasPointer] | None,
        groups: StatsGroup,
        flags: ConnectGetAllDomainStatsFlags,
    ) -> bool:
        """Make one call and return whether it succeeded; ``False`` if the answer is too large for a message."""
        # The list keeps the pointers valid if another thread closes the connection during the call.
        try:
            pointers = None if domains is None else [domain._ptr for domain in domains]
        except AttributeError:
            raise TypeError("domains must contain Domain objects only") from None
        array = ffi.NULL if pointers is None else ffi.new("virDomainPtr[]", [*pointers, ffi.NULL])
        found = lib.pv_frame_collect(frame, self._conn._ptr, array, groups, flags)
        del pointers  # a traceback that held them would keep the connection open
        if found >= 0:
            return True
        if found == lib.PV_NO_MEMORY:
            raise MemoryError
        function = "virConnectGetAllDomainStats" if domains is None else "virDomainListGetStats"
        error = last_error(function, self._conn)
        if self._conn._too_large(error) and (domains is None or len(domains) > 1):
            return False
        raise error


def new_schema() -> CData:
    """Return the C object that frames share: the names of tables and columns, and the layouts."""
    schema = ffi.gc(lib.pv_schema_new(), lib.pv_schema_free)
    if not schema:
        raise MemoryError
    return schema


def new_frame(schema: CData) -> CData:
    """Return an empty frame, to which records can be added before :func:`seal`."""
    frame = lib.pv_frame_new(schema)
    if not frame:
        raise MemoryError
    return frame


def seal(frame: CData) -> FrameKeeper:
    """Make a frame readable, and return its owner."""
    if lib.pv_frame_seal(frame) < 0:
        lib.pv_frame_free(frame)
        raise MemoryError
    return FrameKeeper(frame)


def add_enforce_flag(groups: StatsGroup, flags: ConnectGetAllDomainStatsFlags) -> ConnectGetAllDomainStatsFlags:
    """Return *flags* with ``ENFORCE_STATS`` if a group is unknown: libvirt would ignore the group silently."""
    return flags | ConnectGetAllDomainStatsFlags.ENFORCE_STATS if unknown_groups(groups) else flags


def unknown_groups(groups: StatsGroup) -> int:
    """Return the bits of *groups* that do not belong to a known group."""
    return groups & ~_KNOWN_GROUPS


def engine_of(conn: Conn) -> Engine:
    """Return the engine of *conn*, which is created at first use."""
    if conn._stats_engine is None:
        conn._stats_engine = Engine(conn)
    return conn._stats_engine
