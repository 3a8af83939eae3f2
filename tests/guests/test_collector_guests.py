# SPDX-License-Identifier: LGPL-2.1-or-later
"""Collectors and guests that do not answer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest

import pyvirt
from pyvirt import Collector
from pyvirt.collector import CollectedFrame, Missing
from pyvirt.enums import DomainControlState
from pyvirt.testing._supervisor import pause
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import container, paused_guest

GUESTS = 8
DEADLINE = 3.0
SLACK = 10.0  # what a busy machine may add; a stuck guest would never answer


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    """A separate daemon, so that guests of other tests are not in these frames."""
    from pyvirt.testing.pytest_plugin import skip_unless_in_ci

    with skip_unless_in_ci():
        daemon = PrivateDaemon().start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def conn(daemon: PrivateDaemon, qemu_daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(daemon.uri("qemu")) as conn, ThreadPoolExecutor(2) as pool:

        def start(number: int) -> None:
            conn.domains.create(paused_guest(f"guest-{number}"), flags=pyvirt.DomainCreateFlags.PAUSED)

        list(pool.map(start, range(GUESTS)))
        conn.domains.stats()  # the first call makes libvirtd probe QEMU
        yield conn


@pytest.fixture
def collector(conn: pyvirt.Connection) -> Iterator[Collector]:
    with Collector(conn, deadline=DEADLINE) as collector:
        assert len(collector.collect()) == GUESTS
        yield collector


@contextmanager
def stopped(daemon: PrivateDaemon, conn: pyvirt.Connection, count: int) -> Iterator[set[UUID]]:
    """Stop the processes of some guests."""
    names = [f"guest-{number}" for number in range(1, 1 + count)]
    pids = [daemon.guest_pid(name) for name in names]
    for pid in pids:
        pause(pid)
    try:
        yield {conn.domains[name].uuid for name in names}
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def check(frame: CollectedFrame, stuck: set[UUID]) -> None:
    assert frame.missing == dict.fromkeys(stuck, Missing.STUCK)
    assert len(frame) == GUESTS - len(stuck)
    assert not stuck & set(frame.domains.uuids)
    assert frame.duration < DEADLINE + SLACK
    assert all("balloon.maximum" in row and "vcpu.current" in row for row in frame.to_dicts())
    assert len({len(row) for row in frame.to_dicts()}) == 1  # no guest was left out


def wait_until_all_answer(conn: pyvirt.Connection) -> None:
    ends = time.monotonic() + 30
    while any(domain.control_info().state != DomainControlState.OK for domain in conn.domains):
        assert time.monotonic() < ends


@pytest.mark.parametrize("count", [1, 6])  # more than the requests that libvirtd accepts from a client
def test_only_stuck_guests_are_missing(
    daemon: PrivateDaemon, conn: pyvirt.Connection, collector: Collector, count: int
) -> None:
    with stopped(daemon, conn, count) as stuck:
        for _ in range(4):  # the first one too
            check(collector.collect(), stuck)
        # Other users of the given connection are not blocked.
        started = time.monotonic()
        assert len(conn.domains.list()) == GUESTS
        assert time.monotonic() - started < SLACK
    wait_until_all_answer(conn)
    frames = [collector.collect(), collector.collect()]
    check(frames[-1], set())


def test_a_guest_that_was_stuck_before_the_first_tick_is_missing(
    daemon: PrivateDaemon, conn: pyvirt.Connection
) -> None:
    with stopped(daemon, conn, 1) as stuck, Collector(conn, deadline=DEADLINE) as collector:
        check(collector.collect(), stuck)
        check(collector.collect(), stuck)
    wait_until_all_answer(conn)


def test_a_stuck_guest_that_dies_disappears_from_the_missing(
    daemon: PrivateDaemon, conn: pyvirt.Connection, collector: Collector
) -> None:
    domain = conn.domains.create(paused_guest("victim"), flags=pyvirt.DomainCreateFlags.PAUSED)
    uuid = domain.uuid
    pid = daemon.guest_pid("victim")
    pause(pid)
    frame = collector.collect()
    assert frame.missing == {uuid: Missing.STUCK}
    os.kill(pid, signal.SIGKILL)
    ends = time.monotonic() + 30
    while conn.domains.get(uuid=uuid, default=None) is not None:
        assert time.monotonic() < ends
    collector.collect()
    check(collector.collect(), set())


def test_containers_have_the_same_columns(private_daemon_factory: Callable[..., PrivateDaemon]) -> None:
    with (
        pyvirt.connect(private_daemon_factory(cgroups=True).uri("lxc")) as conn,
        Collector(conn, deadline=30) as collector,
    ):
        conn.domains.create(container("running"))
        conn.domains.define(container("defined"))
        for _ in range(2):
            frame = collector.collect()
            rows = dict(zip(frame.domains.names, frame.to_dicts(), strict=True))
            assert rows["running"]["state.state"] == pyvirt.DomainState.RUNNING
            assert rows["defined"]["state.state"] == pyvirt.DomainState.SHUTOFF
            assert {"cpu.time", "balloon.current", "balloon.rss", "vcpu.current"} <= rows["running"].keys()
        inventory = conn.domains.inventory()
        assert {row.name: (row.state, row.persistent, row.reason) for row in inventory} == {
            "running": (pyvirt.DomainState.RUNNING, False, None),
            "defined": (pyvirt.DomainState.SHUTOFF, True, None),
        }
        conn.domains["running"].destroy()
