# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frame that a tick returns: the columns, and the domains that are missing in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from pyvirt.stats.frame import DomainColumns, StatsFrame, keep_alive, memory_view
from pyvirt.stats.rows import DomainRow
from pyvirt.stats.select import chosen_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from uuid import UUID

    from pyvirt._model.abc import DomainLike
    from pyvirt.enums.domain import StatsGroup
    from pyvirt.errors import Error
    from pyvirt.stats.frame import FrameKeeper
    from pyvirt.stats.layouts import FrameCache

#: a domain: its name or UUID, or its host and one of these, as two hosts may have domains of the same name
DomainKey: TypeAlias = "str | UUID | tuple[str, str | UUID]"

#: like :data:`pyvirt.stats.select.DomainChoice`, but functions receive a row that has a host
CollectedChoice: TypeAlias = "str | UUID | DomainLike | Callable[[CollectedRow], object]"


class Missing(str, Enum):
    """Why a domain is not in a frame."""

    #: its hypervisor does not answer; a call to it is under way, and it is asked again after that call has returned
    STUCK = "stuck"
    #: no answer before the deadline, and it is unknown which domain caused the delay
    LATE = "late"
    #: no time or no request was left for it; it comes first in the next tick
    NOT_ASKED = "not asked"
    #: libvirt answered with an error
    FAILED = "failed"
    #: its connection hangs or is lost
    UNREACHABLE = "unreachable"

    __str__ = str.__str__  # like enum.StrEnum, which Python 3.10 does not have


@dataclass(frozen=True)
class Tick:
    """The result of a tick, apart from the statistics."""

    #: the names of all hosts, in the order of the collector, including those that did not answer
    hosts: tuple[str, ...]
    groups: StatsGroup
    #: for each host, the domains that were left out, and why
    missing: Mapping[str, Mapping[UUID, Missing]]
    errors: Mapping[str, Error]
    skipped: int
    duration: float

    def of(self, hosts: Collection[str]) -> Tick:
        """Return the result for some of the hosts."""
        return replace(
            self,
            missing={host: missing for host, missing in self.missing.items() if host in hosts},
            errors={host: error for host, error in self.errors.items() if host in hosts},
        )


class CollectedDomains(DomainColumns):
    """The domains of a frame, and the host of each of them."""

    def __init__(self, keeper: FrameKeeper, names: Sequence[str]) -> None:
        super().__init__(keeper, keeper.view.domains)
        self._all_hosts = names

    @cached_property
    def hosts(self) -> memoryview:
        """The host of each row, uint32: an index into :attr:`CollectedFrame.hosts`."""
        return memory_view(keep_alive(self._keeper), self._keeper.view.hosts, len(self), "I")

    @cached_property
    def host_names(self) -> list[str]:
        """The name of the host of each row."""
        return [self._all_hosts[number] for number in self.hosts]

    @cached_property
    def _rows_by_host(self) -> dict[DomainKey, int]:
        found: dict[DomainKey, int] = {}
        for keys in (self.uuids, self.names):
            found.update(zip(zip(self.host_names, keys, strict=True), range(len(self)), strict=True))
        return found

    @cached_property
    def _ambiguous(self) -> frozenset[str | UUID]:
        """Names and UUIDs that occur on several hosts: a domain that is being migrated is on two."""
        if len(set(self.hosts)) < 2:
            return frozenset()
        counts: Counter[str | UUID] = Counter(self.names)
        counts.update(self.uuids)
        return frozenset(key for key, n in counts.items() if n > 1)

    def __contains__(self, domain: object) -> bool:
        return domain in self._rows_by_host if isinstance(domain, tuple) else super().__contains__(domain)

    def row_of(self, domain: DomainKey) -> int:
        """Return the row of a domain, by name or UUID, or by its host and one of these.

        :raises KeyError: it is not in this frame; or several hosts have it, and no host was given
        """
        if isinstance(domain, tuple):
            if domain not in self._rows_by_host:
                raise KeyError(f"no domain {str(domain[1])!r} on host {domain[0]!r} in this frame")
            return self._rows_by_host[domain]
        if domain in self._ambiguous:
            hosts = [host for host in self._all_hosts if (host, domain) in self]
            raise KeyError(f"{str(domain)!r} is on {len(hosts)} hosts: use one of ({hosts[0]!r}, {str(domain)!r}), …")
        return super().row_of(domain)


class CollectedRow(DomainRow):
    """One domain of a collected frame."""

    _frame: CollectedFrame

    @property
    def host(self) -> str:
        """Its host, one of :attr:`CollectedFrame.hosts`."""
        return self._frame.hosts[self._frame.domains.hosts[self._row]]


class CollectedFrame(StatsFrame):
    """The statistics that one tick of a collector returned.

    ``frame["vm-1"]`` is the row of a domain, and ``frame["qemu:///system", "vm-1"]`` that of a domain of one host.
    """

    domains: CollectedDomains

    def __init__(
        self, keeper: FrameKeeper, cache: FrameCache, tick: Tick, *, only: frozenset[str] | None = None
    ) -> None:
        super().__init__(keeper, cache, only=only)
        self._tick = tick
        self.domains = CollectedDomains(keeper, tick.hosts)
        #: the names or URIs of all hosts of the collector, including those that did not answer
        self.hosts = tick.hosts
        #: the groups that were requested; ``ALL`` (0) leaves the choice to the driver
        self.groups = tick.groups
        #: the domains that exist but are not in this frame, and why
        self.missing: Mapping[UUID, Missing] = {
            uuid: why for missing in tick.missing.values() for uuid, why in missing.items()
        }
        #: the errors of the hosts that failed in this tick
        self.errors = tick.errors
        #: how many scheduled ticks before this one were not made, because an earlier tick took too long
        self.skipped = tick.skipped
        #: duration of the tick in seconds
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
        :raises KeyError: it is not in this frame; or several hosts have it, and no host was given
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

        :param hosts: names and globs of names; ``missing`` and ``errors`` of the new frame are limited to these hosts
        """
        frame = self if hosts is None else self._of_hosts(chosen_names(self.hosts, hosts))
        rows, only = frame._chosen(domains, tables)  # type: ignore[arg-type]  # functions receive CollectedRow here
        return CollectedFrame(frame._keeper_of(rows), frame._cache, frame._tick, only=only)

    def _of_hosts(self, hosts: Collection[str]) -> CollectedFrame:
        rows = [row for row, number in enumerate(self.domains.hosts) if self.hosts[number] in hosts]
        return CollectedFrame(self._keeper_of(rows), self._cache, self._tick.of(hosts), only=self._only)
