# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asynchronous events: loops, subscriptions and watches, on asyncio and on trio."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import AsyncIterator

import anyio
import pytest

import pyvirt
import pyvirt.aio
from pyvirt import DomainState
from pyvirt.aio.events import Listener
from pyvirt.enums.domain_event import DomainEventType
from pyvirt.events import DomainLifecycle, EventsLost, NetworkLifecycle
from pyvirt.events.hub import Events as SyncEvents
from pyvirt.testing.hosts import domain_name

if sys.version_info >= (3, 11):
    from typing import assert_type
else:  # with anyio
    from typing_extensions import assert_type

pytestmark = pytest.mark.anyio

LIMIT = 60  # seconds to wait for something that usually takes milliseconds


@pytest.fixture
async def conn(libvirt_test_uri: str) -> AsyncIterator[pyvirt.aio.Connection]:
    async with pyvirt.aio.connect(libvirt_test_uri) as opened:
        yield opened


@pytest.fixture
async def domain(conn: pyvirt.aio.Connection) -> pyvirt.aio.Domain:
    return await conn.domains.get(domain_name(1))


async def stop_and_go(domain: pyvirt.aio.Domain, times: int) -> None:
    for _ in range(times):
        await domain.suspend()
        await domain.resume()


def names(events: list[DomainLifecycle | EventsLost]) -> list[str]:
    return [event.event.name for event in events if isinstance(event, DomainLifecycle)]


async def test_a_listener_block_receives_the_events_within_it(
    conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain
) -> None:
    async with conn.events.listen(DomainLifecycle, timeout=LIMIT) as events:
        assert_type(events, Listener[DomainLifecycle])
        await stop_and_go(domain, 2)
        event = await anext(events)
        assert_type(event, DomainLifecycle | EventsLost)
        assert isinstance(event, DomainLifecycle)
        assert (event.domain.name, event.event) == (domain.name, DomainEventType.SUSPENDED)
        assert conn.awaited(event.domain) == domain
        assert_type(conn.awaited(event.domain), pyvirt.aio.Domain)
        assert (await conn.awaited(event.domain).state()).state == DomainState.RUNNING
        assert names([await anext(events) for _ in range(3)]) == ["RESUMED", "SUSPENDED", "RESUMED"]
    assert events.closed
    assert await events.take() == []


async def test_iterating_starts_to_listen(conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain) -> None:
    seen: list[DomainLifecycle | EventsLost] = []

    async def listen() -> None:
        async for event in conn.events.listen(DomainLifecycle, timeout=LIMIT):
            seen.append(event)
            if len(seen) == 4:
                break

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        while not seen:  # it may not have begun yet
            await stop_and_go(domain, 1)
        await stop_and_go(domain, 2)
    assert set(names(seen)) == {"SUSPENDED", "RESUMED"}


async def test_iterating_ends_at_the_timeout(conn: pyvirt.aio.Connection) -> None:
    assert [event async for event in conn.events.listen(DomainLifecycle, timeout=0.01)] == []


async def test_iterating_ends_when_the_connection_closes(conn: pyvirt.aio.Connection) -> None:
    begun = anyio.Event()
    ended: list[str] = []

    async def listen() -> None:
        async with conn.events.listen(DomainLifecycle) as events:
            begun.set()
            async for _ in events:
                pass
            ended.append("loop")

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        await begun.wait()
        await conn.close()
    assert ended == ["loop"]


async def test_a_cancelled_task_loses_no_event(conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain) -> None:
    seen: list[DomainLifecycle | EventsLost] = []
    async with conn.events.listen(DomainLifecycle, timeout=LIMIT) as events, anyio.create_task_group() as group:
        group.start_soon(stop_and_go, domain, 100)
        while len(seen) < 200:
            with anyio.move_on_after(0.0005):
                while True:
                    seen.append(await anext(events))
    assert names(seen) == ["SUSPENDED", "RESUMED"] * 100


async def test_chunks_are_no_longer_than_requested(conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain) -> None:
    async with conn.events.listen(DomainLifecycle, timeout=LIMIT) as events:
        await stop_and_go(domain, 50)
        chunks: list[list[DomainLifecycle | EventsLost]] = []
        async for chunk in events.chunks(30):
            chunks.append(chunk)
            if sum(map(len, chunks)) == 100:
                break
        assert max(map(len, chunks)) == 30
        assert names([event for chunk in chunks for event in chunk]) == ["SUSPENDED", "RESUMED"] * 50


