# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.events``: listening and subscribing, with libvirt's test driver, which sends events for every operation."""

from __future__ import annotations

import functools
import gc
import logging
import operator
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

import pyvirt
from pyvirt import DomainEventStoppedDetailType, DomainEventType
from pyvirt._core.lib import ffi, lib
from pyvirt.errors import ClosedError, InvalidArgumentError, NotSupportedError
from pyvirt.events import (
    ConnectionClosed,
    DomainEvent,
    DomainLifecycle,
    DomainWatchdog,
    Event,
    EventsLost,
    NetworkEvent,
    NetworkLifecycle,
    QemuMonitorEvent,
    StoragePoolLifecycle,
)
from pyvirt.testing.pytest_plugin import HostFactory
from tests.support.processes import output_of

LIMIT = 60  # seconds; nothing here takes that long
Type = DomainEventType


def key(kind: type[Event]) -> tuple[int, int, None]:
    """Return what a registration for *kind* is found by, for events about any domain."""
    assert kind._kind is not None
    return (*kind._kind, None)


CLOSE = key(ConnectionClosed)  # every listener registers this too


@pytest.fixture
def conn() -> Iterator[pyvirt.Connection]:
    with pyvirt.connect("test:///default") as conn:
        yield conn


@pytest.fixture
def domain(conn: pyvirt.Connection) -> pyvirt.Domain:
    return conn.domains["test"]


def blink(domain: pyvirt.Domain, times: int = 1) -> None:
    """Suspend and resume *domain*: two events each time."""
    for _ in range(times):
        domain.suspend()
        domain.resume()


class Paused:
    """A block in which libvirt delivers no events: they wait in libvirt."""

    def __enter__(self) -> None:
        assert lib.pv_loop_pause(LIMIT * 1000)

    def __exit__(self, *exc: object) -> None:
        lib.pv_loop_resume()


def types(events: list[Any]) -> list[DomainEventType]:
    return [event.event for event in events]


def exactly(listener: Any, count: int) -> list[Any]:
    """Take *count* events, and check that there are no more."""
    found: list[Any] = []
    while len(found) < count:
        assert listener.wait(LIMIT)
        found += listener.take()
    assert len(found) == count
    return found


# ---- listening ----


