# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events of a real daemon, and listeners when it dies or hangs or Python is busy."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import pyvirt
from pyvirt import ConnectCloseReason, DomainEventType, DomainState
from pyvirt.errors import ClosedError, ConnectionLostError
from pyvirt.events import (
    ConnectionClosed,
    DomainEvent,
    DomainLifecycle,
    Event,
    NetworkLifecycle,
    NodeDeviceEvent,
    NodeDeviceLifecycle,
    NodeDeviceUpdate,
    SecretLifecycle,
    SecretValueChanged,
    StoragePoolEvent,
    StoragePoolLifecycle,
    StoragePoolRefresh,
)
from pyvirt.testing._system import require
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.hosts import write_host
from pyvirt.testing.pytest_plugin import DaemonFactory, skip_unless_in_ci
from tests.support.event_loops import LOOP
from tests.support.processes import ENVIRONMENT, STRICT, output_of
from tests.support.resources import open_sockets
from tests.support.waiting import LIMIT, wait_until


@pytest.fixture
def mortal(private_daemon_factory: DaemonFactory) -> PrivateDaemon:
    return private_daemon_factory()


def take(listener: Any, count: int) -> list[Any]:
    """Return the next *count* events."""
    found: list[Any] = []
    while len(found) < count:
        assert listener.wait(LIMIT), found
        found += listener.take()
    return found


# ---- events of each kind ----


def test_events_arrive_from_changes_of_another_client(private_daemon: PrivateDaemon, tmp_path: Path) -> None:
    uri = private_daemon.uri("test", write_host(tmp_path / "host.xml", domains=3, running=1.0).removeprefix("test://"))
    with pyvirt.connect(uri) as conn:
        first, second, third = conn.domains
        everything = conn.events.listen(DomainLifecycle)
        only = conn.events.listen(DomainLifecycle, domain=second)
        for domain in (first, second, third):
            domain.suspend()
            domain.resume()
        assert [(event.domain, event.event) for event in take(everything, 6)] == [
            (domain, kind)
            for domain in (first, second, third)
            for kind in (DomainEventType.SUSPENDED, DomainEventType.RESUMED)
        ]
        assert [event.domain for event in take(only, 2)] == [second] * 2


def test_a_storage_pool_sends_events(private_daemon: PrivateDaemon, tmp_path: Path) -> None:
    with pyvirt.connect(private_daemon.uri("storage")) as conn:
        listener = conn.events.listen(StoragePoolEvent)
        folder = private_daemon.path("/var/lib/libvirt") / "events-pool"
        xml = "<pool type='dir'><name>events</name><target><path>/var/lib/libvirt/events-pool</path></target></pool>"
        pool = conn.storage_pools.define(xml)
        pool.build()
        assert folder.is_dir()
        pool.start()
        pool.refresh()
        pool.destroy()
        pool.delete()
        pool.undefine()
        found = take(listener, 6)
        assert {event.pool for event in found} == {pool}
        assert [event.event.name if isinstance(event, StoragePoolLifecycle) else type(event) for event in found] == [
            *("DEFINED", "CREATED", "STARTED"),
            *(StoragePoolRefresh, "STOPPED", "DELETED", "UNDEFINED"),
        ][: len(found)]


def test_a_network_sends_events(private_daemon: PrivateDaemon) -> None:
    with pyvirt.connect(private_daemon.uri("network")) as conn:
        listener = conn.events.listen(NetworkLifecycle)
        network = conn.networks.define("<network><name>events</name><bridge name='pvev0'/></network>")
        network.start()
        network.destroy()
        network.undefine()
        found = take(listener, 4)
        assert [event.event.name for event in found] == ["DEFINED", "STARTED", "STOPPED", "UNDEFINED"]
        assert {(event.network.name, event.network.uuid, event.detail) for event in found} == {
            ("events", network.uuid, 0)
        }


