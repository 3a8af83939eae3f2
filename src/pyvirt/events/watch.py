# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.domains.watch()``: a mapping of the domains of a host that events keep current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from pyvirt.domain import Domain
from pyvirt.enums.domain import StatsGroup
from pyvirt.enums.domain_event import DomainEventType, DomainEventUndefinedDetailType
from pyvirt.errors import DomainNotFoundError, NotSupportedError
from pyvirt.events.kinds import DomainLifecycle, EventsLost
from pyvirt.models import DomainStateReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from pyvirt.connection import Connection


#: seconds after which a waiting thread looks again: if another thread has taken the events, nothing wakes this one
RECHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WatchedDomain:
    """A domain in a watch, and its state."""

    domain: Domain
    name: str
    uuid: UUID
    state: DomainStateReason


class DomainWatch(Mapping["str | UUID | Domain", WatchedDomain]):
    """Domains by name, UUID or handle, and their states.  Iterating yields the names.  A context manager.

    Each use first takes the events since the previous use, and asks for the states of the domains that these are about:
    on a host where nothing happens, the daemon is not asked.  If events were lost, all domains are listed again.
    Threads may share a watch.

    Using it raises :class:`ConnectionLostError` if the connection is lost, and :class:`ClosedError` if the watch or the
    connection was closed.
    """

    def __init__(self, conn: Connection, *, buffer: int) -> None:
        self._conn = conn
        self._lock = RLock()
        self._known: dict[bytes, WatchedDomain] = {}
        self._uuids: dict[str, bytes] = {}
        self._changed: set[UUID] = set()
        self._stale = False  # events were taken, but not all of their domains were looked at
        # Listen before listing: a change in between then appears in both, and not in neither.
        self._listener = conn.events.listen(DomainLifecycle, buffer=buffer)
        try:
            self._list()
        except BaseException:
            self._listener.close()
            raise
        self._changed.clear()

    def __repr__(self) -> str:
        return f"<pyvirt.DomainWatch of {self._conn!r}{' closed' if self.closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether the watch or its connection was closed."""
        return self._listener.closed

    # ---- reading ----

    def __getitem__(self, key: str | UUID | Domain) -> WatchedDomain:
        """Return the domain with this name, UUID or handle, or raise ``KeyError``."""
        with self._lock:
            self.update()
            if isinstance(key, str):
                return self._known[self._uuids[key]]
            if isinstance(key, UUID):
                return self._known[key.bytes]
            if isinstance(key, Domain) and key._conn is self._conn:
                return self._known[key._identity()]
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            self.update()
            return iter(list(self._uuids))

    def __len__(self) -> int:
        with self._lock:
            self.update()
            return len(self._uuids)

    def snapshot(self) -> dict[str, WatchedDomain]:
        """Return all domains by name, as of one moment; a loop over the watch would see changes in between."""
        with self._lock:
            self.update()
            return {name: self._known[uuid] for name, uuid in self._uuids.items()}

    def fileno(self) -> int:
        """Return a file descriptor that is readable while there are events that the watch has not taken yet."""
        return self._listener.fileno()

    def wait(self, timeout: float | None = None) -> set[UUID]:
        """Wait until domains have changed since the last call of this method; return their UUIDs.

        They include domains that no longer exist.

        :param timeout: seconds, after which an empty set is returned; ``None`` waits indefinitely
        """
        end = None if timeout is None else monotonic() + timeout
        while True:
            with self._lock:
                self.update()
                changed, self._changed = self._changed, set()
            left = RECHECK_SECONDS if end is None else end - monotonic()
            if changed or left <= 0:
                return changed
            self._listener.wait(min(left, RECHECK_SECONDS))

    # ---- keeping it current ----

    def update(self) -> None:
        """Take the events that have arrived; all other methods do this first."""
        with self._lock:
            if self._stale:
                self._list()
            while events := self._listener.take():
                self._stale = True  # an error or Ctrl-C may interrupt the next line
                self._apply(events)
                self._stale = False

    def _apply(self, events: Iterable[DomainLifecycle | EventsLost]) -> None:
        about: dict[bytes, Domain] = {}
        renamed: set[bytes] = set()
        for event in events:
            if isinstance(event, EventsLost):
                self._list()
                return
            # Renaming a domain causes one event under the old name, then one under the new name.  libvirt queues events
            # without the domain's lock, so further events under the old name may arrive even after these.
            uuid, domain = event.domain._identity(), event.domain
            if uuid in about and about[uuid].name != domain.name:
                renamed.add(uuid)
            if not (
                event.event == DomainEventType.UNDEFINED and event.detail == DomainEventUndefinedDetailType.RENAMED
            ):
                about[uuid] = domain
        for uuid, domain in about.items():
            before = self._known.get(uuid)
            if before is not None and before.name != domain.name:
                renamed.add(uuid)
            self._look_at(uuid, domain, uuid in renamed)

    def _look_at(self, uuid: bytes, domain: Domain, renamed: bool) -> None:
        try:
            if renamed:
                domain = self._conn.domains.get(uuid=uuid)
            state = domain.state()
        except DomainNotFoundError:
            self._remove(uuid)
        else:
            self._put(WatchedDomain(domain, domain.name, domain.uuid, state))

    def _put(self, now: WatchedDomain) -> None:
        key = now.uuid.bytes
        before = self._known.get(key)
        if before == now:
            return
        if before is not None and before.name != now.name and self._uuids.get(before.name) == key:
            del self._uuids[before.name]
        self._known[key] = now
        self._uuids[now.name] = key
        self._changed.add(now.uuid)

    def _remove(self, key: bytes) -> None:
        before = self._known.pop(key, None)
        if before is None:
            return
        if self._uuids.get(before.name) == key:
            del self._uuids[before.name]
        self._changed.add(before.uuid)

    def _list(self) -> None:
        """List all domains.  (virConnectListAllDomains, virDomainListGetStats)"""
        while EventsLost in map(type, self._listener.take()):  # the list includes what these events report
            pass
        found = {now.uuid.bytes: now for now in self._all()}
        for key in [key for key in self._known if key not in found]:
            self._remove(key)
        for now in found.values():
            self._put(now)
        self._stale = False

    def _all(self) -> Iterator[WatchedDomain]:
        domains = self._conn.domains.list()
        states = self._states(domains)
        for domain in domains:
            try:
                state = states.get(domain._identity()) or domain.state()
            except DomainNotFoundError:
                continue
            yield WatchedDomain(domain, domain.name, domain.uuid, state)

    def _states(self, domains: list[Domain]) -> dict[bytes, DomainStateReason]:
        """Return the states of *domains*, or as many as one call can return."""
        try:
            frame = self._conn.domains.stats(StatsGroup.STATE, domains=domains) if domains else None
        except (NotSupportedError, DomainNotFoundError):  # the latter if a domain has just been removed
            return {}
        if frame is None:
            return {}
        return {
            uuid.bytes: DomainStateReason.decode(int(fields["state.state"]), int(fields["state.reason"]))
            for uuid, fields in zip(frame.domains.uuids, frame.to_dicts(), strict=True)
            if "state.state" in fields and "state.reason" in fields
        }

    # ---- the end ----

    def close(self) -> None:
        """Stop watching.  Calling it again has no effect."""
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
