# SPDX-License-Identifier: LGPL-2.1-or-later
"""The requests that a collector sends to one host in a tick, and how it processes the answers.

All decisions are made in the thread that collects; other threads only make calls.

A call that hangs delays other calls, for two reasons.  libvirtd serves five requests of a client at a time.  And
libvirt's client lets one thread read from the socket for all threads: while that thread waits for an answer that does
not come, the request of another thread may not even be sent before something arrives, because its wake-up can get lost
between two lines (in virNetClientIO, libvirt 9.0 at least).

So the collector opens its own connections: one for probes, which carries no call that can hang, and one for requests.
If a request hangs, a new connection replaces the latter.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
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

MAX_REQUESTS = 4  # under way on one connection; libvirtd's max_client_requests is 5

# A request that hangs occupies one of the 20 threads that libvirtd has for all clients (max_workers).  If this many
# requests hang, other domains are asked only for the groups that need no monitor and so cannot hang.
_MAX_STUCK_REQUESTS = 12
_GROUPS_WITHOUT_MONITOR = StatsGroup.STATE | StatsGroup.CPU_TOTAL | StatsGroup.INTERFACE

# Seconds that one request should take.  Short requests are spread evenly over the threads, and if one of them hangs,
# few domains are asked again.
_REQUEST_TIME = 0.15
_MAX_DOMAINS = 512  # of one request
_RETRY_PARTS = 8  # requests into which the domains of a request are divided when they are asked again
_INITIAL_COST = 0.01  # seconds per domain, before a request was measured
# Seconds that a request may take before it is probed: the minimum, and the value before a request was measured.
_MIN_PATIENCE = 0.05
_INITIAL_PATIENCE = 0.25
_GIVE_UP_AFTER = 10.0  # seconds, at least, after which a call that others wait for is given up
_MAX_GIVEN_UP = 3

# Drivers that run in the client: there is no daemon.
_IN_PROCESS = frozenset("test esx gsx vpx hyperv phyp vmware openvz".split())


def _has_daemon(conn: Connection) -> bool:
    """Return whether more connections to the same URI reach the same host, and are useful."""
    uri = URI.parse(conn._uri or "test:")
    if uri.driver == "test" and uri.path != "/default":
        return False  # each connection gets a host of its own
    return uri.transport is not None or (uri.driver not in _IN_PROCESS and uri.path != "/embed")


@dataclass(slots=True)
class _CallsUnderWay:
    """The calls of one host that have not returned, started in this tick or in an earlier one.

    There is at most one call of each kind, apart from requests and from calls that were given up: if the network fails,
    a call may never return.
    """

    listing: Listing | None = None
    opening: Opening | None = None
    #: the opening of the connection for probes
    probe_opening: Opening | None = None
    probe: Probe | None = None
    given_up: list[Call] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def give_up(self, call: Call | None, before: float) -> bool:
        """Give *call* up if it was started *before* that time, and return whether it was given up.

        At most a few calls are given up at a time, because each of them keeps a thread.
        """
        if call is None or call.started >= before or len(self.given_up) >= _MAX_GIVEN_UP:
            return False
        self.given_up.append(call)
        return True

    @property
    def waited_for(self) -> set[bytes]:
        """The UUIDs of the domains that a request under way waits for."""
        return {uuid for request in self.requests for uuid in request.waits_for}


@dataclass(slots=True)
class _Learned:
    """What earlier requests showed about the host."""

    #: seconds per domain, by groups
    costs: dict[int, float] = field(default_factory=dict)
    #: how many domains fit into one answer
    max_domains: int = _MAX_DOMAINS
    flags: ConnectGetAllDomainStatsFlags = ConnectGetAllDomainStatsFlags.NOWAIT
    #: the driver has no bulk statistics
    one_by_one: bool = False
    can_probe: bool = True


@dataclass(slots=True)
class _HostTick:
    """The state of one tick on one host."""

    number: int
    groups: StatsGroup
    #: flags of all requests of this tick
    flags: ConnectGetAllDomainStatsFlags
    #: seconds from the start
    deadline: float
    was_listed: bool = False
    #: the connection to which the handles below belong; ``None`` before the list, and if a new list is needed
    link: Link | None = None
    #: the domains that have not been asked yet
    queue: deque[Domain] = field(default_factory=deque)
    #: domains to ask before those of the queue, in these portions
    retries: deque[Sequence[Domain]] = field(default_factory=deque)
    #: domains that a request of an earlier tick still waits for
    held: dict[bytes, Domain] = field(default_factory=dict)
    #: domains for which libvirt returned an error
    failed: list[bytes] = field(default_factory=list)
    #: domains of requests that ended with the connection
    unreachable: list[bytes] = field(default_factory=list)
    #: whether any call was answered
    answered: bool = False

    @property
    def has_work(self) -> bool:
        """Whether domains are left to ask."""
        return bool(self.queue or self.retries)

    def move_to(self, link: Link, domains: Sequence[Domain]) -> None:
        """Replace the handles of the domains that are left by those of *domains*, which belong to *link*."""
        handles = {domain._identity(): domain for domain in domains}

        def replace(old: Iterable[Domain]) -> list[Domain]:
            return [handles[domain._identity()] for domain in old if domain._identity() in handles]

        self.link = link
        self.queue = deque(replace(self.queue))
        self.retries = deque(filter(None, map(replace, self.retries)))
        self.held = {uuid: handles[uuid] for uuid in self.held if uuid in handles}

    def retry(self, domains: Sequence[Domain], parts: int = _RETRY_PARTS) -> None:
        """Ask *domains* again, in *parts* requests."""
        self.retries.extend(_split(domains, parts))


class HostState:
    """One host of a collector: its connections, the calls under way and the state of the tick."""

    def __init__(
        self, number: int, name: str, conn: Connection, workers: int, start: Callable[[HostState, Call], None]
    ) -> None:
        self.number = number
        self.name = name
        self._given = conn
        self._has_daemon = _has_daemon(conn)
        self._workers = workers
        self._start_call = start
        self._links: list[Link] = [] if self._has_daemon else [Link(conn)]
        self._probe_conn: Connection | None = None if self._has_daemon else conn
        self._calls = _CallsUnderWay()
        self._learned = _Learned()
        self._last_listed: list[Domain] = []
        #: domains that the last tick left out although they were not stuck: the next tick asks them first
        self._asked_first: set[bytes] = set()
        self._tick = _HostTick(0, StatsGroup.ALL, ConnectGetAllDomainStatsFlags(0), 0.0)
        #: why the host returns nothing more in this tick
        self.error: Error | None = None
        #: how many rows it has in the frame
        self.rows = 0

    @property
    def connections(self) -> list[Connection]:
        """The connections to which domains of a frame may belong."""
        return [link.conn for link in self._links]

    # ---- a tick ----

    def begin_tick(
        self, number: int, groups: StatsGroup, flags: ConnectGetAllDomainStatsFlags, deadline: float
    ) -> None:
        """Begin a tick."""
        self._tick = _HostTick(number, groups, flags, deadline)
        self.error = self._given._closed_error() if self._given.closed else None
        self.rows = 0
        if self._has_daemon:
            self._give_up_calls(monotonic() - max(2 * deadline, _GIVE_UP_AFTER))
        # Idle connections are not closed at the end of a tick: its frame still refers to domains of them, whose names
        # would have to be read before.
        idle = [link for link in self._links if not link.under_way]
        for link in idle[1:] if self._calls.listing is None else ():
            self._close_link(link)

    def _give_up_calls(self, before: float) -> None:
        """Give up the calls that were started *before* that time and have not returned."""
        calls = self._calls
        if calls.give_up(calls.listing, before):
            calls.listing = None
        if calls.give_up(calls.opening, before):
            calls.opening = None
        if calls.give_up(calls.probe_opening, before):
            calls.probe_opening = None
        if calls.give_up(calls.probe, before):
            calls.probe = None
            self._close_probe_conn()

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to wait for."""
        if self.error is not None:
            return True
        if not self._tick.was_listed or self._tick.has_work:
            return False
        # A request of an earlier tick is waited for only until a probe has shown which domains it waits for.
        return not any(request.tick == self._tick.number or request.stuck is None for request in self._calls.requests)

    def next_wakeup(self) -> float:
        """Return when to call :meth:`advance` even if no call has returned."""
        if self.error is not None or self._calls.probe is not None:
            return float("inf")
        if self._probe_conn is None or not self._learned.can_probe:
            return float("inf")
        times = (request.probe_at for request in self._calls.requests if request.stuck is None)
        return min(times, default=float("inf"))

    def advance(self, now: float) -> None:
        """Start the calls that can be started."""
        if self.error is not None:
            return
        self._start_due_probe(now)
        tick, calls = self._tick, self._calls
        needs_link = tick.has_work or not tick.was_listed
        link = self._usable_link(now)
        if link is None:
            if calls.opening is None and needs_link:
                calls.opening = Opening(tick.number, self._given)
                self._start(calls.opening)
        elif tick.link is not link:
            if calls.listing is None and needs_link:
                calls.listing = Listing(tick.number, link)
                self._start(calls.listing)
        else:
            self._start_requests(link)

    def _start(self, call: Call) -> None:
        self._start_call(self, call)

    # ---- connections ----

    def _usable_link(self, now: float) -> Link | None:
        """Return a connection on which no call hangs."""
        if not self._has_daemon:
            return self._links[0]
        hanging = set(self._hanging_links(now))
        for link in list(self._links):
            if link not in hanging and not link.conn._link_stands():
                self._close_link(link)
        usable = [link for link in self._links if link not in hanging]
        if self._tick.link in usable:
            return self._tick.link
        return usable[0] if usable else None

    def _hanging_links(self, now: float) -> Iterator[Link]:
        """Yield the connections on which a call hangs, or may hang."""
        for request in self._calls.requests:
            if request.stuck is not None or request.tick != self._tick.number or request.probe_at <= now:
                yield request.link
        for call in (self._calls.listing, *self._calls.given_up):
            if isinstance(call, Listing) and call.tick != self._tick.number:
                yield call.link

    def _close_link(self, link: Link) -> None:
        self._links.remove(link)
        if link.conn is not self._given:
            # Closing invalidates the handles.  They keep the UUIDs that were read before, which a later tick may need.
            list(_identities(domain for domain in self._last_listed if domain._conn is link.conn))
            self._start(Closing(self._tick.number, link.conn))

    def _close_probe_conn(self) -> None:
        if self._probe_conn is not None and self._probe_conn is not self._given:
            self._start(Closing(self._tick.number, self._probe_conn))
            self._probe_conn = None

    # ---- probes ----

    def _start_due_probe(self, now: float) -> None:
        """Probe a request that takes too long, or one of which domains are known to be stuck."""
        calls = self._calls
        if calls.probe is not None or not self._learned.can_probe:
            return
        if self._probe_conn is None:
            if calls.probe_opening is None:
                calls.probe_opening = Opening(self._tick.number, self._given)
                self._start(calls.probe_opening)
            return
        for request in calls.requests:
            if request.stuck is None and request.probe_at <= now:
                self._start_probe(self._probe_conn, request, request.uuids, self._patience(request) * 1000 / 3)
                return
        for request in calls.requests:
            # It may have got past the domain on which it hung, and hang on the next one.
            if request.stuck and request.probed_in < self._tick.number:
                self._start_probe(self._probe_conn, request, request.stuck, 0)
                return

    def _start_probe(self, conn: Connection, request: Request, uuids: Iterable[bytes], min_age: float) -> None:
        request.probed_in = self._tick.number
        self._calls.probe = Probe(self._tick.number, conn, request, list(uuids), min_age)
        self._start(self._calls.probe)

    # ---- requests ----

    def _start_requests(self, link: Link) -> None:
        tick, calls, learned = self._tick, self._calls, self._learned
        groups = tick.groups
        if sum(request.stuck is not None for request in calls.requests) >= _MAX_STUCK_REQUESTS:
            groups = _GROUPS_WITHOUT_MONITOR if groups == StatsGroup.ALL else groups & _GROUPS_WITHOUT_MONITOR
            if not groups:
                return
        while tick.has_work:
            active = sum(request.stuck is None for request in calls.requests)
            if active >= self._workers or (self._has_daemon and link.under_way >= MAX_REQUESTS):
                return
            domains = tick.retries.popleft() if tick.retries else self._next_domains()
            request = Request(
                tick.number, link, domains, groups, learned.flags | tick.flags, one_by_one=learned.one_by_one
            )
            request.probe_at = request.started + self._patience(request)
            link.under_way += 1
            calls.requests.append(request)
            self._start(request)

    def _next_domains(self) -> Sequence[Domain]:
        """Take the domains of the next request: fewer towards the end, so that all threads end at the same time."""
        cost, queue = self._cost(), self._tick.queue
        most = min(self._learned.max_domains, _MAX_DOMAINS, max(1, int(_REQUEST_TIME / cost)))
        least = min(most, max(1, int(_REQUEST_TIME / 8 / cost)))
        count = min(len(queue), most, max(least, len(queue) // self._workers))
        return [queue.popleft() for _ in range(count)]

    def _cost(self) -> float:
        return self._learned.costs.get(self._tick.groups, _INITIAL_COST)

    def _patience(self, request: Request) -> float:
        """Return how many seconds a request may take before it is probed."""
        most = self._tick.deadline / 5
        if self._tick.groups not in self._learned.costs:
            return min(_INITIAL_PATIENCE, most)
        return min(max(_MIN_PATIENCE, 3 * self._cost() * len(request.domains)), most)

    # ---- answers ----

    def process(self, call: Call, add: Callable[[HostState, CData, int], None]) -> None:
        """Process a call that has returned; *add* puts records into the frame."""
        calls = self._calls
        if call in calls.given_up:
            calls.given_up.remove(call)
            call.discard()
        elif isinstance(call, Request):
            calls.requests.remove(call)
            call.link.under_way -= 1
            self._process_request(call, add)
        elif isinstance(call, Listing):
            calls.listing = None
            self._process_listing(call)
        elif isinstance(call, Probe):
            calls.probe = None
            self._process_probe(call)
        elif isinstance(call, Opening):
            self._process_opening(call)

    def _process_opening(self, call: Opening) -> None:
        for_probes = call is self._calls.probe_opening
        if for_probes:
            self._calls.probe_opening = None
        else:
            self._calls.opening = None
        if call.opened is not None:
            self._tick.answered = True
            if for_probes:
                self._probe_conn = call.opened
            else:
                self._links.append(Link(call.opened))
        elif call.error is not None and call.tick == self._tick.number:
            self.error = self.error or as_error(call.error)

    def _process_listing(self, call: Listing) -> None:
        tick = self._tick
        if call.tick != tick.number:
            return  # too old; this tick makes a new list
        if call.error is not None:
            self.error = as_error(call.error)
            return
        tick.answered = True
        if tick.was_listed:
            tick.move_to(call.link, call.domains)
            return
        tick.link = call.link
        tick.was_listed = True
        self._last_listed = domains = call.domains
        waited_for = self._calls.waited_for
        if waited_for:
            tick.held = {domain._identity(): domain for domain in domains if domain._identity() in waited_for}
            domains = [domain for domain in domains if domain._identity() not in waited_for]
        if self._asked_first:
            domains = sorted(domains, key=lambda domain: domain._identity() not in self._asked_first)
        tick.queue.extend(domains)

    def _process_probe(self, call: Probe) -> None:
        request = call.request
        if call.error is not None:
            request.probe_at = monotonic() + self._patience(request)
            if _is_lost(as_error(call.error)) and call.conn is self._probe_conn:
                self._close_probe_conn()
            return
        self._tick.answered = True
        if request not in self._calls.requests:
            return  # it has returned in the meantime
        if not call.supported:
            self._learned.can_probe = False
            request.stuck = set(request.uuids)
        elif request.stuck is not None:
            request.stuck -= call.free
            self._release(call.free)
        elif request.tick != self._tick.number:
            request.stuck = set(request.uuids) - call.free
            self._release(call.free)
        elif call.stuck or self._may_be_unsent(request):
            request.stuck = call.stuck
            self._retry(request, [domain for domain in request.domains if domain._identity() not in call.stuck])
        else:
            request.probe_at = monotonic() + self._patience(request)

    def _may_be_unsent(self, request: Request) -> bool:
        """Return whether libvirt's client may not have sent a request yet, as another one hangs on its connection."""
        return self._has_daemon and any(
            other is not request and other.link is request.link and other.stuck is not None
            for other in self._calls.requests
        )

    def _retry(self, request: Request, domains: Sequence[Domain], parts: int = _RETRY_PARTS) -> None:
        """Ask *domains* of a request again, in *parts* requests."""
        self._tick.retry(domains, parts)
        if request.link is not self._tick.link:
            self._tick.link = None  # these handles belong to another connection: make a list to replace them

    def _release(self, uuids: Iterable[bytes]) -> None:
        """Ask domains that a request of an earlier tick no longer waits for."""
        held, waited_for = self._tick.held, self._calls.waited_for
        self._tick.retry([held.pop(uuid) for uuid in uuids if uuid in held and uuid not in waited_for])

    def _process_request(self, call: Request, add: Callable[[HostState, CData, int], None]) -> None:
        error = None if call.error is None else as_error(call.error)
        if error is None or not _is_lost(error):
            self._tick.answered = True
        if call.tick != self._tick.number:
            # The frame of that tick is complete, and the age of the answer is unknown.
            call.discard()
            self._release(call.waits_for)
        elif error is not None:
            self._process_error(call, error)
        else:
            if call.stuck is None:
                self._learn_cost(call.took / len(call.domains))
            if call.answer is not None:
                self._add_records(call, call.answer.take(), call.answer.count, add)

    def _learn_cost(self, cost: float) -> None:
        costs, groups = self._learned.costs, self._tick.groups
        costs[groups] = max(1e-6, 0.7 * costs.get(groups, cost) + 0.3 * cost)

    def _add_records(
        self, call: Request, records: CData | None, count: int, add: Callable[[HostState, CData, int], None]
    ) -> None:
        if records is None:  # the connection was closed in another thread
            self.error = self._given._closed_error() or ClosedError("the connection is closed")
            return
        if call.stuck is not None:  # the other domains were asked again
            count = lib.pv_records_keep(records, count, b"".join(call.stuck), len(call.stuck))
        self.rows += count
        add(self, records, count)

    def _process_error(self, call: Request, error: Error) -> None:
        tick, learned = self._tick, self._learned
        wanted = call.waits_for
        domains = [domain for domain in call.domains if domain._identity() in wanted]
        if _is_lost(error):
            tick.unreachable += wanted
            self.error = error
        elif isinstance(error, OperationUnsupportedError) and error.code == codes.NO_SUPPORT and not call.one_by_one:
            learned.one_by_one = True
            self._retry(call, domains, 1)
        elif isinstance(error, NotSupportedError):  # one of the groups
            tick.unreachable += wanted
            self.error = error
        elif isinstance(error, InvalidArgumentError) and call.flags & ConnectGetAllDomainStatsFlags.NOWAIT:
            learned.flags = ConnectGetAllDomainStatsFlags(0)
            self._retry(call, domains, 1)
        elif len(domains) > 1:  # the answer is too large for a message, or one domain causes the error
            if call.link.conn._too_large(error):
                learned.max_domains = max(1, len(domains) // 2)
            self._retry(call, domains)
        elif not isinstance(error, DomainNotFoundError):
            tick.failed += wanted

    # ---- the end of a tick ----

    def end_tick(self) -> dict[UUID, Missing]:
        """Return the domains that are not in the frame, and why."""
        # A daemon that listed its domains, but then answered neither a request nor a probe, hangs too.
        hangs = not self._tick.answered or not (self.rows or self._calls.probe is None or self.finished)
        if self.error is None and hangs:
            self.error = OperationTimeoutError(
                f"no answer from {self.name} within {self._tick.deadline:g} s", function="virDomainListGetStats"
            )
        missing = self._missing()
        self._asked_first = {uuid for uuid, why in missing.items() if why in (Missing.LATE, Missing.NOT_ASKED)}
        return {UUID(bytes=uuid): why for uuid, why in missing.items()}

    def _missing(self) -> dict[bytes, Missing]:
        tick = self._tick
        not_asked = [tick.queue, *tick.retries] if tick.was_listed else [self._last_listed]
        missing = {uuid: Missing.NOT_ASKED for domains in not_asked for uuid in _identities(domains)}
        if tick.was_listed:
            missing.update(self._unanswered())
        if self.error is not None:
            lost = Missing.FAILED if isinstance(self.error, NotSupportedError) else Missing.UNREACHABLE
            missing = dict.fromkeys((*missing, *tick.unreachable), lost)
        return missing | dict.fromkeys(tick.failed, Missing.FAILED)

    def _unanswered(self) -> Iterator[tuple[bytes, Missing]]:
        """Yield the domains that a request waits for, and whether they are stuck or late."""
        stuck: set[bytes] = set()
        for request in self._calls.requests:
            is_stuck = request.stuck is not None and self._learned.can_probe
            if request.tick == self._tick.number:
                yield from ((uuid, Missing.STUCK if is_stuck else Missing.LATE) for uuid in request.waits_for)
            elif is_stuck:
                stuck.update(request.waits_for)
        yield from ((uuid, Missing.STUCK if uuid in stuck else Missing.LATE) for uuid in self._tick.held)

    def close(self) -> None:
        """Close the connections that were opened here."""
        for conn in (*self.connections, self._probe_conn):
            if conn is not None and conn is not self._given and not conn.closed:
                self._start(Closing(self._tick.number, conn))


def _is_lost(error: Error) -> bool:
    return isinstance(error, (ConnectionLostError, ConnectionFailedError, ClosedError))


def _split(domains: Sequence[Domain], count: int) -> Iterator[Sequence[Domain]]:
    """Split *domains* into *count* parts, or fewer if there are not enough of them."""
    size = -(-len(domains) // count)
    return (domains[at : at + size] for at in range(0, len(domains), size or 1))


def _identities(domains: Iterable[Domain]) -> Iterator[bytes]:
    for domain in domains:
        try:
            yield domain._identity()
        except ClosedError:
            pass  # its UUID was not read while its connection was open
