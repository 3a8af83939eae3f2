# SPDX-License-Identifier: LGPL-2.1-or-later
"""The calls of a collector.  Each runs in a thread and puts itself into a queue when it has returned."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pyvirt._core.call import last_error
from pyvirt._core.lib import ffi, lib
from pyvirt._core.slot import Slot
from pyvirt.collector._one_by_one import records_of
from pyvirt.errors import DomainNotFoundError, Error, NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pyvirt._core.lib import CData
    from pyvirt.connection import Connection
    from pyvirt.domain import Domain
    from pyvirt.enums.domain import ConnectGetAllDomainStatsFlags, StatsGroup

_OK, _OCCUPIED = 0, 2  # virDomainControlState


class Link:
    """A connection, and the number of its requests under way."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.under_way = 0


class Answer:
    """The records that a call returned, until they are added to a frame.  Closing the connection frees them."""

    __slots__ = ("__weakref__", "_records", "count")

    def __init__(self, records: CData, count: int) -> None:
        self._records: Slot[CData] = Slot()
        self._records.put(ffi.gc(records, lib.virDomainStatsRecordListFree))
        self.count = count

    def take(self) -> CData | None:
        """Return the records, which the caller must free; ``None`` if the connection was closed in another thread."""
        records = self._records.take()
        if records is not None:
            ffi.gc(records, None)
        return records

    def close(self) -> None:
        """Free the records."""
        self._records.take()

    def _disown(self) -> None:
        """Forget the records without freeing them: they belong to the process before a fork."""
        self.take()


class Call:
    """One or more C calls that a thread makes."""

    def __init__(self, tick: int) -> None:
        self.tick = tick
        self.started = monotonic()
        self.error: BaseException | None = None

    def run(self, done: Callable[[Call], None]) -> None:
        """Make the call, then call *done* with this object."""
        try:
            self._call()
        except BaseException as error:
            # Without the traceback: its frames would keep their variables alive.
            self.error = error.with_traceback(None)
        done(self)

    def _call(self) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        """Release the result, which is not needed any more."""


class Listing(Call):
    """List the domains.  (virConnectListAllDomains)"""

    def __init__(self, tick: int, link: Link) -> None:
        super().__init__(tick)
        self.link = link
        self._conn = link.conn
        self.domains: list[Domain] = []

    def _call(self) -> None:
        self.domains = self._conn.domains._list(0)


class Opening(Call):
    """Open another connection like the one that was given."""

    def __init__(self, tick: int, given: Connection) -> None:
        super().__init__(tick)
        self._given = given
        self.opened: Connection | None = None

    def _call(self) -> None:
        self.opened = self._given._another()

    def discard(self) -> None:
        """Close the connection."""
        if self.opened is not None:
            self.opened.close()


class Closing(Call):
    """Close a connection that the collector opened: closing makes a request to the daemon."""

    def __init__(self, tick: int, conn: Connection) -> None:
        super().__init__(tick)
        self._conn = conn

    def _call(self) -> None:
        self._conn.close()


class Probe(Call):
    """Find the domains of a request that are stuck, without waiting for them.  (virDomainGetControlInfo)"""

    def __init__(self, tick: int, conn: Connection, request: Request, uuids: Sequence[bytes], min_age: float) -> None:
        super().__init__(tick)
        self.conn = self._conn = conn
        self.request = request
        self._uuids = uuids
        self._min_age = min_age  # milliseconds after which a command to a hypervisor counts as stuck
        self.stuck: set[bytes] = set()
        self.free: set[bytes] = set()
        self.supported = True

    def _call(self) -> None:
        out = ffi.new("virDomainControlInfo *")
        for uuid in self._uuids:
            try:
                domain = self._conn.domains._by_uuid(uuid)
                domain._call(lib.virDomainGetControlInfo, out, 0)
            except DomainNotFoundError:
                self.free.add(uuid)
                continue
            except NotSupportedError:
                self.supported = False
                return
            if out.state == _OCCUPIED and out.stateTime >= self._min_age:
                self.stuck.add(uuid)
            elif out.state == _OK:
                self.free.add(uuid)


class Request(Call):
    """Read the statistics of some domains.  (virDomainListGetStats)"""

    def __init__(
        self,
        tick: int,
        link: Link,
        domains: Sequence[Domain],
        groups: StatsGroup,
        flags: ConnectGetAllDomainStatsFlags,
        *,
        one_by_one: bool,
    ) -> None:
        super().__init__(tick)
        self._conn = link.conn
        self.link = link
        self.domains = domains
        self._groups = groups
        self.flags = flags
        self.one_by_one = one_by_one
        self.took = 0.0
        self.answer: Answer | None = None
        #: the UUIDs of the domains that it waits for, ``None`` until a probe has found them; the others are asked again
        self.stuck: set[bytes] | None = None
        #: when to probe it
        self.probe_at = 0.0
        #: the tick that probed it last
        self.probed_in = tick

    @property
    def uuids(self) -> list[bytes]:
        """The UUIDs of its domains."""
        return [domain._identity() for domain in self.domains]

    @property
    def waits_for(self) -> Collection[bytes]:
        """The UUIDs of the domains that no other request asks until this one returns."""
        return self.uuids if self.stuck is None else self.stuck

    def _call(self) -> None:
        try:
            self._read()
        finally:
            self.took = monotonic() - self.started

    def discard(self) -> None:
        """Free the records."""
        if self.answer is not None:
            self.answer.close()

    def _read(self) -> None:
        if self.one_by_one:
            records, count = records_of(self.domains, self._groups)
        else:
            out = ffi.new("virDomainStatsRecordPtr **")
            # The list keeps the pointers valid if another thread closes the connection during the call.
            pointers = [domain._ptr for domain in self.domains]
            array = ffi.new("virDomainPtr[]", [*pointers, ffi.NULL])
            count = lib.virDomainListGetStats(array, self._groups, out, self.flags)
            if count < 0:
                raise last_error("virDomainListGetStats", self._conn)
            records = out[0]
        self.answer = Answer(records, count)
        self._conn._adopt(self.answer)


def as_error(error: BaseException) -> Error:
    """Return an error of libvirt; raise any other exception."""
    if isinstance(error, Error):
        return error
    raise error
