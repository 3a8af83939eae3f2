# SPDX-License-Identifier: LGPL-2.1-or-later
"""``where``: each condition is compared with the result of a loop over everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lxml import etree

import pyvirt
from pyvirt import ConnectListAllDomainsFlags, DomainState
from pyvirt._model.where import flags_for
from pyvirt.enums import ConnectListAllNodeDeviceFlags, ConnectListAllSecretsFlags, SecretUsageType
from pyvirt.testing.pytest_plugin import HostFactory
from tests.support.xml import domain_xml

BACKUP, OWNER = "http://example.com/backup", "http://example.com/owner"


@pytest.fixture
def conn(libvirt_host: HostFactory) -> Iterator[pyvirt.Connection]:
    """Domains: web-1 is running, web-2 paused, web-3 inactive, db-1 crashed, db-2 transient, db-3 suspended."""
    uri = libvirt_host(domains=2, running=1.0, networks=3, pools=2)
    file = Path(uri.removeprefix("test://"))
    text = file.read_text()
    for name, ours, state in (("vm-00001", "db-1", DomainState.CRASHED), ("vm-00002", "db-3", DomainState.PMSUSPENDED)):
        text = text.replace(name, ours).replace("<test:runstate>1<", f"<test:runstate>{int(state)}<", 1)
    file.write_text(text)
    with pyvirt.connect(uri) as conn:
        for name in ("web-1", "web-2", "web-3"):
            conn.domains.define(domain_xml(name))
        conn.domains["web-1"].start()
        conn.domains["web-1"].set_autostart(True)
        conn.domains["web-2"].start()
        conn.domains["web-2"].suspend()
        conn.domains.create(domain_xml("db-2"))
        conn.domains["web-3"].metadata.set_title("the third")
        conn.domains["web-3"].metadata.set(BACKUP, "<plan day='1'/>", key="b")
        conn.domains["web-2"].metadata.set(BACKUP, "<plan day='2'/>", key="b")
        conn.domains["web-2"].metadata.set(OWNER, "<team>red</team>", key="o")
        conn.domains["db-2"].metadata.set_description("a passing\nguest")
        yield conn


def names(found: list[pyvirt.Domain]) -> list[str]:
    return sorted(domain.name for domain in found)


def test_the_domains_are_what_the_fixture_says(conn: pyvirt.Connection) -> None:
    assert {domain.name: domain.state().state for domain in conn.domains} == {
        "web-1": DomainState.RUNNING,
        "web-2": DomainState.PAUSED,
        "web-3": DomainState.SHUTOFF,
        "db-1": DomainState.CRASHED,
        "db-2": DomainState.RUNNING,
        "db-3": DomainState.PMSUSPENDED,
    }


Ask = Callable[[pyvirt.Domains], list[pyvirt.Domain]]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda d: d.where(), "db-1 db-2 db-3 web-1 web-2 web-3"),
        (lambda d: d.where(name="web-*"), "web-1 web-2 web-3"),
        (lambda d: d.where(name="*-[12]"), "db-1 db-2 web-1 web-2"),
        (lambda d: d.where(name="web"), ""),
        (lambda d: d.where(name="WEB-*"), ""),
        (lambda d: d.where(name=re.compile("-1$")), "db-1 web-1"),
        (lambda d: d.where(name=lambda name: len(name) == 4), "db-1 db-2 db-3"),
        (lambda d: d.where(state=DomainState.RUNNING), "db-2 web-1"),
        (lambda d: d.where(state=DomainState.PAUSED), "web-2"),
        (lambda d: d.where(state=[DomainState.SHUTOFF, DomainState.PAUSED]), "web-2 web-3"),
        (lambda d: d.where(state=DomainState.CRASHED), "db-1"),
        (lambda d: d.where(state={DomainState.CRASHED, DomainState.RUNNING}), "db-1 db-2 web-1"),
        (lambda d: d.where(state=DomainState.PMSUSPENDED), "db-3"),
        (lambda d: d.where(state=DomainState.BLOCKED), ""),
        (lambda d: d.where(state=()), ""),
        (lambda d: d.where(active=True), "db-1 db-2 db-3 web-1 web-2"),
        (lambda d: d.where(active=False), "web-3"),
        (lambda d: d.where(persistent=False), "db-2"),
        (lambda d: d.where(persistent=True, active=True), "db-1 db-3 web-1 web-2"),
        (lambda d: d.where(autostart=True), "web-1"),
        (lambda d: d.where(autostart=False, name="web-*"), "web-2 web-3"),
        (lambda d: d.where(managed_save=True), ""),
        (lambda d: d.where(snapshots=False, name="db-*"), "db-1 db-2 db-3"),
        (lambda d: d.where(active=True, state=DomainState.SHUTOFF), ""),
        (lambda d: d.where(title="the *"), "web-3"),
        (lambda d: d.where(title=re.compile("third")), "web-3"),
        (lambda d: d.where(description="*\n*"), "db-2"),
        (lambda d: d.where(metadata=BACKUP), "web-2 web-3"),
        (lambda d: d.where(metadata={BACKUP: lambda element: element.get("day") == "2"}), "web-2"),
        (lambda d: d.where(metadata={BACKUP: lambda e: True, OWNER: lambda e: e.text == "red"}), "web-2"),
        (lambda d: d.where(metadata={}), "db-1 db-2 db-3 web-1 web-2 web-3"),
        (lambda d: d.where(metadata="http://example.com/nothing"), ""),
        (lambda d: d.where(state=DomainState.PAUSED, name="web-*", metadata=BACKUP), "web-2"),
    ],
)
def test_where_finds_domains(conn: pyvirt.Connection, ask: Ask, expected: str) -> None:
    assert names(ask(conn.domains)) == expected.split()


def test_where_returns_a_list_of_domains(conn: pyvirt.Connection) -> None:
    [domain] = conn.domains.where(name="web-1")
    assert type(domain) is pyvirt.Domain
    assert domain == conn.domains["web-1"]


def test_the_metadata_predicate_receives_a_parsed_element(conn: pyvirt.Connection) -> None:
    seen: list[str] = []
    conn.domains.where(metadata={OWNER: lambda element: seen.append(etree.tostring(element).decode())})
    assert len(seen) == 1
    assert ">red</" in seen[0]


def test_a_domain_removed_during_where_is_left_out(conn: pyvirt.Connection) -> None:
    """The first call destroys the transient domain, which the listing still contained."""
    conn.domains["web-1"].metadata.set_description("stays")

    def is_first(name: str) -> bool:
        passing = conn.domains.get("db-2", default=None)
        if passing is not None:
            passing.destroy()
        return True

    assert names(conn.domains.where(name=is_first, state=[DomainState.RUNNING], description="*")) == ["web-1"]


def test_a_domain_removed_before_the_states_are_read_is_left_out(conn: pyvirt.Connection) -> None:
    def remove(name: str) -> bool:
        passing = conn.domains.get("db-2", default=None)
        if passing is not None:
            passing.destroy()
        return True

    assert names(conn.domains.where(name=remove, state=[DomainState.RUNNING, DomainState.CRASHED])) == ["db-1", "web-1"]


def test_every_domain_may_be_removed_before_the_states_are_read(conn: pyvirt.Connection) -> None:
    def remove(name: str) -> bool:
        conn.domains[name].undefine()
        return True

    conn.domains["db-1"].destroy()
    assert names(conn.domains.where(name=remove, active=False, state=[DomainState.SHUTOFF, DomainState.CRASHED])) == []


def test_errors_are_raised_and_not_taken_for_a_mismatch(conn: pyvirt.Connection) -> None:
    def broken(name: str) -> bool:
        raise RuntimeError(name)

    with pytest.raises(RuntimeError):
        conn.domains.where(name=broken)
    with pytest.raises(TypeError, match="got int"):
        conn.domains.where(name=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        conn.domains.where(flags=1)  # type: ignore[call-arg]
    conn.close()
    with pytest.raises(pyvirt.ClosedError):
        conn.domains.where()


def test_conditions_with_a_flag_are_filtered_by_the_daemon() -> None:
    flags = flags_for(ConnectListAllDomainsFlags, active=True, persistent=False, autostart=None, snapshots=True)
    expected = (
        ConnectListAllDomainsFlags.ACTIVE
        | ConnectListAllDomainsFlags.TRANSIENT
        | ConnectListAllDomainsFlags.HAS_SNAPSHOT
    )
    assert flags == expected


def test_where_finds_networks_and_pools(conn: pyvirt.Connection) -> None:
    networks = [network.name for network in conn.networks]
    conn.networks[networks[0]].destroy()
    conn.networks[networks[1]].set_autostart(True)

    assert [network.name for network in conn.networks.where(active=False)] == [networks[0]]
    assert [network.name for network in conn.networks.where(active=True, autostart=True)] == [networks[1]]
    assert len(conn.networks.where(name="*", persistent=True)) == 3
    assert conn.networks.where(persistent=False) == []

    pools = [pool.name for pool in conn.storage_pools]
    conn.storage_pools[pools[0]].destroy()
    assert [pool.name for pool in conn.storage_pools.where(active=False)] == [pools[0]]
    assert [pool.name for pool in conn.storage_pools.where(name=pools[1])] == [pools[1]]


def test_where_finds_volumes_and_snapshots(conn: pyvirt.Connection) -> None:
    pool = next(iter(conn.storage_pools))
    for name in ("a.img", "b.img", "b.iso"):
        pool.volumes.create(f"<volume><name>{name}</name><capacity>1</capacity></volume>")
    assert sorted(volume.name for volume in pool.volumes.where(name="b.*")) == ["b.img", "b.iso"]
    assert [volume.name for volume in pool.volumes.where(name=re.compile("iso$"))] == ["b.iso"]

    domain = conn.domains["web-1"]
    for name in ("monday", "tuesday"):
        domain.snapshots.create(name=name)
    assert [snapshot.name for snapshot in domain.snapshots.where(name="mon*")] == ["monday"]
    assert names(conn.domains.where(snapshots=True)) == ["web-1"]


def test_where_finds_interfaces_and_devices() -> None:
    with pyvirt.connect("test:///default") as conn:
        assert [interface.name for interface in conn.interfaces.where(active=True, name="eth*")] == ["eth1"]
        assert conn.interfaces.where(active=False) == []
        everything = {device.name for device in conn.node_devices}
        hosts = {device.name for device in conn.node_devices.where(capability="scsi_host")}
        assert hosts
        assert hosts < everything
        flag = ConnectListAllNodeDeviceFlags.CAP_SCSI_HOST
        assert {device.name for device in conn.node_devices.where(capability=flag)} == hosts
        assert {device.name for device in conn.node_devices.where(name="comp*")} == {"computer"}
        assert {device.name for device in conn.node_devices.where(capability="system", name="*")} == {"computer"}
        with pytest.raises(pyvirt.InvalidArgumentError, match=r"unknown capability 'wings'; .*net, pci_dev"):
            conn.node_devices.where(capability="wings")


@pytest.mark.parametrize(
    ("capability", "flag"),
    [("pci", "CAP_PCI_DEV"), ("usb", "CAP_USB_INTERFACE"), ("usb_device", "CAP_USB_DEV"), ("net", "CAP_NET")],
)
def test_capabilities_have_their_names_from_xml(capability: str, flag: str) -> None:
    with pyvirt.connect("test:///default") as conn:
        assert conn.node_devices._capability(capability) == ConnectListAllNodeDeviceFlags[flag]


def test_conditions_on_secrets_become_flags() -> None:
    flags = flags_for(ConnectListAllSecretsFlags, ephemeral=True, private=False)
    assert flags == ConnectListAllSecretsFlags.EPHEMERAL | ConnectListAllSecretsFlags.NO_PRIVATE
    with pyvirt.connect("test:///default") as conn, pytest.raises(pyvirt.OperationUnsupportedError):
        conn.secrets.where(usage_type=SecretUsageType.VOLUME)