def test_a_secret_sends_events(private_daemon: PrivateDaemon) -> None:
    with pyvirt.connect(private_daemon.uri("secret")) as conn:
        listener = conn.events.listen(SecretLifecycle, SecretValueChanged)
        secret = conn.secrets.define(
            "<secret ephemeral='no' private='no'><usage type='volume'><volume>/events</volume></usage></secret>"
        )
        uuid = secret.uuid
        secret.set_value(b"sesame")
        secret.undefine()
        defined, changed, undefined = take(listener, 3)
        assert (defined.event.name, undefined.event.name) == ("DEFINED", "UNDEFINED")
        assert isinstance(changed, SecretValueChanged)
        assert {event.secret.uuid for event in (defined, changed, undefined)} == {uuid}
        assert defined.secret == secret


def test_a_host_device_sends_events(private_daemon_factory: DaemonFactory) -> None:
    """A network interface is created, changed and removed: udev reports it to libvirt."""
    with skip_unless_in_ci():
        require("mdevctl")
        (udevd,) = require("/lib/systemd/systemd-udevd")
    daemon = private_daemon_factory(session=False, network_namespace=True)
    daemon.run_inside(["mount", "-t", "tmpfs", "tmpfs", "/etc/mdevctl.d"])
    daemon.run_inside(["mkdir", "-p", *(f"/etc/mdevctl.d/scripts.d/{name}" for name in ("callouts", "notifiers"))])
    daemon.run_inside(["mkdir", "-p", "/run/udev"])
    daemon.run_inside([udevd, "--daemon", "--resolve-names=never", "--children-max=2"])
    daemon.restart()  # libvirtd looks for udev when it starts
    with pyvirt.connect(daemon.uri("nodedev")) as conn:
        wait_until(lambda: any(device.name.startswith("net_lo") for device in conn.node_devices))
        listener = conn.events.listen(NodeDeviceEvent)
        daemon.run_inside(["ip", "link", "add", "evone", "type", "veth", "peer", "name", "evtwo"])
        found = take(listener, 2)
        assert all(isinstance(event, NodeDeviceLifecycle) and event.event.name == "CREATED" for event in found)
        names = {event.device.name for event in found}
        assert {name.rpartition("_")[0].split("_")[1] for name in names} <= {"evone", "evtwo"} or len(names) == 2
        daemon.run_inside(["sh", "-c", "echo change > /sys/class/net/evone/uevent"])
        (update,) = take(listener, 1)
        assert isinstance(update, NodeDeviceUpdate)
        assert update.device.name in names
        daemon.run_inside(["ip", "link", "delete", "evone"])
        gone = take(listener, 2)
        assert {(event.event.name, event.device.name) for event in gone} == {("DELETED", name) for name in names}


# ---- a daemon that dies or hangs ----


def test_killing_the_daemon_sends_connection_closed(mortal: PrivateDaemon) -> None:
    """Earlier events are delivered first; then each listener ends in its own way."""
    conn = pyvirt.connect(mortal.uri())
    domain = conn.domains["test"]
    raises, tells = conn.events.listen(DomainLifecycle), conn.events.listen(DomainLifecycle, ConnectionClosed)
    everything, watch = conn.events.listen(), conn.domains.watch()
    got: SimpleQueue[Event] = SimpleQueue()
    subscription = conn.events.subscribe(ConnectionClosed, got.put)
    waiting: list[BaseException] = []

    def wait() -> None:
        try:
            domain.wait_for(DomainState.CRASHED, timeout=LIMIT)
        except BaseException as error:
            waiting.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    domain.suspend()
    domain.resume()
    marker = conn.events.listen(DomainLifecycle)
    domain.suspend()
    while take(marker, 1)[-1].event.name != "SUSPENDED":  # the one before may still have been in flight
        pass
    mortal.kill()

    closed = ConnectionClosed(ConnectCloseReason.EOF)
    assert got.get(timeout=LIMIT) == closed
    found: list[Any] = []
    with pytest.raises(ConnectionLostError, match="EOF"):
        found.extend(raises)
    assert [event.event.name for event in found] == ["SUSPENDED", "RESUMED", "SUSPENDED"]
    assert list(tells)[3:] == [closed]
    assert list(everything)[-1] == closed
    assert list(tells) == []
    thread.join(LIMIT)
    assert [type(error) for error in waiting] == [ConnectionLostError]
    calls: list[Callable[[], object]] = [
        *(raises.take, tells.take, lambda: next(raises), lambda: watch["test"], lambda: watch.wait(LIMIT)),
        *(conn.events.listen, lambda: conn.events.listen(ConnectionClosed)),
        lambda: conn.events.subscribe(DomainEvent, print),
    ]
    for call in calls:
        with pytest.raises(ConnectionLostError):
            call()
    assert raises.wait(0)  # a poller does not wait forever
    subscription.cancel()
    conn.close()
    for call in calls[:2]:
        with pytest.raises(ClosedError):
            call()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a call"])
