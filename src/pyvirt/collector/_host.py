# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a collector asks of one host in a tick, and what it makes of the answers.

All decisions are made in the thread that collects; other threads only make calls.  A call that hangs does more harm
than to itself.  libvirtd takes five requests of a client at a time.  And libvirt's client lets one thread read for all:
while that one waits for an answer that does not come, the call of another may not even be sent before something
arrives, as its wake-up can get lost between two lines (in virNetClientIO, libvirt 9.0 at least).  So the collector has
connections of its own: one to look through, which carries nothing that could hang, and one for requests, until one of
those hangs; then a new one takes over.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from pyvirt._core import codes
from pyvirt._core.lib import lib
from pyvirt.collector._requests import Call, Closing, Link, Listing, Opening, Probe, Request, as_error
from pyvirt.collector.frame import Missing
from pyvirt.enums.domain import ConnectGetAllDomainStatsFlags, StatsGroup
from pyvirt.errors import (
    ClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    DomainNotFoundError,
    Error,
    InvalidArgumentError,
    NotSupportedError,
    OperationTimeoutError,
    OperationUnsupportedError,
)
from pyvirt.uri import URI

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pyvirt._core.lib import CData
    from pyvirt.connection import Connection
    from pyvirt.domain import Domain

MOST_UNDER_WAY = 4  # of a connection; libvirtd's max_client_requests is 5

# A request that hangs has one of the 20 threads that libvirtd has for everybody (max_workers).  With so many hanging,
# others are asked only for what needs no monitor, and so cannot hang.
MOST_STUCK = 12
_HARMLESS = StatsGroup.STATE | StatsGroup.CPU_TOTAL | StatsGroup.INTERFACE

_REQUEST_TIME = 0.15  # seconds that a request should take: short ones spread well, and little is asked again
_MOST_DOMAINS = 512  # a request
_GUESS = 0.01  # seconds for a domain, before anybody knows
_LEAST_PATIENCE, _FIRST_PATIENCE = 0.05, 0.25  # seconds before a request is looked into; while nobody knows the cost
_LONG, _MOST_GIVEN_UP = 10.0, 3  # seconds after which a call that others wait for is given up; how many at a time

# Drivers that live in the client: there is no daemon.
_IN_PROCESS = frozenset("test esx gsx vpx hyperv phyp vmware openvz".split())


def _may_have_more(conn: Connection) -> bool:
    """Whether further connections lead to the same host, and are of any use."""
    uri = URI.parse(conn._uri or "test:")
    if uri.driver == "test" and uri.path != "/default":
        return False  # each connection gets a host of its own
    return uri.transport is not None or (uri.driver not in _IN_PROCESS and uri.path != "/embed")


