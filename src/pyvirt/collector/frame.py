# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a tick returns: the columns, and who is not in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from pyvirt.stats.frame import DomainColumns, StatsFrame, holding, view_of
from pyvirt.stats.rows import DomainRow
from pyvirt.stats.select import chosen_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from uuid import UUID

    from pyvirt._model.abc import DomainLike
    from pyvirt.enums.domain import StatsGroup
    from pyvirt.errors import Error
    from pyvirt.stats.frame import FrameKeeper
    from pyvirt.stats.layouts import Shared

#: a domain: its name or UUID, or its host and one of these, as two hosts may have domains of one name
DomainKey: TypeAlias = "str | UUID | tuple[str, str | UUID]"

#: as :data:`pyvirt.stats.select.DomainChoice`, but functions may ask for the host of a row
CollectedChoice: TypeAlias = "str | UUID | DomainLike | Callable[[CollectedRow], object]"


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

    __str__ = str.__str__  # as an enum.StrEnum, which Python 3.10 has not


@dataclass(frozen=True)
class Tick:
    """What a tick came to, besides statistics."""

    #: what the hosts are called, in the collector's order, also those that did not answer
    hosts: tuple[str, ...]
    groups: StatsGroup
    #: of each host, who was left out and why
    missing: Mapping[str, Mapping[UUID, Missing]]
    errors: Mapping[str, Error]
    skipped: int
    duration: float

    def of(self, hosts: Collection[str]) -> Tick:
        """Return what it came to on these of its hosts."""
        return replace(
            self,
            missing={host: missing for host, missing in self.missing.items() if host in hosts},
            errors={host: error for host, error in self.errors.items() if host in hosts},
        )


class CollectedDomains(DomainColumns):
    """Which domains a frame holds, and on which host each of them is."""

    def __init__(self, keeper: FrameKeeper, names: Sequence[str]) -> None:
        super().__init__(keeper, keeper.view.domains)
        self._called = names

    @cached_property
    def hosts(self) -> memoryview:
        """The host of each row, uint32: a place in :attr:`CollectedFrame.hosts`."""
        return view_of(holding(self._owner), self._owner.view.hosts, len(self), "I")

    @cached_property
    def host_names(self) -> list[str]:
        """The host of each, as it is called."""
        return [self._called[place] for place in self.hosts]

    @cached_property
    def _by_host(self) -> dict[DomainKey, int]:
        found: dict[DomainKey, int] = {}
        for keys in (self.uuids, self.names):
            found.update(zip(zip(self.host_names, keys, strict=True), range(len(self)), strict=True))
        return found

    @cached_property
    def _on_several(self) -> frozenset[str | UUID]:
        """Names and UUIDs that several hosts have: a domain that is being migrated is on two."""
        if len(set(self.hosts)) < 2:
            return frozenset()
        times: Counter[str | UUID] = Counter(self.names)
        times.update(self.uuids)
        return frozenset(key for key, n in times.items() if n > 1)

    def __contains__(self, domain: object) -> bool:
        return domain in self._by_host if isinstance(domain, tuple) else super().__contains__(domain)

    def row_of(self, domain: DomainKey) -> int:
        """Return the row of one of them, by name or UUID, or by its host and one of these.

        :raises KeyError: it is not in this frame; or it is there twice, and no host was said
        """
        if isinstance(domain, tuple):
            if domain not in self._by_host:
                raise KeyError(f"no domain {str(domain[1])!r} of {domain[0]!r} in this frame")
            return self._by_host[domain]
        if domain in self._on_several:
            places = [host for host in self._called if (host, domain) in self]
            raise KeyError(f"{str(domain)!r} is on {len(places)} hosts: ask for ({places[0]!r}, {str(domain)!r}), …")
        return super().row_of(domain)


class CollectedRow(DomainRow):
    """One domain of a collected frame."""

    _frame: CollectedFrame

    @property
    def host(self) -> str:
        """Its host, one of :attr:`CollectedFrame.hosts`."""
        return self._frame.hosts[self._frame.domains.hosts[self._row]]


class CollectedFrame(StatsFrame):
    """The statistics that one tick of a collector got.

    ``frame["vm-1"]`` is the row of a domain, and ``frame["qemu:///system", "vm-1"]`` that of a domain of one host.
    """

    domains: CollectedDomains

    def __init__(self, keeper: FrameKeeper, shared: Shared, tick: Tick, *, only: frozenset[str] | None = None) -> None:
        super().__init__(keeper, shared, only=only)
        self._tick = tick
        self.domains = CollectedDomains(keeper, tick.hosts)
        #: what all hosts of the collector are called, by name or URI, those that did not answer too
        self.hosts = tick.hosts
        #: which groups were asked for; ``ALL`` (0) leaves the choice to the driver
        self.groups = tick.groups
        #: the domains that are there but not in this frame, and why
        self.missing: Mapping[UUID, Missing] = {uuid: why for of in tick.missing.values() for uuid, why in of.items()}
        #: of hosts that failed in this tick, what they said last
        self.errors = tick.errors
        #: how many ticks the schedule had before this one that were not made, as the one before took too long
        self.skipped = tick.skipped
        #: seconds that the tick took
        self.duration = tick.duration

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} missing" if self.missing else ""
        hosts = len(self._tick.missing)
        on = f"{hosts} host{'s' * (hosts != 1)}"
        return f"<CollectedFrame of {len(self)} domains on {on}, {self.fields} fields{missing}>"

    def _row(self, row: int) -> CollectedRow:
        return CollectedRow(self, row)

    def __iter__(self) -> Iterator[CollectedRow]:
        return map(self._row, range(len(self)))

    def __getitem__(self, domain: DomainKey) -> CollectedRow:
        """Return the row of one domain.

        :param domain: its name or UUID; or its host and one of these
        :raises KeyError: it is not in this frame; or it is there twice, and no host was said
        """
        return self._row(self.domains.row_of(domain))

    def select(
        self,
        domains: CollectedChoice | Iterable[CollectedChoice] | None = None,
        *,
        tables: str | Iterable[str] | None = None,
        hosts: str | Iterable[str] | None = None,
    ) -> CollectedFrame:
        """Return a frame of some hosts, some domains, some tables.  See :meth:`StatsFrame.select`.

        :param hosts: names and globs of names; ``missing`` and ``errors`` are those of these hosts then
        """
        frame = self if hosts is None else self._on(chosen_names(self.hosts, hosts))
        rows, only = frame._choose(domains, tables)  # type: ignore[arg-type]  # it gives functions rows of ours
        return CollectedFrame(frame._keep(rows), frame._shared, frame._tick, only=only)

    def _on(self, hosts: Collection[str]) -> CollectedFrame:
        rows = [row for row, place in enumerate(self.domains.hosts) if self.hosts[place] in hosts]
        return CollectedFrame(self._keep(rows), self._shared, self._tick.of(hosts), only=self._only)
