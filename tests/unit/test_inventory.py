# SPDX-License-Identifier: LGPL-2.1-or-later
"""Inventories equal what each object returns, whatever its state."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from uuid import UUID

import pytest

import pyvirt
from pyvirt import DomainState
from pyvirt._core.lib import ffi, lib
from pyvirt.inventory import _Listing, _states
from pyvirt.testing.hosts import HostOptions, temporary_host
from tests.support.drivers import there
from tests.support.xml import domain_xml


@pytest.fixture
def conn() -> Iterator[pyvirt.Connection]:
    options: HostOptions = {"domains": 12, "running": 0.5, "paused": 0.25, "networks": 3, "pools": 2, "volumes": 4}
    with temporary_host(**options) as uri, pyvirt.connect(uri) as conn:
        yield conn


def asked_one_by_one(conn: pyvirt.Connection, *, reasons: bool) -> set[tuple[object, ...]]:
    found: set[tuple[object, ...]] = set()
    for one in conn.domains:
        state = one.state()
        reason = state.reason if reasons else None
        found.add((one.name, one.uuid, one.id, state.state, reason, one.is_persistent(), one.autostart()))
    return found


@pytest.mark.parametrize("autostart", [0, 3, 9, 12])  # those with the flag are listed, or those without
def test_rows_equal_what_each_domain_returns(conn: pyvirt.Connection, autostart: int) -> None:
    for domain in conn.domains.list()[:autostart]:
        domain.set_autostart(True)
    if autostart < 12:
        conn.domains.create(domain_xml("passing"))
    inventory = conn.domains.inventory()
    bulk = there("virConnectGetAllDomainStats")
    assert (inventory.reasons is not None) is bulk
    assert set(map(tuple, inventory)) == asked_one_by_one(conn, reasons=bulk)
    assert len(inventory) == len(conn.domains)
    assert sum(inventory.autostart) == autostart
    assert {row.state for row in inventory} == {DomainState.RUNNING, DomainState.PAUSED, DomainState.SHUTOFF}


def test_columns_have_one_value_per_row(conn: pyvirt.Connection) -> None:
    inventory = conn.domains.inventory()
    rows = list(inventory)
    assert inventory.names == [row.name for row in rows]
    assert inventory.uuids == [row.uuid for row in rows]
    assert bytes(inventory.uuid_bytes) == b"".join(row.uuid.bytes for row in rows)
    assert inventory.ids.tolist() == [-1 if row.id is None else row.id for row in rows]
    assert inventory.states.tolist() == [row.state for row in rows]
    assert inventory.persistent.tolist() == [True] * 12
    assert inventory.to_dicts() == [row._asdict() for row in rows]


def test_rows_are_found_by_name_or_uuid(conn: pyvirt.Connection) -> None:
    inventory = conn.domains.inventory()
    row = next(iter(inventory))
    assert inventory[row.name] == inventory[row.uuid] == inventory.get(row.uuid) == row
    assert row.name in inventory
    assert "nobody" not in inventory
    assert inventory.get("nobody") is None
    with pytest.raises(KeyError):
        inventory[UUID(int=0)]


def test_an_inventory_outlives_its_connection() -> None:
    with temporary_host(domains=3) as uri, pyvirt.connect(uri) as conn:
        domains = conn.domains.inventory()
        networks = conn.networks.inventory()
        states, ids = domains.states, networks.uuid_bytes
    expected = bytes(states), bytes(ids)
    del domains, networks
    gc.collect()
    assert (bytes(states), bytes(ids)) == expected


def test_a_host_without_domains_gives_an_empty_inventory() -> None:
    with temporary_host(domains=0) as uri, pyvirt.connect(uri) as conn:
        inventory = conn.domains.inventory()
        assert (len(inventory), list(inventory), inventory.to_dicts()) == (0, [], [])
        assert list(inventory.states) == list(inventory.autostart) == []


def test_a_closed_connection_raises_closed_error(conn: pyvirt.Connection) -> None:
    conn.close()
    with pytest.raises(pyvirt.ClosedError):
        conn.domains.inventory()


def test_states_are_derived_from_listings_where_bulk_statistics_are_missing(conn: pyvirt.Connection) -> None:
    """This is done where the driver has no bulk statistics."""
    listing = _Listing.of_all(lib.PV_DOMAIN, conn, "virConnectListAllDomains")
    states = dict(zip(listing.names, _states(conn, listing), strict=True))
    assert states == {domain.name: domain.state().state for domain in conn.domains}
    assert {states[name] for name, id in zip(states, listing.ids, strict=True) if id < 0} == {DomainState.SHUTOFF}


def test_a_domain_that_is_new_in_a_second_listing_has_no_row(conn: pyvirt.Connection) -> None:
    listing = _Listing.of_all(lib.PV_DOMAIN, conn, "virConnectListAllDomains")
    gone = next(domain for domain in conn.domains if not domain.is_active())
    name = gone.name
    gone.undefine()
    conn.domains.define(domain_xml("new"))
    marks = dict(zip(listing.names, listing.flagged(pyvirt.ConnectListAllDomainsFlags.PERSISTENT), strict=True))
    assert marks.pop(name) is False
    assert set(marks.values()) == {True}


def test_networks_and_pools_equal_what_each_object_returns(conn: pyvirt.Connection) -> None:
    conn.networks["net-1"].destroy()
    conn.networks["net-2"].set_autostart(True)
    conn.storage_pools["pool-1"].destroy()
    for collection in (conn.networks, conn.storage_pools):
        expected = {(one.name, one.uuid, one.is_active(), one.is_persistent(), one.autostart()) for one in collection}
        assert set(map(tuple, collection.inventory())) == expected
        assert len({active for _, _, active, _, _ in expected}) == 2


def test_volumes_devices_and_interfaces_have_inventories(conn: pyvirt.Connection) -> None:
    volumes = conn.storage_pools["pool-2"].volumes
    assert set(map(tuple, volumes.inventory())) == {(one.name, one.key) for one in volumes}
    assert volumes.inventory()["volume-3.raw"].key == volumes["volume-3.raw"].key
    with pyvirt.connect("test:///default") as default:
        assert [row.name for row in default.node_devices.inventory()] == [one.name for one in default.node_devices]
        (interface,) = default.interfaces.inventory()
        assert interface == ("eth1", default.interfaces["eth1"].mac_string, True)


def test_an_inventory_that_the_driver_lacks_raises_with_the_c_function(conn: pyvirt.Connection) -> None:
    with pytest.raises(pyvirt.OperationUnsupportedError) as caught:
        conn.secrets.inventory()
    assert caught.value.function == "virConnectListAllSecrets"
    with pytest.raises(pyvirt.OperationUnsupportedError):
        conn.nwfilters.inventory()


def test_parts_of_a_listing_are_appended(conn: pyvirt.Connection) -> None:
    listing = _Listing(lib.PV_DOMAIN, conn, "virConnectListAllDomains")
    for flag in (pyvirt.ConnectListAllDomainsFlags.ACTIVE, pyvirt.ConnectListAllDomainsFlags.INACTIVE):
        listing.append(flag)
    assert sorted(listing.names) == sorted(domain.name for domain in conn.domains)
    assert {UUID(bytes=bytes(listing.uuid_bytes[at : at + 16])) for at in range(0, 16 * 12, 16)} == {
        domain.uuid for domain in conn.domains
    }


def test_a_new_inventory_in_c_is_empty() -> None:
    inventory = ffi.gc(lib.pv_inventory_new(lib.PV_NETWORK), lib.pv_inventory_free)
    view = ffi.new("pv_inventory_view *")
    lib.pv_inventory_describe(inventory, view)
    assert (view.rows, view.uuids) == (0, ffi.NULL)