def test_a_loop_yields_events_in_order(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    listener = conn.events.listen(DomainLifecycle)
    blink(domain)
    domain.destroy()
    found = []
    for event in listener:
        assert isinstance(event, DomainLifecycle)
        found.append((event.domain, event.event, event.detail.name))  # type: ignore[union-attr]
        if event.event == Type.STOPPED:
            break
    assert found == [
        (domain, Type.SUSPENDED, "PAUSED"),
        (domain, Type.RESUMED, "UNPAUSED"),
        (domain, Type.STOPPED, "DESTROYED"),
    ]


def test_a_listener_receives_only_later_events(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    domain.suspend()
    listener = conn.events.listen(DomainLifecycle)
    domain.resume()
    assert types(exactly(listener, 1)) == [Type.RESUMED]


def test_a_second_loop_continues_where_the_first_ended(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    with conn.events.listen(DomainLifecycle, timeout=LIMIT) as listener:
        blink(domain, 2)
        assert next(listener).event == Type.SUSPENDED  # type: ignore[union-attr]
        for event in listener:
            assert event.event == Type.RESUMED  # type: ignore[union-attr]
            break
        assert types(exactly(listener, 2)) == [Type.SUSPENDED, Type.RESUMED]


def test_a_loop_ends_when_no_event_arrives_in_time(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    listener = conn.events.listen(DomainLifecycle, timeout=0.05)
    blink(domain)
    assert types(list(listener)) == [Type.SUSPENDED, Type.RESUMED]
    assert list(listener) == []
    with pytest.raises(StopIteration):
        next(listener)
    blink(domain)
    assert len(list(listener)) == 2  # it still listens


def test_take_never_waits(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    listener = conn.events.listen(DomainLifecycle)
    assert listener.take() == []
    assert not listener.wait(0)
    blink(domain, 300)
    found = exactly(listener, 600)
    assert types(found) == [Type.SUSPENDED, Type.RESUMED] * 300
    assert {event.domain for event in found} == {domain}


def test_take_returns_at_most_the_number_asked_for(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    listener = conn.events.listen(DomainLifecycle)
    with Paused():
        blink(domain, 500)
    found: list[Any] = []
    while len(found) < 1000:
        assert listener.wait(LIMIT)
        part = listener.take(300)
        assert len(part) <= 300
        found += part
    assert listener.take(0) == []
    assert types(found) == [Type.SUSPENDED, Type.RESUMED] * 500


def test_chunks_hold_at_most_the_number_asked_for(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    listener = conn.events.listen(DomainLifecycle, timeout=0.2)
    with Paused():
        blink(domain, 1000)
    chunks = list(listener.chunks(700))
    assert max(map(len, chunks)) <= 700
    assert functools.reduce(operator.iadd, chunks, []) == [event for chunk in chunks for event in chunk]
    assert types([event for chunk in chunks for event in chunk]) == [Type.SUSPENDED, Type.RESUMED] * 1000


def test_a_listener_can_be_polled(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    listener = conn.events.listen(DomainLifecycle)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    assert poll.poll(0) == []
    blink(domain)
    found: list[Any] = []
    while len(found) < 2:
        assert poll.poll(LIMIT * 1000) == [(listener.fileno(), select.POLLIN)]
        found += listener.take(1)
    assert poll.poll(0) == []
    listener.close()
    with pytest.raises(ClosedError):
        listener.fileno()


def test_listening_to_several_kinds(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    listener = conn.events.listen(DomainLifecycle, NetworkEvent, StoragePoolLifecycle)
    domain.suspend()
    conn.networks["default"].destroy()
    conn.storage_pools["default-pool"].destroy()
    found = exactly(listener, 3)
    assert {type(event) for event in found} == {DomainLifecycle, NetworkLifecycle, StoragePoolLifecycle}
    assert {event.network.name for event in found if isinstance(event, NetworkLifecycle)} == {"default"}


def test_listening_to_all_kinds(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    with conn.events.listen() as listener:
        domain.suspend()
        conn.networks["default"].destroy()
        assert {type(event) for event in exactly(listener, 2)} == {DomainLifecycle, NetworkLifecycle}


def test_events_can_be_limited_to_one_domain(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=3, running=1.0)) as conn:
        first, second, third = conn.domains
        listener = conn.events.listen(DomainLifecycle, domain=second)
        everything = conn.events.listen(domain=second)
        got: SimpleQueue[DomainLifecycle] = SimpleQueue()
        conn.events.subscribe(DomainLifecycle, got.put, domain=third)
        for one in (first, second, third):
            blink(one)
        assert {event.domain for event in exactly(listener, 2)} == {second}
        assert {event.domain for event in exactly(everything, 2)} == {second}
        assert {got.get(timeout=LIMIT).domain for _ in range(2)} == {third}
        assert got.empty()


def test_two_listeners_are_independent(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    one, other = conn.events.listen(DomainLifecycle), conn.events.listen(DomainLifecycle)
    blink(domain)
    seen = exactly(one, 2)
    one.close()
    blink(domain)
    assert types(exactly(other, 4)) == [Type.SUSPENDED, Type.RESUMED] * 2
    assert one.closed
    with pytest.raises(ClosedError):
        one.take()
    assert list(one) == []
    assert seen[0].domain.name == "test"


def test_threads_share_the_events_of_one_listener(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    listener = conn.events.listen(DomainLifecycle, timeout=1)
    parts: list[list[Any]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=lambda part=part: part.extend(listener)) for part in parts]
    for thread in threads:
        thread.start()
    blink(domain, 1000)
    for thread in threads:
        thread.join(LIMIT)
    assert sum(map(len, parts)) == 2000


def test_a_deleted_domain_is_still_identified_by_its_events(conn: pyvirt.Connection) -> None:
    listener = conn.events.listen(DomainLifecycle)
    xml = "<domain type='test'><name>short</name><memory>1</memory><os><type>hvm</type></os></domain>"
    made = conn.domains.create(xml)
    uuid, number = made.uuid, made.id
    made.destroy()
    started, stopped = exactly(listener, 2)
    assert (started.domain.name, started.domain.uuid, started.domain.id) == ("short", uuid, number)
    assert (stopped.domain.name, stopped.domain.uuid) == ("short", uuid)
    assert stopped.detail is DomainEventStoppedDetailType.DESTROYED
    assert started.domain == stopped.domain == made
    assert "short" not in conn.domains


def test_the_id_of_a_domain_is_that_at_the_time_of_the_event(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    """Suspending and resuming makes the same event over and over, but not across a restart."""
    listener = conn.events.listen(DomainLifecycle)
    before = domain.id
    blink(domain)
    domain.destroy()
    domain.start()
    after = domain.id
    blink(domain)
    found = exactly(listener, 6)
    assert before != after
    assert [event.domain.id for event in found if event.event in (Type.SUSPENDED, Type.RESUMED)] == [
        before,
        before,
        after,
        after,
    ]


def test_domains_of_one_name_keep_their_own_uuids(conn: pyvirt.Connection) -> None:
    def xml(uuid: str) -> str:
        return (
            f"<domain type='test'><name>again</name><uuid>{uuid}</uuid><memory>1</memory><os><type>hvm</type></os>"
            "</domain>"
        )

    uuids = [f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2)]
    listener = conn.events.listen(DomainLifecycle)
    for uuid in uuids:
        made = conn.domains.create(xml(uuid))
        blink(made)
        made.destroy()
    found = exactly(listener, 8)
    assert [str(event.domain.uuid) for event in found] == [uuids[0]] * 4 + [uuids[1]] * 4


# ---- events that do not fit ----


@pytest.mark.parametrize(("buffer", "events"), [(1, 2), (2, 10), (100, 1000), (1000, 1000)])
def test_events_that_do_not_fit_are_counted(
    conn: pyvirt.Connection, domain: pyvirt.Domain, buffer: int, events: int
) -> None:
    listener = conn.events.listen(DomainLifecycle, buffer=buffer, timeout=0.1)
    marker = conn.events.listen(DomainLifecycle)
    blink(domain, events // 2)
    exactly(marker, events)
    found = list(listener)
    assert types(found[:buffer]) == ([Type.SUSPENDED, Type.RESUMED] * events)[:buffer]
    assert found[buffer:] == ([EventsLost(events - buffer)] if events > buffer else [])
    blink(domain)
    exactly(marker, 2)
    assert len(list(listener)) == 2


def test_a_loss_is_reported_at_its_place_in_the_order(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    listener = conn.events.listen(DomainLifecycle, buffer=4)
    marker = conn.events.listen(DomainLifecycle)
    blink(domain, 5)
    exactly(marker, 10)
    found: list[Any] = listener.take(2)
    domain.destroy()
    exactly(marker, 1)
    found += exactly(listener, 4)
    assert [event.event if isinstance(event, DomainLifecycle) else event.count for event in found] == [
        Type.SUSPENDED,
        Type.RESUMED,
        Type.SUSPENDED,
        Type.RESUMED,
        6,
        Type.STOPPED,
    ]


def test_a_burst_fits_or_is_counted(libvirt_host: HostFactory) -> None:
    """Of 200,000 events at once a large queue loses none; a small one counts each lost event."""
    with pyvirt.connect(libvirt_host(domains=1000, running=1.0)) as conn:
        domains = list(conn.domains)
        enough = conn.events.listen(DomainLifecycle, buffer=200_000, timeout=LIMIT)
        scarce = conn.events.listen(DomainLifecycle, buffer=50_000, timeout=LIMIT)
        with Paused():
            for _ in range(100):
                for domain in domains:
                    domain.suspend()
                for domain in domains:
                    domain.resume()
        count, order = 0, True
        for chunk in enough.chunks():
            for event in chunk:
                expected = Type.SUSPENDED if count // 1000 % 2 == 0 else Type.RESUMED
                assert isinstance(event, DomainLifecycle)
                order = order and event.event is expected and event.domain == domains[count % 1000]
                count += 1
            if count == 200_000:
                break
        assert order
        assert enough.take() == []
        found = exactly(scarce, 50_001)
        assert types(found[:-1]) == ([Type.SUSPENDED] * 1000 + [Type.RESUMED] * 1000) * 25
        assert found[-1] == EventsLost(150_000)


# ---- subscribing ----


def test_a_callback_is_called_until_it_is_cancelled(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    got: SimpleQueue[Any] = SimpleQueue()
    threads = set()

    def callback(event: DomainLifecycle) -> None:
        threads.add(threading.current_thread().name)
        got.put(event)

    subscription = conn.events.subscribe(DomainLifecycle, callback)
    assert subscription.active
    assert subscription.kind is DomainLifecycle
    blink(domain)
    assert types([got.get(timeout=LIMIT) for _ in range(2)]) == [Type.SUSPENDED, Type.RESUMED]
    subscription.cancel()
    subscription.cancel()
    assert not subscription.active
    listener = conn.events.listen(DomainLifecycle)
    blink(domain)
    exactly(listener, 2)
    assert got.empty()
    assert threads == {"pyvirt-dispatcher"}


def test_a_with_block_cancels_its_subscription(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    got: SimpleQueue[Any] = SimpleQueue()
    with conn.events.subscribe(DomainEvent, got.put) as subscription:
        blink(domain)
        got.get(timeout=LIMIT)
    assert not subscription.active
    assert "cancelled" in repr(subscription)


def test_callbacks_are_called_in_the_order_of_the_events(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    got: SimpleQueue[tuple[int, Any]] = SimpleQueue()
    for number in range(3):
        conn.events.subscribe(DomainLifecycle, lambda event, number=number: got.put((number, event.event)))  # type: ignore[misc]
    network: SimpleQueue[Any] = SimpleQueue()
    conn.events.subscribe(NetworkLifecycle, network.put)
    blink(domain, 50)
    conn.networks["default"].destroy()
    network.get(timeout=LIMIT)
    found = [got.get_nowait() for _ in range(300)]
    assert found == [
        (number, kind) for _ in range(50) for kind in (Type.SUSPENDED, Type.RESUMED) for number in range(3)
    ]


def test_an_exception_in_a_callback_is_reported_and_stops_nothing(
    conn: pyvirt.Connection, domain: pyvirt.Domain, caplog: pytest.LogCaptureFixture
) -> None:
    got: SimpleQueue[Any] = SimpleQueue()
    told: list[Any] = []

    def fail(event: DomainLifecycle) -> None:
        raise SystemExit(f"no {event.event.name}")

    bad = conn.events.subscribe(DomainLifecycle, fail)
    conn.events.subscribe(DomainLifecycle, got.put)
    conn.events.on_error = lambda *what: told.append(what)
    with caplog.at_level(logging.ERROR, "pyvirt.events"):
        blink(domain)
        for _ in range(2):
            got.get(timeout=LIMIT)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["no SUSPENDED", "no RESUMED"]
    assert [(subscription, event.event, type(error)) for subscription, event, error in told] == [
        (bad, Type.SUSPENDED, SystemExit),
        (bad, Type.RESUMED, SystemExit),
    ]
    conn.events.on_error = lambda *what: 1 / 0
    with caplog.at_level(logging.ERROR, "pyvirt.events"):
        blink(domain)
        for _ in range(2):
            got.get(timeout=LIMIT)
    assert any("on_error" in record.message for record in caplog.records)


def test_a_callback_may_subscribe_listen_cancel_and_close(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    done = threading.Event()
    subscriptions: list[Any] = []

    def callback(event: DomainLifecycle) -> None:
        subscriptions[0].cancel()
        assert event.domain.state()
        conn.events.subscribe(DomainLifecycle, lambda event: None).cancel()
        with conn.events.listen(DomainLifecycle):
            conn.close()
        done.set()

    subscriptions.append(conn.events.subscribe(DomainLifecycle, callback))
    domain.suspend()
    assert done.wait(LIMIT)
    assert conn.closed


def test_a_subscription_to_events_lost_receives_losses(
    conn: pyvirt.Connection, domain: pyvirt.Domain, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pyvirt.events._dispatch._QUEUE_LIMIT", 10)
    got: SimpleQueue[Any] = SimpleQueue()
    lost: SimpleQueue[Any] = SimpleQueue()
    conn.events.subscribe(DomainLifecycle, got.put)
    conn.events.subscribe(EventsLost, lost.put)
    with Paused():
        blink(domain, 50_000)
    found = lost.get(timeout=LIMIT)
    assert found.count >= 1
    assert any("were lost" in record.message for record in caplog.records)


# ---- wrong arguments ----


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (
            TypeError,
            "^expected an Event subclass, got 'DomainLifecycle'$",
            lambda events, domain: events.listen("DomainLifecycle"),
        ),
        (TypeError, "^expected an Event subclass, got <class 'int'>$", lambda events, domain: events.listen(int)),
        (
            TypeError,
            "^callback must be callable, not NoneType$",
            lambda events, domain: events.subscribe(DomainLifecycle, None),
        ),
        (TypeError, "^expected an Event subclass, got 0$", lambda events, domain: events.subscribe(0, print)),
        (
            InvalidArgumentError,
            "^buffer must be at least 1, not 0$",
            lambda events, domain: events.listen(DomainLifecycle, buffer=0),
        ),
        (
            InvalidArgumentError,
            "^NetworkLifecycle cannot be limited to a domain: it is not a domain event$",
            lambda events, domain: events.listen(NetworkLifecycle, domain=domain),
        ),
        (NotSupportedError, None, lambda events, domain: events.listen(QemuMonitorEvent)),
        (NotSupportedError, None, lambda events, domain: events.subscribe(QemuMonitorEvent, print)),
    ],
)
def test_wrong_arguments_are_refused_and_register_nothing(
    conn: pyvirt.Connection,
    domain: pyvirt.Domain,
    error: type[Exception],
    message: str | None,
    call: Callable[[Any, Any], object],
) -> None:
    with pytest.raises(error, match=message):
        call(conn.events, domain)
    assert conn.events._sources == {}
    with conn.events.listen(DomainLifecycle) as listener:
        blink(domain)
        exactly(listener, 2)


def test_a_domain_of_another_connection_is_refused(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    with pyvirt.connect("test:///default") as other, pytest.raises(InvalidArgumentError, match="another connection"):
        other.events.listen(DomainLifecycle, domain=domain)


# ---- the end ----


def test_closing_the_connection_ends_listeners_and_subscriptions(
    conn: pyvirt.Connection, domain: pyvirt.Domain
) -> None:
    listener = conn.events.listen(DomainLifecycle, ConnectionClosed)
    subscription = conn.events.subscribe(DomainLifecycle, print)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(listener))
    thread.start()
    conn.close()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert found == []  # closing is not an event
    assert listener.closed
    assert not subscription.active
    subscription.cancel()
    for call in (listener.take, conn.events.listen, lambda: conn.events.subscribe(DomainLifecycle, print)):
        with pytest.raises(ClosedError):
            call()


def test_a_loop_ends_when_another_thread_closes_the_listener(conn: pyvirt.Connection) -> None:
    listener = conn.events.listen(DomainLifecycle)
    thread = threading.Thread(target=lambda: list(listener))
    thread.start()
    listener.close()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_registrations_are_shared_and_released(conn: pyvirt.Connection) -> None:
    hub = conn.events
    one, other = hub.listen(DomainLifecycle), hub.listen(DomainEvent)
    with hub.subscribe(DomainWatchdog, print), hub.subscribe(DomainWatchdog, print):
        assert len([one for one in hub._sources if one[:2] == DomainLifecycle._kind]) == 1
        count = len(hub._sources)
    assert len(hub._sources) == count
    other.close()
    assert set(hub._sources) == {CLOSE, key(DomainLifecycle)}
    one.close()
    assert hub._sources == {}


def test_a_listener_without_references_is_released(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    for event in conn.events.listen(NetworkLifecycle, DomainLifecycle, timeout=0.01):
        raise AssertionError(event)
    gc.collect()
    with conn.events.listen(StoragePoolLifecycle):
        assert set(conn.events._sources) == {CLOSE, key(StoragePoolLifecycle)}
    conn.events.subscribe(DomainLifecycle, print)  # a subscription stays
    gc.collect()
    assert set(conn.events._sources) == {CLOSE, key(DomainLifecycle)}


def test_a_connection_can_be_closed_while_its_events_are_read(
    libvirt_host: HostFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder must not keep what is read then: it would keep the connection and its socket open."""
    conn = pyvirt.connect(libvirt_host(domains=1))
    pointer = ffi.cast("virConnectPtr", conn._ptr)
    assert lib.virConnectRef(pointer) == 0
    read = DomainLifecycle._read

    def close_and_read(*args: Any) -> DomainLifecycle:
        conn.close()
        return read(*args)

    monkeypatch.setattr(DomainLifecycle, "_read", close_and_read)
    listener = conn.events.listen(DomainLifecycle)
    blink(next(iter(conn.domains)))
    assert listener.wait(LIMIT)
    assert types(listener.take())[:1] == [Type.SUSPENDED]
    assert lib.virConnectClose(pointer) == 0  # this was the last reference


def test_closing_waits_until_the_dispatcher_has_read_its_events(
    libvirt_host: HostFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise close() would return before the connection is closed."""
    reading, closed = threading.Event(), threading.Event()
    conn = pyvirt.connect(libvirt_host(domains=1))
    pointer = ffi.cast("virConnectPtr", conn._ptr)
    assert lib.virConnectRef(pointer) == 0
    read = DomainLifecycle._read

    def read_slowly(*args: Any) -> DomainLifecycle:
        reading.set()
        closed.wait(0.2)  # continue after that, because closing waits for this
        return read(*args)

    monkeypatch.setattr(DomainLifecycle, "_read", read_slowly)
    conn.events.subscribe(DomainLifecycle, print)
    blink(next(iter(conn.domains)))
    assert reading.wait(LIMIT)
    conn.close()
    left = lib.virConnectClose(pointer)
    closed.set()
    assert left == 0


def test_a_signal_interrupts_waiting_and_loses_no_event(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    try:
        listener = conn.events.listen(DomainLifecycle)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Stop):
            next(listener)
    finally:
        signal.signal(signal.SIGALRM, before)
    blink(domain)
    exactly(listener, 2)


def test_listeners_leak_no_file_descriptors(conn: pyvirt.Connection, domain: pyvirt.Domain) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    conn.events.subscribe(DomainLifecycle, lambda event: None)
    gc.collect()  # collect what other tests have left
    before = count()
    for _ in range(50):
        with conn.events.listen(DomainLifecycle):
            blink(domain)
        list(conn.events.listen(DomainLifecycle, timeout=0))
    gc.collect()
    with conn.events.listen(DomainLifecycle):
        pass
    gc.collect()
    assert count() == before


def test_bases_of_a_kind_and_repr_of_a_listener(conn: pyvirt.Connection) -> None:
    assert issubclass(DomainLifecycle, DomainEvent)
    assert issubclass(DomainEvent, Event)
    assert repr(conn.events.listen(DomainLifecycle)) == f"<pyvirt.Listener of {conn!r}>"


def test_importing_pyvirt_does_not_import_events() -> None:
    program = """
import sys, pyvirt
with pyvirt.connect("test:///default") as conn:
    conn.domains["test"].state()
print([name for name in sys.modules if name.startswith("pyvirt.events")])
"""
    assert output_of(program) == "[]\n"


def test_waiting_for_a_state_asks_only_after_events(
    conn: pyvirt.Connection, domain: pyvirt.Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    state = pyvirt.Domain.state

    def look(domain: pyvirt.Domain) -> pyvirt.DomainStateReason:
        looks.append(1)
        return state(domain)

    def sleep(seconds: float) -> None:
        raise AssertionError(f"slept {seconds} s")

    monkeypatch.setattr(pyvirt.Domain, "state", look)
    monkeypatch.setattr("pyvirt.domain._wait.sleep", sleep)
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(domain.wait_for(pyvirt.DomainState.PAUSED).state))
    waiting.start()
    end = time.monotonic() + LIMIT
    while len(looks) < 2:  # immediately, and again once it listens
        assert time.monotonic() < end
    domain.suspend()
    waiting.join(LIMIT)
    assert found == [pyvirt.DomainState.PAUSED]
    assert len(looks) <= 5  # it also asks every five seconds, which counts on a very busy machine
    assert conn.events._sources == {}