def test_keepalive_detects_a_hung_daemon(mortal: PrivateDaemon, busy: bool) -> None:
    """Keepalive detects it without a call."""
    with pyvirt.connect(mortal.uri(), keepalive=(1, 2)) as conn:
        listener = conn.events.listen(ConnectionClosed, timeout=LIMIT)
        domain = conn.domains["test"]
        mortal.pause()
        if busy:
            with pytest.raises(ConnectionLostError):
                domain.state()
        assert list(listener) == [ConnectionClosed(ConnectCloseReason.KEEPALIVE)]
        with pytest.raises(ConnectionLostError):
            domain.state()
    mortal.resume()


def test_without_keepalive_a_hung_daemon_is_not_detected(mortal: PrivateDaemon) -> None:
    with pyvirt.connect(mortal.uri(), keepalive=None) as conn:
        listener = conn.events.listen(ConnectionClosed, timeout=2.5)
        mortal.pause()
        assert list(listener) == []
        mortal.resume()
        assert conn.domains["test"].state()


HELD = """
import ctypes, sys
import pyvirt
from pyvirt.events import *
{loop}
with pyvirt.connect(sys.argv[1], keepalive=(1, 3)) as conn:
    domain = conn.domains["test"]
    listener = conn.events.listen()
    ctypes.PyDLL(None).sleep(int(sys.argv[2]))  # PyDLL: with the GIL held
    try:
        print(domain.state().state.name, conn.alive(), listener.take())
    except pyvirt.ConnectionLostError:
        print("lost")
"""


def test_keepalive_works_while_python_holds_the_gil(private_daemon_factory: DaemonFactory) -> None:
    """Both sides ask each other every second, and C answers."""
    daemon = private_daemon_factory(config={"keepalive_interval": 1, "keepalive_count": 3})
    assert output_of(HELD.format(loop=""), daemon.uri(), "8") == "RUNNING True []\n"


# ---- no resource is left ----


def test_closing_with_listeners_frees_the_socket(private_daemon: PrivateDaemon) -> None:
    """libvirt keeps a connection with callbacks open; pyvirt removes the callbacks first."""
    before = open_sockets()
    conn = pyvirt.connect(private_daemon.uri())
    kept = conn.events.listen(), conn.events.subscribe(Event, print), conn.domains.watch()
    assert len(open_sockets() - before) == 1
    conn.close()
    assert open_sockets() == before
    assert kept[0].closed


