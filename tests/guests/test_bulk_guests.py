# SPDX-License-Identifier: LGPL-2.1-or-later
"""Filters, supports() and bulk work on a daemon with real guests, one of which hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import NamedTuple

import pytest

import pyvirt
from pyvirt import DomainState, bulk
from pyvirt._core.lib import lib, load_extension
from pyvirt.enums import DomainQemuMonitorCommandFlags
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import container, paused_guest
from pyvirt.testing.pytest_plugin import DaemonFactory

FUNCTIONS = [
    name
    for home in (lib, load_extension("qemu")[0], load_extension("lxc")[0])
    for name in dir(home)
    if name.startswith("vir") and name != "virConnectAuthPtrDefault"  # a variable
]
NETWORK = "<network><name>bulk</name></network>"
SECRET = "<secret ephemeral='yes' private='yes'><usage type='volume'><volume>/bulk/disk</volume></usage></secret>"


class Guests(NamedTuple):
    conn: pyvirt.Connection
    daemon: PrivateDaemon
    domains: list[pyvirt.Domain]


@pytest.fixture(scope="module")
def guests(qemu_daemon: PrivateDaemon) -> Iterator[Guests]:
    with pyvirt.connect(qemu_daemon.uri("qemu")) as conn:

        def create(name: str) -> pyvirt.Domain:
            return conn.domains.create(paused_guest(name), flags=pyvirt.DomainCreateFlags.PAUSED)

        made = bulk.map(create, [f"bulk-{number}" for number in range(4)], workers=2).values()
        off = conn.domains.define(paused_guest("bulk-off"))
        yield Guests(conn, qemu_daemon, made)
        bulk.map(pyvirt.Domain.destroy, made)
        off.undefine()


def seen(conn: pyvirt.Connection) -> list[object]:
    """Return everything that could change visibly."""
    domains = [(domain.xml_desc(), domain.state(), domain.id, domain.is_persistent()) for domain in conn.domains]
    others = [list(getattr(conn, kind)) for kind in ("networks", "storage_pools", "secrets", "nwfilters")]
    return [sorted(domains, key=str), [sorted(map(repr, found)) for found in others]]


def test_supports_changes_nothing_of_a_guest(guests: Guests) -> None:
    conn = guests.conn
    network, secret = conn.networks.define(NETWORK), conn.secrets.define(SECRET)
    try:
        before = seen(conn)
        answers = {name: conn.supports(name) for name in FUNCTIONS}

        assert seen(conn) == before
        assert conn.alive()
    finally:
        network.undefine()
        secret.undefine()
    wanted = {
        "virDomainGetState": True,
        "virDomainMigrateSetMaxSpeed": True,
        "virDomainQemuMonitorCommand": True,
        "virNodeSuspendForDuration": True,
        "virNetworkGetDHCPLeases": True,
        "virSecretSetValue": True,
        "virDomainLxcOpenNamespace": False,
        "virDomainSendProcessSignal": False,
        "virConnectDomainXMLFromNative": False,
        "virInterfaceChangeBegin": False,
        "virDomainDestroy": None,
    }
    assert {name: answers[name] for name in wanted} == wanted


def test_where_uses_the_filters_of_the_daemon(guests: Guests) -> None:
    conn = guests.conn
    names = sorted(domain.name for domain in guests.domains)

    def found(**question: object) -> list[str]:
        return sorted(domain.name for domain in conn.domains.where(name="bulk-*", **question))  # type: ignore[arg-type]

    assert found() == [*names, "bulk-off"]
    assert found(state=DomainState.PAUSED) == names
    assert found(state=[DomainState.PAUSED, DomainState.CRASHED]) == names  # by bulk statistics
    assert found(state=DomainState.SHUTOFF) == found(active=False) == ["bulk-off"]
    assert found(persistent=False) == names
    guests.domains[1].metadata.set("http://example.com/bulk", "<a/>", key="x")
    assert found(metadata="http://example.com/bulk") == ["bulk-1"]


def test_where_finds_a_secret_by_its_usage(guests: Guests) -> None:
    secret = guests.conn.secrets.define(SECRET)
    try:
        kind = pyvirt.SecretUsageType.VOLUME
        assert guests.conn.secrets.where(usage_id="/bulk/*", usage_type=kind, private=True) == [secret]
        assert guests.conn.secrets.where(usage_id="/bulk/*", ephemeral=False) == []
    finally:
        secret.undefine()


def test_a_hung_guest_does_not_block_the_other_items(guests: Guests) -> None:
    """Its QEMU does not answer: its item times out, and all others succeed."""

    def ask(domain: pyvirt.Domain) -> str:
        return domain.qemu.monitor_command("info status", flags=DomainQemuMonitorCommandFlags.HMP)

    hung = guests.domains[2]
    pid = guests.daemon.guest_pid(hung.name)
    with pyvirt.connect(guests.daemon.uri("qemu")) as conn:
        domains = [conn.domains[domain.name] for domain in guests.domains]
        os.kill(pid, signal.SIGSTOP)
        try:
            results = bulk.map(ask, domains, timeout=10)
        finally:
            os.kill(pid, signal.SIGCONT)

        assert [result.item.name for result in results.failed] == [hung.name]
        assert isinstance(results[2].error, pyvirt.OperationTimeoutError)
        assert all("paused" in result.unwrap() for result in results.succeeded)
        assert len(results.succeeded) == 3
        # It continues where it was stopped.
        assert "paused" in ask(domains[2])


def test_supports_and_where_work_for_containers(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory(cgroups=True)
    with pyvirt.connect(daemon.uri("lxc")) as conn:
        domain = conn.domains.create(container("asked"))
        before = seen(conn)
        answers = {name: conn.supports(name) for name in FUNCTIONS}

        assert seen(conn) == before
        assert answers["virDomainLxcOpenNamespace"] is True
        assert answers["virDomainSendProcessSignal"] is True
        assert answers["virDomainQemuMonitorCommand"] is False
        assert answers["virConnectGetAllDomainStats"] is False
        # So the states are read one by one.
        states = [DomainState.RUNNING, DomainState.CRASHED]
        assert conn.domains.where(state=states) == [domain]
        assert conn.domains.where(state=DomainState.CRASHED) == []
