# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections to a real daemon: sockets, lost connections, and data too large for one message."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pyvirt
from pyvirt.enums import ConnectListAllDomainsFlags as Flags
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    DomainNotFoundError,
    OperationTimeoutError,
)
from pyvirt.testing._system import require
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.hosts import domain_name, object_uuid, write_host
from pyvirt.testing.pytest_plugin import DaemonFactory, skip_unless_in_ci
from tests.support.resources import open_sockets, unread_bytes
from tests.support.waiting import LIMIT, wait_until


@pytest.fixture(scope="module")
def virt_admin() -> str:
    with skip_unless_in_ci():
        return require("virt-admin")[0]


@pytest.fixture
def clients(virt_admin: str, private_daemon: PrivateDaemon) -> Callable[[], set[int]]:
    """A function that returns the clients of the daemon."""

    def ask() -> set[int]:
        command = [virt_admin, "-c", private_daemon.admin_uri, "client-list", "libvirtd"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return {int(line.split()[0]) for line in lines[2:] if line.strip()}

    return ask


def in_thread(call: Callable[[], object]) -> Callable[[], object]:
    """Start *call* in a thread, and return a function that waits for its result or exception."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> object:
        thread.join(LIMIT)
        assert outcome, "the call has not returned"
        return outcome[0]

    return wait


def run_python(program: str, *arguments: str, timeout: float = LIMIT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(pyvirt.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


# ---- the socket ----


def test_closing_frees_the_socket_even_with_children(
    private_daemon: PrivateDaemon, clients: Callable[[], set[int]]
) -> None:
    before, mine = clients(), open_sockets()
    conn = pyvirt.connect(private_daemon.uri())
    children: list[Any] = [conn.domains["test"], conn.domains.list(), conn.domains.stats(), iter(conn.domains)]
    children += [conn.host, conn.domains, conn.domains.stats().tables, conn.domains.get(id=1)]
    (client,) = clients() - before
    assert len(open_sockets() - mine) == 1
    conn.close()
    assert open_sockets() == mine  # at once
    wait_until(lambda: client not in clients())
    with pytest.raises(ClosedError):
        children[0].state()
    with pytest.raises(ClosedError):
        next(children[3]).name  # noqa: B018
    conn.close()


@pytest.mark.parametrize("times", [1, 50])
def test_opening_and_closing_connections_leaks_no_socket(
    times: int, private_daemon: PrivateDaemon, clients: Callable[[], set[int]]
) -> None:
    before, mine = clients(), open_sockets()
    kept = []
    for _ in range(times):
        with pyvirt.connect(private_daemon.uri()) as conn:
            kept += conn.domains.list()
        with pytest.raises(DomainNotFoundError), pyvirt.connect(private_daemon.uri()) as conn:
            conn.domains["nobody"]
    assert open_sockets() == mine
    wait_until(lambda: clients() == before)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_garbage_collected_connection_frees_its_socket(private_daemon: PrivateDaemon) -> None:
    mine = open_sockets()
    cycle: list[Any] = [pyvirt.connect(private_daemon.uri())]
    cycle += [cycle[0].domains.list(), cycle[0].domains.stats(), cycle]
    assert open_sockets() != mine
    del cycle
    gc.collect()
    assert open_sockets() == mine


def test_close_lets_a_running_call_finish_before_the_socket_is_freed(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory()
    mine = open_sockets()
    conn = pyvirt.connect(daemon.uri())
    domain = conn.domains["test"]
    daemon.pause()
    state = in_thread(domain.state)
    wait_until(unread_bytes)
    conn.close()  # does not wait for the other thread
    with pytest.raises(ClosedError):
        domain.state()
    assert open_sockets() != mine
    daemon.resume()
    assert state() == (pyvirt.DomainState.RUNNING, pyvirt.DomainRunningReason.UNKNOWN)
    wait_until(lambda: open_sockets() == mine)


def test_a_forked_child_cannot_use_the_connection(
    private_daemon: PrivateDaemon, clients: Callable[[], set[int]]
) -> None:
    """The child gets an error, cannot harm the socket of its parent, and may open its own connection."""
    before = clients()
    conn = pyvirt.connect(private_daemon.uri())
    (client,) = clients() - before
    program = """
import gc, os, sys, pyvirt
conn = pyvirt.connect(sys.argv[1])
domain, listed, frame = conn.domains["test"], conn.domains.list(), conn.domains.stats()
frames = [conn.domains.stats() for _ in range(3)]
for leave in (os._exit, sys.exit):
    if (pid := os.fork()) == 0:
        for call in (domain.state, conn.alive, lambda: conn.domains["test"], lambda: listed[0].name):
            try:
                call()
            except pyvirt.errors.ClosedError as error:
                assert "fork" in str(error)
            else:
                leave(9)
        assert frame.to_dicts()[0]["state.state"] == 1
        with pyvirt.connect(sys.argv[1]) as own:
            assert own.domains["test"].state().state == pyvirt.DomainState.RUNNING
            own.domains.stats()
        conn.close()
        domain.close()
        del conn, domain, listed, frame, frames
        gc.collect()
        leave(4)
    for _ in range(200):  # while the child runs, and after it has ended
        assert domain.state().state == pyvirt.DomainState.RUNNING
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
    for _ in range(200):
        assert domain.state().state == pyvirt.DomainState.RUNNING
        assert conn.domains.list() == listed
assert frame.domains.names == ["test"]
conn.close()
"""
    done = run_python(program, private_daemon.uri())
    assert (done.returncode, done.stderr) == (0, "")
    assert client in clients()
    conn.close()


# ---- encryption and security of a transport ----


def test_encrypted_and_secure_depend_on_the_transport(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory(listen=True)
    with pyvirt.connect(daemon.uri()) as local, pyvirt.connect(daemon.uri(transport="tcp")) as remote:
        assert (local.encrypted(), local.secure()) == (False, True)
        assert (remote.encrypted(), remote.secure()) == (False, False)
        assert local.alive()
        assert remote.alive()
        assert local.type() == remote.type() == "TEST"
        assert local.lib_version() == remote.lib_version() >= (6, 0, 0)
        assert local.uri() == daemon.uri()
        assert remote.domains["test"] == remote.domains["test"] != local.domains["test"]


@pytest.mark.parametrize("through", ["the read-only socket", "the other"])
def test_a_read_only_connection_refuses_changes(through: str, private_daemon: PrivateDaemon) -> None:
    path = f"{private_daemon.socket}-ro" if "only" in through else str(private_daemon.socket)
    with pyvirt.connect(private_daemon.uri("test", socket=path), readonly=True) as conn:
        domain = conn.domains["test"]
        assert domain.state().state == pyvirt.DomainState.RUNNING
        assert conn.domains.stats().to_dicts()
        for refused in (domain.destroy, domain.suspend, lambda: conn.domains.define(domain.xml_desc())):
            with pytest.raises(AccessDeniedError, match="read only access"):
                refused()


def test_threads_share_a_connection(private_daemon: PrivateDaemon) -> None:
    """Answers arrive over one socket in any order; each thread gets its own result or error."""
    with pyvirt.connect(private_daemon.uri()) as conn:

        def ask(thread: int) -> list[str]:
            found = []
            for number in range(200):
                name = f"nobody-{thread}-{number}"
                with pytest.raises(DomainNotFoundError) as caught:
                    conn.domains[name]
                found.append(str(caught.value))
                assert conn.domains["test"].state()
            return found

        waits = [in_thread(lambda thread=thread: ask(thread)) for thread in range(8)]  # type: ignore[misc]
        for thread, wait in enumerate(waits):
            assert wait() == [f"Domain not found: 'nobody-{thread}-{number}'" for number in range(200)]


# ---- a daemon that dies ----


@pytest.fixture
def mortal(private_daemon_factory: DaemonFactory) -> PrivateDaemon:
    return private_daemon_factory()


def test_calls_raise_connection_lost_after_the_daemon_was_killed(
    mortal: PrivateDaemon, capfd: pytest.CaptureFixture[str]
) -> None:
    conn = pyvirt.connect(mortal.uri())
    domain, listed = conn.domains["test"], conn.domains.list()
    frame = conn.domains.stats()
    assert conn.alive()
    mortal.kill()
    uses: list[Callable[[], object]] = [
        domain.state,
        domain.info,
        lambda: conn.domains.list(),
        lambda: conn.domains.stats(),
        lambda: conn.domains["test"],
        lambda: conn.domains["nobody"],
        lambda: conn.domains.define("no XML"),
        lambda: len(conn.domains),
        lambda: listed[0].xml_desc(),
        lambda: "nobody" in conn.domains,
        conn.host.hostname,
    ]
    for _ in range(2):
        for use in uses:
            with pytest.raises(ConnectionLostError) as caught:
                use()
            assert isinstance(caught.value, ConnectionError)
            assert caught.value.message
    assert not conn.alive()
    assert domain.name == "test"
    assert frame.domains.names == ["test"]
    with pytest.raises(ConnectionFailedError):
        pyvirt.connect(mortal.uri())

    mortal.restart()
    with pytest.raises(ConnectionLostError):  # it stays lost
        domain.state()
    with pyvirt.connect(mortal.uri()) as again:
        assert again.domains["test"].state()
    assert not conn.closed
    conn.close()
    with pytest.raises(ClosedError):
        domain.state()
    assert capfd.readouterr() == ("", "")


def test_a_running_call_raises_when_the_daemon_is_killed(mortal: PrivateDaemon) -> None:
    conn = pyvirt.connect(mortal.uri())
    domain = conn.domains["test"]
    mortal.pause()
    calls: list[Callable[[], object]] = [domain.state, domain.xml_desc, conn.domains.list, conn.domains.stats]
    waits = [in_thread(call) for call in calls]
    wait_until(unread_bytes)
    mortal.kill()
    assert [type(wait()) for wait in waits] == [ConnectionLostError] * len(waits)
    conn.close()


def test_calls_raise_after_the_daemon_disconnected_the_client(
    private_daemon: PrivateDaemon, clients: Callable[[], set[int]], virt_admin: str
) -> None:
    before = clients()
    with pyvirt.connect(private_daemon.uri()) as conn:
        (client,) = clients() - before
        command = [virt_admin, "-c", private_daemon.admin_uri, "client-disconnect", "libvirtd", str(client)]
        subprocess.run(command, check=True, capture_output=True)
        with pytest.raises(ConnectionLostError):
            conn.domains["test"]
        assert not conn.alive()


# ---- a daemon that hangs ----


def test_connect_to_a_stopped_daemon_times_out(mortal: PrivateDaemon) -> None:
    mine = open_sockets()
    mortal.pause()
    for timeout in (0.1, 0.3):
        begun = time.monotonic()
        with pytest.raises(OperationTimeoutError, match=f"within {timeout} s"):
            pyvirt.connect(mortal.uri(), timeout=timeout)
        assert timeout <= time.monotonic() - begun < timeout + 10
    mortal.resume()
    # The abandoned attempt succeeds now, and is closed.
    for thread in threading.enumerate():
        if thread.name == "pyvirt-connect":
            thread.join(LIMIT)
    assert open_sockets() == mine
    with pyvirt.connect(mortal.uri(), timeout=LIMIT) as conn:
        assert conn.domains["test"].state()


EXIT = """
import signal, sys, threading, pyvirt
conn = pyvirt.connect(sys.argv[1])
domain, frame = conn.domains["test"], conn.domains.stats()
{before}
print(flush=True)
sys.stdin.readline()
{after}
"""


def start(program: str, uri: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, uri],
        env=os.environ | {"PYTHONPATH": str(Path(pyvirt.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "\n"
    return process


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("", "threading.Thread(target=domain.state, daemon=True).start()"),
        ("more = [pyvirt.connect(sys.argv[1]) for _ in range(10)]", ""),
    ],
    ids=["idle", "a thread in a call", "many"],
)
def test_an_exit_does_not_wait_for_a_stopped_daemon(before: str, after: str, mortal: PrivateDaemon) -> None:
    process = start(EXIT.format(before=before, after=after), mortal.uri())
    mortal.pause()
    assert process.communicate("\n", timeout=20) == ("", "")
    assert process.returncode == 0
    mortal.resume()


def test_the_interpreter_exits_after_the_daemon_was_killed(mortal: PrivateDaemon) -> None:
    process = start(EXIT.format(before="", after=""), mortal.uri())
    mortal.kill()
    assert process.communicate("\n", timeout=20) == ("", "")
    assert process.returncode == 0


def test_exit_closes_the_connection_properly(mortal: PrivateDaemon) -> None:
    """A client that disappears without closing leaves an error in the daemon's log."""
    program = EXIT.format(before="more = [pyvirt.connect(sys.argv[1]) for _ in range(5)]", after="")
    complaint = "virNetSocketReadWire"
    pyvirt.connect(mortal.uri()).close()
    complaints = mortal.log.count(complaint)  # of the check whether the daemon runs
    for _ in range(3):
        process = start(program, mortal.uri())
        assert process.communicate("\n", timeout=20) == ("", "")
        assert process.returncode == 0
    with pyvirt.connect(mortal.uri()) as conn:  # which is served after them
        assert conn.domains["test"].state()
    assert mortal.log.count(complaint) == complaints

    process = start(program, mortal.uri())
    process.kill()
    process.communicate()
    wait_until(lambda: mortal.log.count(complaint) > complaints)  # otherwise this test proves nothing


def test_ctrl_c_ends_a_loop_of_calls(mortal: PrivateDaemon) -> None:
    process = start(EXIT.format(before="", after="while True: domain.state(), conn.domains.stats()"), mortal.uri())
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("\n")
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == -signal.SIGINT
    assert process.stderr.read().splitlines()[-1] == "KeyboardInterrupt"
    process.communicate()


# ---- data too large for one message ----

MANY = 20_000  # a message carries 16,384 of them


@pytest.fixture(scope="module")
def crowd(private_daemon: PrivateDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pyvirt.Connection]:
    directory = tmp_path_factory.mktemp("crowd")
    host = directory / "host.xml"
    write_host(host, domains=MANY, running=0.5, disks=0, interfaces=0)
    for path in (directory, *directory.parents[:2]):
        path.chmod(path.stat().st_mode | 0o055)  # a daemon started for an ordinary user may run as another user
    with pyvirt.connect(private_daemon.uri("test", path=str(host))) as conn:
        yield conn


def test_a_list_longer_than_the_limit_is_fetched_in_parts(crowd: pyvirt.Connection) -> None:
    assert len(crowd.domains) == MANY
    domains = crowd.domains.list()
    assert len(domains) == MANY
    assert {domain.name for domain in domains} == {domain_name(number) for number in range(1, MANY + 1)}
    assert len(set(domains)) == MANY
    assert len(list(crowd.domains)) == MANY
    assert crowd.alive()


def test_flags_filter_a_list_that_is_fetched_in_parts(crowd: pyvirt.Connection) -> None:
    half = MANY // 2
    assert len(crowd.domains.list(Flags.ACTIVE)) == half
    assert len(crowd.domains.list(Flags.INACTIVE | Flags.PERSISTENT)) == half
    assert len(crowd.domains.list(Flags.ACTIVE | Flags.INACTIVE)) == MANY
    assert len(crowd.domains.list(Flags.PERSISTENT)) == MANY
    assert len(crowd.domains.list(Flags.RUNNING | Flags.SHUTOFF)) == MANY
    assert crowd.domains.list(Flags.TRANSIENT) == []
    assert crowd.domains["vm-00001"] in crowd.domains


def test_statistics_of_more_domains_than_the_limit_are_complete(crowd: pyvirt.Connection) -> None:
    for _ in range(2):  # the second call knows that the list is too long
        frame = crowd.domains.stats(pyvirt.StatsGroup.STATE)
        assert len(frame) == MANY
        assert set(frame.domains.uuids) == {object_uuid(domain_name(number)) for number in range(1, MANY + 1)}
        states = frame.tables["domain"]["state.state"].to_list()
        assert [states.count(state) for state in (1, 5)] == [MANY // 2] * 2
    some = crowd.domains.list()[: MANY - 1000]
    assert len(crowd.domains.stats(domains=some)) == len(some)


def test_a_document_too_large_for_a_message_does_not_count_as_a_lost_connection(private_daemon: PrivateDaemon) -> None:
    with pyvirt.connect(private_daemon.uri()) as conn:
        for size in (5 << 20, 40 << 20):  # a string may have 4 MiB, a message 32 MiB
            xml = f"<domain><description>{'x' * size}</description></domain>"
            with pytest.raises(pyvirt.Error) as caught:
                conn.domains.define(xml)
            assert not isinstance(caught.value, ConnectionLostError | ClosedError)
            assert caught.value.function == "virDomainDefineXMLFlags"
            assert conn.alive()
            assert conn.domains["test"].state()