class HostState:
    """One host of a collector, the place of the connection that was given for it."""

    def __init__(
        self, number: int, name: str, conn: Connection, workers: int, start: Callable[[HostState, Call], None]
    ) -> None:
        self.number = number
        self.name = name
        self._given = conn
        self._daemon = _may_have_more(conn)
        self._workers = workers
        self._start_job = start
        self._links: list[Link] = [] if self._daemon else [Link(conn)]
        self._looking_glass: Connection | None = None if self._daemon else conn
        # Calls under way, of this tick or an earlier one.  There is at most one of each of the first four, besides
        # those that were given up: over a network that went away, a call may never end.
        self._listing: Listing | None = None
        self._opening: Opening | None = None
        self._opening_glass: Opening | None = None
        self._probe: Probe | None = None
        self._given_up: list[Call] = []
        self._requests: list[Request] = []
        # What was learned.
        self._costs: dict[int, float] = {}  # seconds a domain, by groups
        self._most = _MOST_DOMAINS
        self._flags = ConnectGetAllDomainStatsFlags.NOWAIT
        self._one_by_one = False
        self._can_look = True
        self._known: list[Domain] = []
        self._first: set[bytes] = set()  # who was left out, and for no fault of their own
        self.begin(0, StatsGroup.ALL, ConnectGetAllDomainStatsFlags(0), 0.0)

    @property
    def connections(self) -> list[Connection]:
        """Those that a frame may keep open."""
        return [link.conn for link in self._links]

    # ---- a tick ----

    def begin(self, tick: int, groups: StatsGroup, flags: ConnectGetAllDomainStatsFlags, deadline: float) -> None:
        """Begin a tick."""
        self._tick = tick
        self._groups = groups
        self._enforce = flags
        self._deadline = deadline  # seconds from the start
        self._listed: Link | None = None  # whose handles those below are
        self._was_listed = False
        self._queue: deque[Domain] = deque()  # to be asked
        self._again: deque[Sequence[Domain]] = deque()  # to be asked before those, as they are
        self._aside: dict[bytes, Domain] = {}  # a call of an earlier tick waits for them
        self._failed: list[bytes] = []
        self._dropped: list[bytes] = []
        self._heard = False
        #: why nothing more is to be had from it in this tick
        self.error: Error | None = None
        #: how many rows it has in the frame
        self.rows = 0
        if self._given.closed:
            self.error = self._given._closed_error()
        self._give_up(monotonic() - max(2 * deadline, _LONG))
        # Not at the end of a tick: its frame has domains of them, until a connection that closes asks who they were.
        idle = [link for link in self._links if not link.under_way]
        for link in idle[1:] if self._listing is None else ():
            self._drop(link)

    def _give_up(self, before: float) -> None:
        """Do without what calls from that long ago have not returned; a few of them, as each keeps a thread here."""
        for name in ("_listing", "_opening", "_opening_glass", "_probe"):
            job: Call | None = getattr(self, name)
            if job is not None and job.started < before and self._daemon and len(self._given_up) < _MOST_GIVEN_UP:
                self._given_up.append(job)
                setattr(self, name, None)
                if name == "_probe":
                    self._drop_glass()

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to wait for."""
        if self.error is not None:
            return True
        if not self._was_listed or self._queue or self._again:
            return False
        # What an earlier tick has left behind is waited for only until somebody knows for whom it waits.
        return not any(request.tick == self._tick or request.stuck is None for request in self._requests)

    def wakes_at(self) -> float:
        """Return when to call :meth:`advance` even if nothing has happened."""
        if self.error is not None or self._probe is not None or self._looking_glass is None or not self._can_look:
            return float("inf")
        return min((request.look_at for request in self._requests if request.stuck is None), default=float("inf"))

    def advance(self, now: float) -> None:
        """Start whatever can be started."""
        if self.error is not None:
            return
        self._look(now)
        link = self._clean_link(now)
        if link is None:
            if self._opening is None and (self._wants_link or not self._was_listed):
                self._opening = Opening(self._tick, self._given)
                self._start(self._opening)
        elif self._listed is not link:
            if self._listing is None and (not self._was_listed or self._queue or self._again):
                self._listing = Listing(self._tick, link)
                self._start(self._listing)
        else:
            self._ask(link)

    def _start(self, job: Call) -> None:
        self._start_job(self, job)

    # ---- connections ----

    def _clean_link(self, now: float) -> Link | None:
        """Return a connection on which nothing hangs."""
        if not self._daemon:
            return self._links[0]
        hanging = {
            id(request.link)
            for request in self._requests
            if request.stuck is not None or request.tick != self._tick or request.look_at <= now
        }
        listings = [job for job in (self._listing, *self._given_up) if isinstance(job, Listing)]
        hanging.update(id(listing.link) for listing in listings if listing.tick != self._tick)
        for link in list(self._links):
            if id(link) not in hanging and not link.conn._link_stands():
                self._drop(link)
        if self._listed in self._links and id(self._listed) not in hanging:
            return self._listed
        return next((link for link in self._links if id(link) not in hanging), None)

    @property
    def _wants_link(self) -> bool:
        return bool(self._queue or self._again)

    def _drop(self, link: Link) -> None:
        self._links.remove(link)
        if link.conn is not self._given:
            # Their handles end with it, but should be able to say who they were.
            deque(_named((domain for domain in self._known if domain._conn is link.conn), Missing.LATE), maxlen=0)
            self._start(Closing(self._tick, link.conn))

    def _drop_glass(self) -> None:
        if self._looking_glass is not None and self._looking_glass is not self._given:
            self._start(Closing(self._tick, self._looking_glass))
            self._looking_glass = None

    # ---- looking ----

    def _look(self, now: float) -> None:
        """Look into a request that takes long, or whether one that hangs has moved on."""
        if self._probe is not None or not self._can_look:
            return
        if self._looking_glass is None:
            if self._opening_glass is None:
                self._opening_glass = Opening(self._tick, self._given)
                self._start(self._opening_glass)
            return
        for request in self._requests:
            if request.stuck is None and request.look_at <= now:
                self._start_probe(request, request.uuids, self._patience(request) * 1000 / 3)
                return
        for request in self._requests:
            # It may have got past the one it hung on, and hang on the next.
            if request.stuck and request.looked_in < self._tick:
                self._start_probe(request, request.stuck, 0)
                return

    def _start_probe(self, request: Request, uuids: Iterable[bytes], age: float) -> None:
        assert self._looking_glass is not None
        request.looked_in = self._tick
        self._probe = Probe(self._tick, self._looking_glass, request, list(uuids), age)
        self._start(self._probe)

    # ---- asking ----

    def _ask(self, link: Link) -> None:
        groups = self._groups
        if sum(request.stuck is not None for request in self._requests) >= MOST_STUCK:
            groups = _HARMLESS if groups == StatsGroup.ALL else groups & _HARMLESS
            if not groups:
                return
        while self._again or self._queue:
            active = sum(request.stuck is None for request in self._requests)
            if active >= self._workers or (self._daemon and link.under_way >= MOST_UNDER_WAY):
                return
            domains = self._again.popleft() if self._again else self._next()
            request = Request(
                self._tick, link, domains, groups, self._flags | self._enforce, one_by_one=self._one_by_one
            )
            request.look_at = request.started + self._patience(request)
            link.under_way += 1
            self._requests.append(request)
            self._start(request)

    def _next(self) -> Sequence[Domain]:
        """Take the next domains: fewer towards the end, so that all threads come to it at the same time."""
        cost = self._cost()
        most = min(self._most, _MOST_DOMAINS, max(1, int(_REQUEST_TIME / cost)))
        least = min(most, max(1, int(_REQUEST_TIME / 8 / cost)))
        count = min(len(self._queue), most, max(least, len(self._queue) // self._workers))
        return [self._queue.popleft() for _ in range(count)]

    def _cost(self) -> float:
        return self._costs.get(self._groups, _GUESS)

    def _patience(self, request: Request) -> float:
        """Return how many seconds a request may take before it is looked into."""
        most = self._deadline / 5
        if self._groups not in self._costs:
            return min(_FIRST_PATIENCE, most)
        return min(max(_LEAST_PATIENCE, 3 * self._cost() * len(request.domains)), most)

    # ---- answers ----

    def take(self, job: Call, add: Callable[[HostState, CData, int], None]) -> None:
        """Make what there is to make of a call that has returned; *add* puts records into the frame."""
        if job in self._given_up:
            self._given_up.remove(job)
            job.discard()
        elif isinstance(job, Request):
            self._requests.remove(job)
            job.link.under_way -= 1
            self._take_answer(job, add)
        elif isinstance(job, Listing):
            self._listing = None
            self._take_listing(job)
        elif isinstance(job, Probe):
            self._probe = None
            self._take_probe(job)
        elif isinstance(job, Opening):
            self._take_connection(job)

    def _take_connection(self, job: Opening) -> None:
        for_looking = job is self._opening_glass
        if for_looking:
            self._opening_glass = None
        else:
            self._opening = None
        if job.opened is not None:
            self._heard = True
            if for_looking:
                self._looking_glass = job.opened
            else:
                self._links.append(Link(job.opened))
        elif job.error is not None and job.tick == self._tick:
            self.error = self.error or as_error(job.error)

    def _take_listing(self, job: Listing) -> None:
        if job.tick != self._tick:
            return  # there will be a new one
        if job.error is not None:
            self.error = as_error(job.error)
            return
        self._heard = True
        self._listed = job.link
        if self._was_listed:
            self._move(job.domains)
            return
        self._was_listed = True
        self._known = domains = job.domains
        waits = {uuid for request in self._requests for uuid in request.waits_for}
        if waits:
            self._aside = {domain._identity(): domain for domain in domains if domain._identity() in waits}
            domains = [domain for domain in domains if domain._identity() not in waits]
        if self._first:
            domains = sorted(domains, key=lambda domain: domain._identity() not in self._first)
        self._queue.extend(domains)

    def _move(self, domains: Sequence[Domain]) -> None:
        """Go on with other handles of the domains that are still to be asked, those of another connection."""
        handles = {domain._identity(): domain for domain in domains}

        def moved(old: Iterable[Domain]) -> list[Domain]:
            return [handles[domain._identity()] for domain in old if domain._identity() in handles]

        self._queue = deque(moved(self._queue))
        self._again = deque(filter(None, map(moved, self._again)))
        self._aside = {uuid: handles[uuid] for uuid in self._aside if uuid in handles}

    def _take_probe(self, job: Probe) -> None:
        request = job.request
        if job.error is not None:
            request.look_at = monotonic() + self._patience(request)
            if _is_lost(as_error(job.error)) and job.conn is self._looking_glass:
                self._drop_glass()
            return
        self._heard = True
        if request not in self._requests:
            return  # it has returned since
        if not job.supported:
            self._can_look = False
            request.stuck = set(request.uuids)
        elif request.stuck is not None:
            request.stuck -= job.free
            self._release(job.free)
        elif request.tick != self._tick:
            request.stuck = set(request.uuids) - job.free
            self._release(job.free)
        elif job.stuck or self._is_unsent(request):
            request.stuck = job.stuck
            self._ask_again(request, [domain for domain in request.domains if domain._identity() not in job.stuck])
        else:
            request.look_at = monotonic() + self._patience(request)

    def _is_unsent(self, request: Request) -> bool:
        """Whether a request of which nobody is stuck may be one that libvirt's client has not even sent."""
        return self._daemon and any(
            other is not request and other.link is request.link and other.stuck is not None for other in self._requests
        )

    def _ask_again(self, request: Request, domains: Sequence[Domain], parts: int = 8) -> None:
        self._again.extend(_parts(domains, parts))
        if request.link is not self._listed:
            self._listed = None  # these handles belong to another connection: list, and take those

    def _release(self, uuids: Iterable[bytes]) -> None:
        """Ask domains that an earlier tick's request held up until now."""
        held = {uuid for request in self._requests for uuid in request.waits_for}
        back = [self._aside.pop(uuid) for uuid in uuids if uuid in self._aside and uuid not in held]
        self._again.extend(_parts(back, 8))

    def _take_answer(self, job: Request, add: Callable[[HostState, CData, int], None]) -> None:
        error = None if job.error is None else as_error(job.error)
        if error is None or not _is_lost(error):
            self._heard = True
        if job.tick != self._tick:
            # Of a frame that is sealed, and nobody knows how old.
            if job.answer is not None:
                job.answer.close()
            self._release(job.waits_for)
        elif error is not None:
            self._take_error(job, error)
        else:
            if job.stuck is None:
                known = self._costs.get(self._groups)
                cost = job.took / len(job.domains)
                self._costs[self._groups] = max(1e-6, cost if known is None else 0.7 * known + 0.3 * cost)
            if job.answer is not None:
                self._take_records(job, job.answer.take(), job.answer.count, add)

    def _take_records(
        self, job: Request, records: CData | None, count: int, add: Callable[[HostState, CData, int], None]
    ) -> None:
        if records is None:  # somebody closed the connection
            self.error = self._given._closed_error() or ClosedError("the connection is closed")
            return
        if job.stuck is not None:  # the others have been asked again
            count = lib.pv_records_keep(records, count, b"".join(job.stuck), len(job.stuck))
        self.rows += count
        add(self, records, count)

    def _take_error(self, job: Request, error: Error) -> None:
        wanted = job.waits_for
        domains = [domain for domain in job.domains if domain._identity() in wanted]
        if _is_lost(error):
            self._dropped += wanted
            self.error = error
        elif isinstance(error, OperationUnsupportedError) and error.code == codes.NO_SUPPORT and not job.one_by_one:
            self._one_by_one = True
            self._ask_again(job, domains, 1)
        elif isinstance(error, NotSupportedError):  # of these groups
            self._dropped += wanted
            self.error = error
        elif isinstance(error, InvalidArgumentError) and job.flags & ConnectGetAllDomainStatsFlags.NOWAIT:
            self._flags = ConnectGetAllDomainStatsFlags(0)
            self._ask_again(job, domains, 1)
        elif len(domains) > 1:  # the answer is too large for a message, or one of them spoils it for all
            if job.link.conn._too_large(error):
                self._most = max(1, len(domains) // 2)
            self._ask_again(job, domains)
        elif not isinstance(error, DomainNotFoundError):
            self._failed += wanted

    # ---- the end of a tick ----

    def end(self) -> dict[UUID, Missing]:
        """Return who is not in the frame, and why."""
        # One that said who is there, and then nothing more, not even who is stuck, hangs too.
        silent = not self._heard or not (self.rows or self._probe is None or self.finished)
        if self.error is None and silent:
            self.error = OperationTimeoutError(
                f"no answer from {self.name} within {self._deadline:g} s", function="virDomainListGetStats"
            )
        missing = dict(self._reasons())
        self._first = {uuid for uuid, why in missing.items() if why in (Missing.LATE, Missing.NOT_ASKED)}
        return {UUID(bytes=uuid): why for uuid, why in missing.items()}

    def _reasons(self) -> Iterator[tuple[bytes, Missing]]:
        lost = None
        if self.error is not None:
            lost = Missing.FAILED if isinstance(self.error, NotSupportedError) else Missing.UNREACHABLE
        if not self._was_listed:
            yield from _named(self._known, lost or Missing.NOT_ASKED)
            return
        yield from _named(self._queue, lost or Missing.NOT_ASKED)
        for domains in self._again:
            yield from _named(domains, lost or Missing.NOT_ASKED)
        stuck: set[bytes] = set()
        for request in self._requests:
            why = Missing.LATE if request.stuck is None or not self._can_look else Missing.STUCK
            if request.tick == self._tick:
                yield from ((uuid, lost or why) for uuid in request.waits_for)
            elif why is Missing.STUCK:
                stuck.update(request.waits_for)
        for uuid in self._aside:
            yield uuid, lost or (Missing.STUCK if uuid in stuck else Missing.LATE)
        yield from ((uuid, Missing.FAILED) for uuid in self._failed)
        yield from ((uuid, lost or Missing.UNREACHABLE) for uuid in self._dropped)

    def close(self) -> None:
        """Close the connections that were opened here."""
        for conn in (*self.connections, self._looking_glass):
            if conn is not None and conn is not self._given and not conn.closed:
                self._start(Closing(self._tick, conn))


def _is_lost(error: Error) -> bool:
    return isinstance(error, (ConnectionLostError, ConnectionFailedError, ClosedError))


def _parts(domains: Sequence[Domain], count: int) -> Iterator[Sequence[Domain]]:
    """Cut into so many parts, or as many as there are."""
    size = -(-len(domains) // count)
    return (domains[at : at + size] for at in range(0, len(domains), size or 1))


def _named(domains: Iterable[Domain], why: Missing) -> Iterator[tuple[bytes, Missing]]:
    for domain in domains:
        try:
            yield domain._identity(), why
        except ClosedError:
            pass  # nobody asked who it was while its connection was open