async def test_events_beyond_the_buffer_are_counted_as_lost(
    conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain
) -> None:
    async with conn.events.listen(DomainLifecycle, timeout=LIMIT, buffer=10) as events:
        await stop_and_go(domain, 50)
        seen, lost = 0, 0
        async for event in events:
            seen += 1
            lost += event.count - 1 if isinstance(event, EventsLost) else 0
            if seen + lost == 100:
                break
        assert lost > 0


async def test_a_listener_for_one_domain_ignores_the_others(
    conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain
) -> None:
    other = await conn.domains.get(domain_name(2))
    async with conn.events.listen(DomainLifecycle, domain=domain, timeout=LIMIT) as events:
        await stop_and_go(other, 1)
        await stop_and_go(domain, 1)
        event = await anext(events)
        assert isinstance(event, DomainLifecycle)
        assert event.domain.name == domain.name


async def test_two_tasks_wait_for_events_of_two_kinds(conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain) -> None:
    network = (await conn.networks.list())[0]
    seen: list[str] = []

    async with (
        conn.events.listen(DomainLifecycle) as domains,
        conn.events.listen(NetworkLifecycle) as networks,
        anyio.create_task_group() as group,
    ):

        async def one(events: Listener[DomainLifecycle] | Listener[NetworkLifecycle]) -> None:
            seen.append(type(await anext(events)).__name__)

        group.start_soon(one, domains)
        group.start_soon(one, networks)
        await anyio.wait_all_tasks_blocked()
        assert conn.in_flight == 0
        await domain.suspend()
        await network.destroy()
    assert sorted(seen) == ["DomainLifecycle", "NetworkLifecycle"]


# ---- callbacks ----


async def test_a_subscription_calls_back_in_the_loop(
    conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain, caplog: pytest.LogCaptureFixture
) -> None:
    send, receive = anyio.create_memory_object_stream[DomainLifecycle](100)
    with send, receive:
        async with await conn.events.subscribe(DomainLifecycle, send.send_nowait, domain=domain) as subscription:
            assert subscription.active
            assert subscription.kind is DomainLifecycle
            await stop_and_go(domain, 1)
            with anyio.fail_after(LIMIT):
                assert [(await receive.receive()).event.name for _ in range(2)] == ["SUSPENDED", "RESUMED"]
        assert not subscription.active
        await stop_and_go(domain, 1)
        with pytest.raises(anyio.WouldBlock):
            receive.receive_nowait()

    told = anyio.Event()
    conn.events.on_error = lambda *_: told.set()
    with caplog.at_level(logging.CRITICAL, "pyvirt.events"):
        async with await conn.events.subscribe(DomainLifecycle, lambda event: 1 / 0):
            await stop_and_go(domain, 1)
            with anyio.fail_after(LIMIT):
                await told.wait()


async def test_an_event_during_subscribe_is_delivered(
    conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SyncEvents.subscribe
    delivered = threading.Event()

    def subscribe(events: SyncEvents, kind: type[DomainLifecycle], callback: object) -> object:
        made = real(events, kind, callback)  # type: ignore[arg-type]
        with real(events, kind, lambda event: delivered.set()):
            domain.sync.suspend()
            delivered.wait(0.2)
        return made

    send, receive = anyio.create_memory_object_stream[DomainLifecycle](100)
    with send, receive:
        with monkeypatch.context() as patch:
            patch.setattr(
                SyncEvents, "subscribe", lambda events, kind, callback, domain: subscribe(events, kind, callback)
            )
            subscription = await conn.events.subscribe(DomainLifecycle, send.send_nowait)
        with anyio.fail_after(LIMIT):
            assert (await receive.receive()).event.name == "SUSPENDED"
        await subscription.cancel()


# ---- watches ----


async def test_a_watch_follows_the_domains(conn: pyvirt.aio.Connection, domain: pyvirt.aio.Domain) -> None:
    async with await conn.domains.watch() as watch:
        assert await watch.count() == 4
        assert await watch.contains(domain.name)
        assert await watch.contains(domain)
        assert await watch.get("nobody") is None
        assert sorted([name async for name in watch]) == sorted(await watch.snapshot())
        assert await watch.wait(timeout=0.01) == set()

        async def stop() -> None:
            await anyio.wait_all_tasks_blocked()
            await domain.destroy()

        async with anyio.create_task_group() as group:
            group.start_soon(stop)
            assert await watch.wait(timeout=LIMIT) == {domain.uuid}
        now = await watch.get(domain.name)
        assert now is not None
        assert now.state.state == DomainState.SHUTOFF
        assert conn.awaited(now.domain) == domain
    assert watch.closed
