# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input for the kinds of objects that only a real daemon has, by the common table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import pyvirt
from pyvirt.errors import Error, InvalidArgumentError
from pyvirt.network import Network
from pyvirt.testing.daemon import PrivateDaemon
from tests.support.bad_input import Kind, cases, check_case, check_closed

NETWORK = "<network><name>badnet</name><bridge name='badbr' stp='off' delay='0'/></network>"

# By the driver whose connection has these objects.
KINDS = {
    "network": Kind(lambda conn: conn.networks["badnet"].ports, "networkport", ("create",), by_uuid=True, flags=False),
    "secret": Kind(lambda conn: conn.secrets, "secret", ("define",), by_uuid=True),
    "nwfilter": Kind(lambda conn: conn.nwfilters, "filter", ("define",), ("uuid",), flags=False),
    "nwfilter bindings": Kind(lambda conn: conn.nwfilter_bindings, "filterbinding", ("create",), flags=False),
    "nodedev": Kind(lambda conn: conn.node_devices, "device", ("define", "create"), ("wwnn", "wwpn")),
}
CASES = {f"{name}: {what}": (name, case) for name, kind in KINDS.items() for what, case in cases(kind)}


@pytest.fixture(scope="module")
def connections(private_daemon: PrivateDaemon) -> Iterator[Callable[[str], pyvirt.Connection]]:
    """Return a function that returns the connection for a kind, always the same one."""
    opened: dict[str, pyvirt.Connection] = {}

    def connection(name: str) -> pyvirt.Connection:
        driver = name.split()[0]
        if driver not in opened:
            opened[driver] = pyvirt.connect(private_daemon.uri(driver))
        return opened[driver]

    network = connection("network").networks.create(NETWORK)
    yield connection
    network.destroy()
    for conn in opened.values():
        conn.close()


@pytest.mark.parametrize("name", CASES)
def test_bad_input_raises_a_clear_error_and_changes_nothing(
    name: str, connections: Callable[[str], pyvirt.Connection], capfd: pytest.CaptureFixture[str]
) -> None:
    kind, case = CASES[name]
    check_case(case, KINDS[kind].collection(connections(kind)), capfd)


@pytest.mark.parametrize("name", KINDS)
def test_every_use_of_a_closed_connection_raises_closed_error(
    name: str, connections: Callable[[str], pyvirt.Connection], private_daemon: PrivateDaemon
) -> None:
    connections("network")
    conn = pyvirt.connect(private_daemon.uri(name.split()[0]))
    them = KINDS[name].collection(conn)
    conn.close()
    check_closed(KINDS[name], them)


# ---- internal errors of libvirt: the message names what is missing, and nothing is created ----

EMPTY = {
    "network": ("create", "no uuid"),
    "nwfilter": ("define", "no name"),
    "nwfilter bindings": ("create", "no port dev"),
    "nodedev": ("define", "no device capabilities"),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_document_is_refused(name: str, connections: Callable[[str], pyvirt.Connection]) -> None:
    maker, message = EMPTY[name]
    them = KINDS[name].collection(connections(name))
    before = set(them)
    with pytest.raises(Error, match=message):
        getattr(them, maker)(f"<{KINDS[name].root}/>")
    assert set(them) == before


# ---- objects ----


def test_an_invalid_edit_of_a_network_is_refused(connections: Callable[[str], pyvirt.Connection]) -> None:
    networks = connections("network").networks
    network = networks.define(NETWORK.replace("bad", "worse"))
    try:
        before = network.xml_desc()
        with pytest.raises(Error, match="'network', not 'other'"), network.edit() as root:
            root.tag = "other"
        with pytest.raises(Error, match="nowhere"), network.edit() as root:
            root.append(root.makeelement("ip", {"address": "nowhere", "prefix": "24"}))
        assert network.xml_desc() == before
    finally:
        network.undefine()


def test_a_secret_accepts_only_bytes(connections: Callable[[str], pyvirt.Connection]) -> None:
    secret = connections("secret").secrets.define("<secret ephemeral='yes' private='no'/>")
    try:
        secret.set_value(b"kept")
        for value in ("text", 5, None):
            with pytest.raises(TypeError, match=f"bytes, got {type(value).__name__}"):
                secret.set_value(value)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError):
            secret.set_value(b"")
        assert secret.value() == b"kept"
    finally:
        secret.undefine()


def limits(network: Network) -> dict[str, object]:
    (port,) = network.ports
    return dict(port.parameters())


def test_invalid_limits_of_a_port_are_refused(connections: Callable[[str], pyvirt.Connection]) -> None:
    network = connections("network").networks["badnet"]
    port = network.ports.create(
        f"<networkport><uuid>11111111-2222-3333-4444-555555555555</uuid><owner><name>x</name>"
        f"<uuid>{network.uuid}</uuid></owner><mac address='52:54:00:71:00:09'/></networkport>"
    )
    try:
        port.set_parameters({"inbound.average": 500})
        before = limits(network)
        for values, error in (
            ({"nobody": 5}, InvalidArgumentError),
            ({"inbound.average": "x"}, TypeError),
            ({"inbound.average": -1}, InvalidArgumentError),
            ({"inbound.average\0": 5}, InvalidArgumentError),
        ):
            with pytest.raises(error):
                port.set_parameters(values)
        assert limits(network) == before != {}
    finally:
        port.delete()
