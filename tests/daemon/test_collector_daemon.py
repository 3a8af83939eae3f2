# SPDX-License-Identifier: LGPL-2.1-or-later
"""Collectors and daemons that hang, die and come back."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import pyvirt
from pyvirt import Collector
from pyvirt.collector import Missing
from pyvirt.collector._host import HostState
from pyvirt.collector._requests import Opening
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.pytest_plugin import HostFactory

# What a busy machine may add; a hung call would never return.
SLACK = 10.0


@pytest.fixture
def daemon(private_daemon_factory: Callable[..., PrivateDaemon]) -> PrivateDaemon:
    return private_daemon_factory()


@pytest.fixture
def conn(daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(daemon.uri()) as conn:
        yield conn


def wait_for_no_threads() -> None:
    ends = time.monotonic() + 30
    while any(thread.name.startswith("pyvirt-collector") for thread in threading.enumerate()):
        assert time.monotonic() < ends


def test_rows_come_through_a_daemon(conn: pyvirt.Connection) -> None:
    with Collector(conn, deadline=30) as collector:
        frame = collector.collect()
        assert frame.domains.names == ["test"]
        assert frame.to_dicts() == conn.domains.stats().to_dicts()


def test_a_hung_daemon_fails_at_the_deadline_and_recovers(daemon: PrivateDaemon, conn: pyvirt.Connection) -> None:
    with pyvirt.connect("test:///default") as other, Collector(conn, deadline=0.5) as collector:
        uuid = collector.collect().domains.uuids[0]
        with Collector([conn, other], deadline=0.5) as both:
            assert len(both.collect()) == 2
            daemon.pause()
            try:
                for _ in range(3):
                    started = time.monotonic()
                    with pytest.raises(pyvirt.OperationTimeoutError, match=r"no answer from test\+unix"):
                        collector.collect()
                    assert 0.5 <= time.monotonic() - started < SLACK
                frame = both.collect()
                assert frame.domains.hosts.tolist() == [1]
                assert frame.missing == {uuid: Missing.UNREACHABLE}
                assert isinstance(frame.errors[conn.uri()], pyvirt.OperationTimeoutError)
                assert frame.duration < SLACK
                both.collect()
                calls = threading.active_count()
                for _ in range(3):
                    both.collect()
                assert threading.active_count() <= calls  # nothing piles up
            finally:
                daemon.resume()
            collector.deadline = both.deadline = 30.0
            assert collector.collect().domains.names == ["test"]
            assert len(both.collect()) == 2
    wait_for_no_threads()


def test_without_any_answer_the_first_temporary_error_is_raised(daemon: PrivateDaemon, conn: pyvirt.Connection) -> None:
    other = pyvirt.connect("test:///default")
    with Collector({"closed": other, "hangs": conn}, deadline=0.5) as collector:
        other.close()
        daemon.pause()
        try:
            with pytest.raises(
                pyvirt.OperationTimeoutError, match="closed: the connection is closed; hangs: no answer"
            ):
                collector.collect()
        finally:
            daemon.resume()
        collector.deadline = 30.0
        assert set(collector.collect().errors) == {"closed"}
        conn.close()
        with pytest.raises(pyvirt.ClosedError, match="hangs: the connection is closed"):
            collector.collect()
    wait_for_no_threads()


def test_closing_does_not_wait_for_a_daemon_that_hangs(daemon: PrivateDaemon, conn: pyvirt.Connection) -> None:
    collector = Collector(conn, deadline=0.2)
    collector.collect()
    daemon.pause()
    try:
        with pytest.raises(pyvirt.OperationTimeoutError):
            collector.collect()
        started = time.monotonic()
        collector.close()
        assert time.monotonic() - started < SLACK
    finally:
        daemon.resume()
    wait_for_no_threads()


def test_a_connection_opened_during_close_is_closed(conn: pyvirt.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[pyvirt.Connection] = []
    process = HostState._process_opening

    def close_before(host: HostState, call: Opening) -> None:
        closing = threading.Thread(target=collector.close)
        closing.start()
        closing.join()
        assert call.opened is not None
        opened.append(call.opened)
        process(host, call)

    monkeypatch.setattr(HostState, "_process_opening", close_before)
    with Collector(conn, deadline=30) as collector, pytest.raises(pyvirt.ClosedError, match="middle of a tick"):
        collector.collect()
    wait_for_no_threads()
    assert opened
    assert all(one.closed for one in opened)


def test_the_interpreter_exits_without_waiting_for_a_hung_daemon(daemon: PrivateDaemon) -> None:
    program = """
import os, signal, sys, pyvirt
conn = pyvirt.connect(sys.argv[1])
collector = pyvirt.Collector(conn, deadline=0.2)
collector.collect()
os.kill(int(sys.argv[2]), signal.SIGSTOP)
try:
    collector.collect()
except pyvirt.OperationTimeoutError:
    print("late")
"""
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, daemon.uri(), str(daemon.pid)], capture_output=True, text=True, timeout=60
        )
    finally:
        daemon.resume()
    assert (done.returncode, done.stdout) == (0, "late\n"), done.stderr


def test_collecting_continues_after_the_daemon_was_restarted(daemon: PrivateDaemon, conn: pyvirt.Connection) -> None:
    with pyvirt.connect("test:///default") as other, Collector([conn, other], deadline=30) as both:
        with Collector(conn, deadline=30) as collector:
            uuid = both.collect().domains.uuids[0]
            collector.collect()
            daemon.kill()
            for _ in range(2):
                with pytest.raises((pyvirt.ConnectionLostError, pyvirt.ConnectionFailedError)):
                    collector.collect()
                frame = both.collect()
                assert frame.domains.hosts.tolist() == [1]
                assert frame.missing == {uuid: Missing.UNREACHABLE}
                assert list(frame.errors) == [conn.uri()]
            daemon.restart()
            assert len(collector.collect()) == 1
        assert sorted(both.collect().domains.hosts) == [0, 1]
    wait_for_no_threads()


def test_thousands_of_domains_are_collected_in_parts(private_daemon: PrivateDaemon, libvirt_host: HostFactory) -> None:
    count = 3000
    uri = private_daemon.uri("test", path=libvirt_host(domains=count, disks=0, interfaces=0).partition("://")[2])
    with pyvirt.connect(uri) as conn, Collector(conn, deadline=60) as collector:
        for _ in range(2):
            frame = collector.collect()
            assert len(frame) == len(set(frame.domains.uuids)) == count
