# SPDX-License-Identifier: LGPL-2.1-or-later
"""Objects that come and go during a listing: a listing shows one moment, and removed objects are left out."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import pyvirt
from pyvirt.domain.collection import Domains
from pyvirt.errors import DomainNotFoundError, DomainSnapshotNotFoundError, Error
from tests.support.any_stats import stats
from tests.support.xml import domain_xml

NETWORK = "<network><name>{}</name></network>"
POOL = "<pool type='dir'><name>{}</name><target><path>/{}</path></target></pool>"
VOLUME = "<volume><name>{}</name><capacity>1024</capacity></volume>"
SNAPSHOT = "<domainsnapshot><name>{}</name></domainsnapshot>"
VHBA = """<device><parent>scsi_host1</parent><capability type='scsi_host'><capability type='fc_host'>
<wwnn>2000000012341234</wwnn><wwpn>1000000012341234</wwpn></capability></capability></device>"""


def come_and_go(conn: pyvirt.Connection, number: int) -> None:
    """Create and remove one object of each kind."""
    name = f"passing-{number % 7}"
    made: list[pyvirt.Domain | pyvirt.Network | pyvirt.StoragePool] = [
        conn.domains.define(domain_xml(name)),
        conn.networks.define(NETWORK.format(name)),
        conn.storage_pools.define(POOL.format(name, name)),
    ]
    volume = conn.storage_pools["default-pool"].volumes.create(VOLUME.format(name))
    snapshot = conn.domains["test"].snapshots.create(SNAPSHOT.format(name))
    device = conn.node_devices.create(VHBA)
    for one in made:
        one.undefine()
    volume.delete()
    snapshot.delete()
    device.destroy()


@contextmanager
def traffic(conn: pyvirt.Connection) -> Iterator[None]:
    """Let objects come and go in another thread."""
    done, failed = threading.Event(), []

    def work() -> None:
        try:
            for number in itertools.count():
                come_and_go(conn, number)
                if done.is_set():
                    return
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert failed == []


LOOKS: dict[str, Callable[[pyvirt.Connection], object]] = {
    "domains": lambda conn: [(repr(one), one in conn.domains) for one in conn.domains],
    "networks": lambda conn: [(repr(one), one in conn.networks) for one in conn.networks],
    "pools": lambda conn: [(repr(one), one in conn.storage_pools) for one in conn.storage_pools],
    "names of pools": lambda conn: conn.storage_pools.names() + conn.storage_pools.defined_names(),
    "volumes": lambda conn: [repr(one) for one in conn.storage_pools["default-pool"].volumes],
    "names of volumes": lambda conn: conn.storage_pools["default-pool"].volumes.names(),
    "node devices": lambda conn: [(repr(one), one in conn.node_devices) for one in conn.node_devices],
    "names of node devices": lambda conn: conn.node_devices.names(),
    "tree of node devices": lambda conn: conn.node_devices.tree(),
    "children of a node device": lambda conn: conn.node_devices["scsi_host1"].children(),
    "snapshots": lambda conn: [repr(one) for one in conn.domains["test"].snapshots],
    "names of snapshots": lambda conn: conn.domains["test"].snapshots.names(),
    "roots of snapshots": lambda conn: conn.domains["test"].snapshots.roots(),
    "current snapshot": lambda conn: conn.domains["test"].snapshots.current(),
    "a name": lambda conn: ["passing-3" in them for them in (conn.domains, conn.networks, conn.storage_pools)],
    "a default": lambda conn: conn.domains.get("passing-3", default=None),
    "lengths": lambda conn: [len(conn.domains), len(conn.networks), len(conn.storage_pools), len(conn.node_devices)],
    "statistics": lambda conn: stats(conn).to_dicts(),
}


@pytest.mark.parametrize("name", LOOKS)
def test_collections_are_readable_while_objects_come_and_go(name: str, conn: pyvirt.Connection) -> None:
    look = LOOKS[name]
    before = look(conn)
    with traffic(conn):
        for _ in range(50):
            look(conn)
    assert name == "statistics" or look(conn) == before  # statistics change by themselves


def test_a_loop_may_remove_objects_that_it_has_not_reached(conn: pyvirt.Connection) -> None:
    for number in range(5):
        conn.domains.define(domain_xml(str(number)))
    seen = []
    for domain in conn.domains:
        seen.append(domain.name)
        for other in conn.domains:
            if not other.is_active():
                other.undefine()
    assert sorted(seen) == ["0", "1", "2", "3", "4", "test"]
    assert [domain.name for domain in conn.domains] == ["test"]


def test_a_domain_that_stops_between_two_parts_is_listed_once(conn: pyvirt.Connection) -> None:
    class TooLong(Domains):
        """So many domains that a list comes in parts, and one that stops after the first part."""

        __slots__ = ()

        def _wrap_list(self, call: object, flags: int, owner: object = None) -> list[pyvirt.Domain]:
            if not flags:
                raise Error("too large", code=39, domain=7)
            found = super()._wrap_list(call, flags)  # type: ignore[arg-type]
            for domain in found:
                if domain.is_active():
                    domain.destroy()
            return found

    assert [domain.name for domain in TooLong(conn)] == ["test"]


def test_children_of_a_removed_object_raise_not_found(conn: pyvirt.Connection) -> None:
    """A removed owner is reported, unlike removed items of a listing."""
    domain = conn.domains["test"]
    snapshot = domain.snapshots.create(name="kept")
    domain.snapshots["kept"].delete()
    for use in (snapshot.children, snapshot.parent, snapshot.xml_desc):
        with pytest.raises(DomainSnapshotNotFoundError):
            use()
    assert snapshot not in domain.snapshots
    domain.destroy()
    domain.undefine()
    for look in (domain.disks.list, lambda: "vda" in domain.disks, lambda: len(domain.interfaces)):
        with pytest.raises(DomainNotFoundError):
            look()
    assert domain not in conn.domains
    assert "test" not in conn.domains
