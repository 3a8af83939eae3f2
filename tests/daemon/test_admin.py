# SPDX-License-Identifier: LGPL-2.1-or-later
"""The administration of a real daemon."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import ParamSpec, TypeVar

import pytest

import pyvirt
from pyvirt.enums import ClientTransport, params
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.pytest_plugin import DaemonFactory

P = ParamSpec("P")
R = TypeVar("R")


def apart(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a separate process: a process that administers daemons cannot have another connection."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def look_around(uri: str) -> None:
    from pyvirt import admin

    with admin.connect(uri) as daemon:
        assert daemon.alive()
        assert daemon.uri().startswith("libvirtd:///system")
        assert daemon.lib_version() == admin.library_version()
        assert "AdminConnection" in repr(daemon)

        assert sorted(server.name for server in daemon.servers) == ["admin", "libvirtd"]
        assert len(daemon.servers) == 2
        assert "admin" in daemon.servers
        assert "nobody" not in daemon.servers
        assert daemon.servers["admin"] == daemon.servers["admin"] != daemon.servers["libvirtd"]
        with pytest.raises(pyvirt.ServerNotFoundError) as caught:
            daemon.servers["nobody"]
        assert caught.value.function == "virAdmConnectLookupServer"
        server = daemon.servers["admin"]
    for call in (daemon.uri, server.client_limits, lambda: server.name):
        with pytest.raises(pyvirt.ClosedError):
            call()
    assert repr(server) == "<pyvirt.Server closed>"


def test_servers_clients_and_limits_are_readable(private_daemon: PrivateDaemon) -> None:
    apart(look_around, private_daemon.admin_uri)


Row = tuple[int, ClientTransport, datetime, dict[str, object]]


def clients_of(uri: str) -> dict[int, Row]:
    from pyvirt import admin

    with admin.connect(uri) as daemon:
        clients = daemon.servers["libvirtd"].clients
        found = clients.list()
        assert len(found) == len(clients)
        assert all(clients[client.id] == client for client in found)
        return {client.id: (client.id, client.transport, client.connected, dict(client.info())) for client in found}


def throw_out(uri: str, id: int) -> None:
    from pyvirt import admin

    with admin.connect(uri) as daemon:
        clients = daemon.servers["libvirtd"].clients
        clients[id].disconnect()
        with pytest.raises(pyvirt.ClientNotFoundError):
            clients[id]


def test_a_client_is_listed_and_can_be_disconnected(private_daemon: PrivateDaemon) -> None:
    before = apart(clients_of, private_daemon.admin_uri)
    with pyvirt.connect(private_daemon.uri("test", path="/default"), readonly=True) as conn:
        now = apart(clients_of, private_daemon.admin_uri)
        ((id, transport, connected, info),) = (row for id, row in now.items() if id not in before)
        assert transport is ClientTransport.UNIX
        assert datetime.now(timezone.utc) - connected < timedelta(minutes=1)
        assert info[params.CLIENT_INFO_READONLY] is True
        assert info[params.CLIENT_INFO_UNIX_PROCESS_ID] in (os.getpid(), -1)  # -1: not in the daemon's namespace
        apart(throw_out, private_daemon.admin_uri, id)
        with pytest.raises(pyvirt.ConnectionLostError):
            conn.domains.list()


def test_a_closed_connection_is_gone_from_the_daemon(private_daemon: PrivateDaemon) -> None:
    before = apart(clients_of, private_daemon.admin_uri).keys()
    conn = pyvirt.connect(private_daemon.uri("test", path="/default"))
    kept = conn.domains.list()
    frame = conn.domains.stats()
    assert len(apart(clients_of, private_daemon.admin_uri).keys() - before) == 1
    conn.close()
    assert apart(clients_of, private_daemon.admin_uri).keys() <= before
    assert kept[0].closed
    assert len(frame) == 1


def change_settings(uri: str) -> None:
    from pyvirt import admin

    with admin.connect(uri) as daemon:
        server = daemon.servers["libvirtd"]
        for name, read, write in (
            (params.THREADPOOL_WORKERS_MAX, server.threadpool_parameters, server.set_threadpool_parameters),
            (params.SERVER_CLIENTS_MAX, server.client_limits, server.set_client_limits),
        ):
            most = int(read()[name])
            write({name: most + 1})
            assert read()[name] == most + 1
            write({name: most})
            with pytest.raises(pyvirt.Error, match="bogus"):
                write({"bogus": 1})

        outputs, filters = daemon.logging_outputs(), daemon.logging_filters()
        assert "libvirtd.log" in outputs
        daemon.set_logging_filters("1:qemu 3:rpc")
        assert daemon.logging_filters().split() == ["1:*qemu*", "3:*rpc*"]
        daemon.set_logging_filters(filters)
        with pytest.raises(pyvirt.Error, match="nonsense"):
            daemon.set_logging_outputs("nonsense")
        daemon.set_logging_outputs(outputs)
        assert daemon.logging_outputs() == outputs

        with pytest.raises(pyvirt.Error):
            server.update_tls_files()  # it has no TLS
        daemon.set_daemon_timeout(0)


def test_settings_can_be_changed(private_daemon: PrivateDaemon) -> None:
    apart(change_settings, private_daemon.admin_uri)


def shut_down(uri: str) -> None:
    from pyvirt import admin

    with admin.connect(uri) as daemon:
        if daemon.lib_version() < (11, 2, 0):
            with pytest.raises(pyvirt.NotSupportedError, match="virAdmConnectDaemonShutdown"):
                daemon.shut_down_daemon()
        else:
            daemon.shut_down_daemon()


def test_shutdown_stops_the_daemon(private_daemon_factory: Callable[..., PrivateDaemon]) -> None:
    apart(shut_down, private_daemon_factory().admin_uri)


def nobody_there() -> None:
    from pyvirt import admin

    with pytest.raises(pyvirt.ConnectionFailedError):
        admin.connect("libvirtd:///system?socket=/nonexistent/socket")
    with pytest.raises(pyvirt.NotSupportedError, match="separate process"):
        pyvirt.connect("test:///default")


def test_connect_without_a_daemon_raises() -> None:
    apart(nobody_there)


def test_connect_is_refused_in_a_process_with_another_connection() -> None:
    from pyvirt import admin

    with pyvirt.connect("test:///default"), pytest.raises(pyvirt.NotSupportedError, match="separate process"):
        admin.connect()


def see_it_go(uri: str, pid: int) -> None:
    import signal
    import threading

    from pyvirt import ConnectCloseReason, admin

    with admin.connect(uri) as daemon:
        assert daemon.wait_closed(timeout=0.05) is None
        threading.Timer(0.1, os.kill, (pid, signal.SIGKILL)).start()
        assert daemon.wait_closed(timeout=60) is ConnectCloseReason.EOF
        with pytest.raises(pyvirt.ConnectionLostError):
            daemon.wait_closed()
    with pytest.raises(pyvirt.ClosedError):
        daemon.wait_closed()


def test_calls_raise_after_the_daemon_has_died(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory()
    apart(see_it_go, daemon.admin_uri, daemon.pid)
