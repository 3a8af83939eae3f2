# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all collections have in common, by one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import pyvirt
from pyvirt._model.collection import Collection
from pyvirt.errors import NotFoundError, OperationUnsupportedError

if TYPE_CHECKING:
    from typing_extensions import assert_type

    from pyvirt.domain import Domain
    from pyvirt.domain.snapshots import Snapshot
    from pyvirt.network import NetworkPort
    from pyvirt.secret import Secret
    from pyvirt.storage import StoragePool, StorageVolume

NOBODY = "11111111-2222-3333-4444-555555555555"  # also not a name of any object


class Kind(NamedTuple):
    collection: Callable[[pyvirt.Connection], Any]
    look_up: str
    counted_by: str
    lacking: bool = False  # the test driver has none of these


KINDS = {
    "Domains": Kind(lambda conn: conn.domains, "virDomainLookupByName", "virConnectListAllDomains"),
    "Snapshots": Kind(
        lambda conn: conn.domains["test"].snapshots, "virDomainSnapshotLookupByName", "virDomainListAllSnapshots"
    ),
    "Checkpoints": Kind(
        lambda conn: conn.domains["test"].checkpoints, "virDomainCheckpointLookupByName", "virDomainListAllCheckpoints"
    ),
    "Networks": Kind(lambda conn: conn.networks, "virNetworkLookupByName", "virConnectListAllNetworks"),
    "NetworkPorts": Kind(
        lambda conn: conn.networks["default"].ports,
        "virNetworkPortLookupByUUID",
        "virNetworkListAllPorts",
        lacking=True,
    ),
    "StoragePools": Kind(
        lambda conn: conn.storage_pools, "virStoragePoolLookupByName", "virConnectListAllStoragePools"
    ),
    "StorageVolumes": Kind(
        lambda conn: conn.storage_pools["default-pool"].volumes,
        "virStorageVolLookupByName",
        "virStoragePoolNumOfVolumes",
    ),
    "NodeDevices": Kind(lambda conn: conn.node_devices, "virNodeDeviceLookupByName", "virConnectListAllNodeDevices"),
    "Interfaces": Kind(lambda conn: conn.interfaces, "virInterfaceLookupByName", "virConnectListAllInterfaces"),
    "Secrets": Kind(lambda conn: conn.secrets, "virSecretLookupByUUID", "virConnectListAllSecrets", lacking=True),
    "NWFilters": Kind(lambda conn: conn.nwfilters, "virNWFilterLookupByName", "virConnectNumOfNWFilters", lacking=True),
    "NWFilterBindings": Kind(
        lambda conn: conn.nwfilter_bindings,
        "virNWFilterBindingLookupByPortDev",
        "virConnectListAllNWFilterBindings",
        lacking=True,
    ),
}
NAMES = list(KINDS)
LACKING = [name for name, kind in KINDS.items() if kind.lacking]


def leaves(cls: type[Any]) -> Iterator[type[Any]]:
    for sub in cls.__subclasses__():
        yield from leaves(sub)
    if not cls.__subclasses__():
        yield cls


def test_every_collection_is_in_the_table(conn: pyvirt.Connection) -> None:
    made = {name: type(kind.collection(conn)) for name, kind in KINDS.items()}
    assert {name: cls.__name__ for name, cls in made.items()} == {name: name for name in KINDS}
    assert {cls for cls in leaves(Collection) if not cls.__name__.startswith("_")} == set(made.values())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LACKING])
def test_a_failed_lookup_raises_not_found(conn: pyvirt.Connection, name: str) -> None:
    collection = KINDS[name].collection(conn)
    for look_up in (collection.get, collection.__getitem__):
        with pytest.raises(NotFoundError, match=NOBODY) as caught:
            look_up(NOBODY)
        assert type(caught.value) is collection._not_found
        assert caught.value.function == KINDS[name].look_up
    assert collection.get(NOBODY, default=None) is None
    assert collection.get(NOBODY, default=collection) is collection
    assert NOBODY not in collection
    assert conn not in collection


@pytest.mark.parametrize("name", LACKING)
def test_a_driver_without_such_objects_raises_unsupported(conn: pyvirt.Connection, name: str) -> None:
    kind = KINDS[name]
    collection = kind.collection(conn)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: collection[NOBODY], kind.look_up),
        (lambda: collection.get(NOBODY, default=None), kind.look_up),
        (lambda: NOBODY in collection, kind.look_up),
        (lambda: len(collection), kind.counted_by),
        (lambda: list(collection), kind.counted_by.replace("NumOf", "ListAll")),
    ]
    for call, function in calls:
        with pytest.raises(OperationUnsupportedError, match=function) as caught:
            call()
        assert caught.value.function == function


@pytest.mark.parametrize("name", NAMES)
def test_get_without_a_key_raises(conn: pyvirt.Connection, name: str) -> None:
    with pytest.raises(TypeError, match="expected "):
        KINDS[name].collection(conn).get(None)


@pytest.mark.parametrize("name", NAMES)
def test_a_repr_names_the_owner(conn: pyvirt.Connection, name: str) -> None:
    collection = KINDS[name].collection(conn)
    assert repr(collection) == f"<pyvirt.{name} of {collection._owner!r}>"


if TYPE_CHECKING:  # what a lookup returns, as type checkers see it

    def look_ups(conn: pyvirt.Connection, domain: Domain, pool: StoragePool) -> None:
        assert_type(conn.domains.get("web"), Domain)
        assert_type(conn.domains.get(id=7, default=None), Domain | None)
        assert_type(conn.secrets.get(NOBODY), Secret)
        assert_type(conn.secrets.get(NOBODY, default=0), Secret | int)
        assert_type(conn.networks["default"].ports.get(NOBODY, default=None), NetworkPort | None)
        assert_type(conn.storage_pools.volume(key="/v"), StorageVolume)
        assert_type(conn.storage_pools.volume(key="/v", default=None), StorageVolume | None)
        assert_type(pool.volumes.get("v", default=""), StorageVolume | str)
        assert_type(domain.snapshots.get("s"), Snapshot)
        assert_type(domain.snapshots.get("s", default=None), Snapshot | None)
        assert_type(domain.snapshots["s"], Snapshot)
