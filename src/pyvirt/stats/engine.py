# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asking for statistics, in as many calls as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.call import last_error
from pyvirt._core.lib import ffi, lib
from pyvirt.enums.domain import ConnectGetAllDomainStatsFlags, StatsGroup
from pyvirt.stats.frame import FrameKeeper, StatsFrame
from pyvirt.stats.layouts import Shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyvirt._core.lib import CData
    from pyvirt._model.abc import Conn, HasPointer

# What a list of domains may be asked for; the other flags choose domains.
_HOW = (
    ConnectGetAllDomainStatsFlags.NOWAIT
    | ConnectGetAllDomainStatsFlags.BACKING
    | ConnectGetAllDomainStatsFlags.ENFORCE_STATS
)
_KNOWN_GROUPS = sum(StatsGroup)
_MOST_DOMAINS = 16384  # REMOTE_DOMAIN_LIST_MAX: no message carries more


class Engine:
    """What the statistics of one connection have in common: names, and the layouts of records."""

    def __init__(self, conn: Conn) -> None:
        self._conn = conn
        self._schema = new_schema()
        self._shared = Shared()
        self._split = False  # this host is too large for one call, as an earlier one found
        self._most = _MOST_DOMAINS

    def collect(
        self,
        groups: StatsGroup,
        domains: Iterable[HasPointer] | None = None,
        flags: ConnectGetAllDomainStatsFlags = ConnectGetAllDomainStatsFlags(0),
    ) -> StatsFrame:
        """Make one tick.  See :meth:`Domains.stats`.

        A host, or a list, too large for one message is asked in parts.
        """
        frame = new_frame(self._schema)
        try:
            self._fill(frame, groups, domains, enforce_unknown(groups, flags))
        except BaseException:
            lib.pv_frame_free(frame)
            raise
        made = StatsFrame(sealed(frame), self._shared)
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
            self._add(frame, list(domains), groups, flags)
        elif self._split or not self._ask(frame, None, groups, flags):
            self._split = True
            self._add(frame, self._conn.domains._list(flags & ~_HOW), groups, flags & _HOW)

    def _add(
        self,
        frame: CData,
        domains: Sequence[HasPointer],
        groups: StatsGroup,
        flags: ConnectGetAllDomainStatsFlags,
    ) -> None:
        at = 0
        while at < len(domains):
            part = domains[at : at + self._most]
            if self._ask(frame, part, groups, flags):
                at += len(part)
            else:
                self._most = max(1, len(part) // 2)

    def _ask(
        self,
        frame: CData,
        domains: Sequence[HasPointer] | None,
        groups: StatsGroup,
        flags: ConnectGetAllDomainStatsFlags,
    ) -> bool:
        """Make one call; False: its answer would be larger than a message, ask for less."""
        # The list keeps the pointers, should somebody close the connection meanwhile.
        try:
            pointers = None if domains is None else [domain._ptr for domain in domains]
        except AttributeError:
            raise TypeError("statistics are of Domain objects") from None
        array = ffi.NULL if pointers is None else ffi.new("virDomainPtr[]", [*pointers, ffi.NULL])
        found = lib.pv_frame_collect(frame, self._conn._ptr, array, groups, flags)
        del pointers  # in a traceback they would keep the connection open
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
    """Return what frames have in common in C."""
    schema = ffi.gc(lib.pv_schema_new(), lib.pv_schema_free)
    if not schema:
        raise MemoryError
    return schema


def new_frame(schema: CData) -> CData:
    """Return an empty frame, to be filled and :func:`sealed`."""
    frame = lib.pv_frame_new(schema)
    if not frame:
        raise MemoryError
    return frame


def sealed(frame: CData) -> FrameKeeper:
    """Make a frame ready to read, and take it over."""
    if lib.pv_frame_seal(frame) < 0:
        lib.pv_frame_free(frame)
        raise MemoryError
    return FrameKeeper(frame)


def enforce_unknown(groups: StatsGroup, flags: ConnectGetAllDomainStatsFlags) -> ConnectGetAllDomainStatsFlags:
    """Return *flags* that make unknown groups an error: libvirt would leave out in silence what it does not know."""
    return flags | ConnectGetAllDomainStatsFlags.ENFORCE_STATS if unknown(groups) else flags


def unknown(groups: StatsGroup) -> int:
    """Return the bits of *groups* that are no group."""
    return groups & ~_KNOWN_GROUPS


def engine_of(conn: Conn) -> Engine:
    """Return the engine of *conn*, made at first use."""
    if conn._stats_engine is None:
        conn._stats_engine = Engine(conn)
    return conn._stats_engine
