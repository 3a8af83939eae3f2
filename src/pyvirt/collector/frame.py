# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a tick returns: the columns, and who is not in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from pyvirt.stats.frame import DomainColumns, FrameKeeper, StatsFrame

if TYPE_CHECKING:
    from uuid import UUID

    from pyvirt._lib import CData
    from pyvirt.enums.domain import StatsGroup
    from pyvirt.errors import Error
    from pyvirt.stats.layouts import Shared


class Missing(str, Enum):
    """Why a domain is not in a frame."""

    #: its hypervisor does not answer; a call to it is under way, and it comes back by itself when that returns
    STUCK = "stuck"
    #: no answer before the deadline, and nobody knows of whom
    LATE = "late"
    #: there was no time left to ask it, or no request: it comes first in the next tick
    NOT_ASKED = "not asked"
    #: libvirt answered with an error
    FAILED = "failed"
    #: its connection hangs or is lost
    UNREACHABLE = "unreachable"


class CollectedDomains(DomainColumns):
    """Which domains a frame holds, and on which host each of them is."""

    def __init__(self, keeper: FrameKeeper, places: memoryview) -> None:
        super().__init__(keeper, len(places))
        #: the host of each row, uint32: a place in :attr:`CollectedFrame.hosts`
        self.hosts = places


class CollectedFrame(StatsFrame):
    """The statistics that one tick of a collector got."""

    domains: CollectedDomains

    def __init__(
        self,
        frame: CData,
        shared: Shared,
        *,
        places: memoryview,
        hosts: Sequence[str],
        groups: StatsGroup,
        missing: Mapping[UUID, Missing],
        errors: Mapping[str, Error],
        skipped: int,
        duration: float,
    ) -> None:
        super().__init__(frame, shared)
        self.domains = CollectedDomains(self.keeper, places)
        #: the URIs of all connections, those that did not answer too
        self.hosts = hosts
        #: which groups were asked for; ``ALL`` (0) leaves the choice to the driver
        self.groups = groups
        #: the domains that are there but not in this frame, and why
        self.missing = missing
        #: of connections that failed in this tick, by URI, and what they said last
        self.errors = errors
        #: how many ticks the schedule had before this one that were not made, as the one before took too long
        self.skipped = skipped
        #: seconds that the tick took
        self.duration = duration

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} missing" if self.missing else ""
        return f"<CollectedFrame of {len(self)} domains on {len(self.hosts)} hosts, {self.fields} fields{missing}>"