PARTING = """
import sys, threading
import pyvirt
from pyvirt.events import *
conn = pyvirt.connect(sys.argv[1])
listener, watch = conn.events.listen(), conn.domains.watch()
{more}
print(flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def parting(mortal: PrivateDaemon) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    def start(more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *STRICT, "-c", PARTING.format(more=more), mortal.uri()],
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        return process

    return start  # type: ignore[return-value]


SUBSCRIBE = "conn.events.subscribe(Event, print)"


@pytest.mark.parametrize("more", ["", SUBSCRIBE], ids=["listening", "subscribed"])
def test_exit_closes_the_connection_properly(
    mortal: PrivateDaemon, parting: Callable[[str], subprocess.Popen[str]], more: str
) -> None:
    complaint = "virNetSocketReadWire"
    pyvirt.connect(mortal.uri()).close()
    before = mortal.log.count(complaint)
    process = parting(more)
    assert process.communicate("\n", timeout=LIMIT) == ("", "")
    assert process.returncode == 0
    with pyvirt.connect(mortal.uri()) as conn:  # which is served after it
        assert conn.domains["test"].state()
    assert mortal.log.count(complaint) == before


@pytest.mark.parametrize("more", ["", SUBSCRIBE], ids=["listening", "subscribed"])
def test_an_exit_does_not_wait_for_a_daemon_that_hangs(
    mortal: PrivateDaemon, parting: Callable[[str], subprocess.Popen[str]], more: str
) -> None:
    process = parting(more)
    mortal.pause()
    assert process.communicate("\n", timeout=LIMIT) == ("", "")
    assert process.returncode == 0
    mortal.resume()


def test_a_forked_child_leaves_the_socket_open(private_daemon: PrivateDaemon) -> None:
    program = """
import os, sys, warnings
import pyvirt
from pyvirt.events import *
warnings.simplefilter("ignore", DeprecationWarning)
conn = pyvirt.connect(sys.argv[1], keepalive=(1, 3))
domain = conn.domains["test"]
listener = conn.events.listen(timeout=60)
conn.events.subscribe(DomainEvent, lambda event: None)
for _ in range(3):
    pid = os.fork()
    if not pid:
        with pyvirt.connect(sys.argv[1]) as mine, mine.events.listen(DomainLifecycle, timeout=60) as own:
            mine.domains["test"].suspend()
            assert next(own).event.name == "SUSPENDED"
            mine.domains["test"].resume()
        del conn, domain, listener
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    print(next(listener).event.name, next(listener).event.name, domain.state().state.name)
conn.close()
"""
    assert output_of(program, private_daemon.uri()) == "SUSPENDED RESUMED RUNNING\n" * 3


# ---- event loops of programs ----


def test_an_event_loop_in_python_receives_events(private_daemon: PrivateDaemon) -> None:
    program = f"""{LOOP}
import sys
mine = Mine()
loop.register(mine)
ended = False
def turn():
    while not ended: mine.run_once()
thread = threading.Thread(target=turn)
thread.start()
with pyvirt.connect(sys.argv[1]) as conn:
    assert mine.handles and mine.timers  # the socket, keepalive
    listener = conn.events.listen(DomainLifecycle, timeout=60)
    conn.domains["test"].suspend()
    print(next(listener).event.name)
    conn.domains["test"].resume()
ended = True
thread.join()
"""
    assert output_of(program, private_daemon.uri()) == "SUSPENDED\n"


# ---- on the command line ----


def test_the_events_command_prints_events_until_the_connection_closes(mortal: PrivateDaemon) -> None:
    process = subprocess.Popen(
        [sys.executable, *STRICT, "-m", "pyvirt", "events", mortal.uri(), "--json"],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with pyvirt.connect(mortal.uri()) as conn:
        domain = conn.domains["test"]
        lines: SimpleQueue[str] = SimpleQueue()

        def read() -> None:
            for line in process.stdout or ():
                lines.put(line)

        reader = threading.Thread(target=read)
        reader.start()
        while lines.empty():  # until the program listens
            domain.suspend()
            domain.resume()
            time.sleep(0.05)
        mortal.kill()
    assert process.wait(LIMIT) == 1
    reader.join(LIMIT)
    assert '"reason": "EOF"' in [lines.get() for _ in range(lines.qsize())][-1]
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stdout.close()
    process.stderr.close()
