# SPDX-License-Identifier: LGPL-2.1-or-later
"""Storage pools and volumes on libvirt's test driver; tests/daemon has what only a daemon can do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

import pyvirt
from pyvirt import Connection
from pyvirt.capabilities.storage import StoragePoolCapabilities
from pyvirt.enums import (
    ConnectListAllStoragePoolsFlags,
    StoragePoolState,
    StorageVolInfoFlags,
    StorageVolType,
    StorageXMLFlags,
)
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    Error,
    InvalidArgumentError,
    NotSupportedError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    StoragePoolNotFoundError,
    StorageVolumeNotFoundError,
    XMLError,
)
from pyvirt.models import StoragePoolInfo, StorageVolumeInfo
from pyvirt.storage import StoragePool, StoragePools, StorageVolume, StorageVolumes
from pyvirt.testing.hosts import object_uuid
from pyvirt.testing.pytest_plugin import HostFactory
from pyvirt.xmldesc import XML, parse
from tests.support.bad_input import other_root

List = ConnectListAllStoragePoolsFlags
UNKNOWN = "12345678-1234-1234-1234-123456789abc"
POOL = "<pool type='dir'><name>{0}</name><target><path>/{0}</path></target></pool>"
VOLUME = "<volume><name>{}</name><capacity>{}</capacity></volume>"
GIB = 1 << 30


@pytest.fixture
def conn(libvirt_test_uri: str) -> Iterator[Connection]:
    with pyvirt.connect(libvirt_test_uri) as conn:
        yield conn


@pytest.fixture
def pools(conn: Connection) -> StoragePools:
    """One pool, ``pool-1``, with ``volume-1.raw`` to ``volume-4.raw`` of 1 GiB."""
    return StoragePools(conn)


@pytest.fixture
def pool(pools: StoragePools) -> StoragePool:
    return pools["pool-1"]


@pytest.fixture
def volume(pool: StoragePool) -> StorageVolume:
    return pool.volumes["volume-1.raw"]


# ---- finding pools ----


def test_pools_are_a_collection(pools: StoragePools, pool: StoragePool) -> None:
    assert list(pools) == pools.list() == [pool]
    assert len(pools) == 1
    assert "pool-1" in pools
    assert pool in pools
    assert "pool-2" not in pools
    assert repr(pools) == f"<pyvirt.StoragePools of {pools._conn!r}>"


def test_a_pool_is_found_by_name_or_uuid(pools: StoragePools, pool: StoragePool) -> None:
    uuid = object_uuid("pool-1")
    assert pool.uuid == uuid
    for found in (pools.get("pool-1"), pools.get(uuid=uuid), pools.get(uuid=str(uuid)), pools.get(uuid=uuid.bytes)):
        assert found == pool
        assert hash(found) == hash(pool)
        assert found is not pool


@pytest.mark.parametrize("wanted", [{"name": "nobody"}, {"uuid": UNKNOWN}])
def test_lookup_of_a_missing_pool_raises_not_found(pools: StoragePools, wanted: dict[str, str]) -> None:
    with pytest.raises(StoragePoolNotFoundError, match=next(iter(wanted.values()))):
        pools.get(**wanted)
    assert pools.get(**wanted, default=None) is None


def test_lookup_by_target_path_raises_unsupported(pools: StoragePools) -> None:
    with pytest.raises(OperationUnsupportedError, match="virStoragePoolLookupByTargetPath"):
        pools.get(target_path="/var/lib/libvirt/pool-1", default=None)


@pytest.mark.parametrize("wanted", [{}, {"name": "pool-1", "uuid": UNKNOWN}, {"uuid": UNKNOWN, "target_path": "/"}])
def test_get_takes_exactly_one_key(pools: StoragePools, wanted: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="exactly one"):
        pools.get(**wanted)


def test_flags_filter_the_list(pools: StoragePools, pool: StoragePool) -> None:
    inactive = pools.define(POOL.format("stored"))
    transient = pools.create(POOL.format("passing"))
    pool.set_autostart(True)

    def listed(flags: List) -> set[str]:
        return {pool.name for pool in pools.list(flags)}

    assert set(pools.names()) == {"pool-1", "passing"}
    assert pools.defined_names() == ["stored"]
    assert listed(List.ACTIVE) == {"pool-1", "passing"}
    assert listed(List.INACTIVE) == {"stored"}
    assert listed(List.TRANSIENT) == {transient.name}
    assert listed(List.PERSISTENT | List.ACTIVE) == {"pool-1"}
    assert listed(List.ACTIVE | List.INACTIVE) == {"pool-1", "passing", "stored"}
    assert listed(List.AUTOSTART) == {"pool-1"}
    assert listed(List.NO_AUTOSTART | List.PERSISTENT) == {inactive.name}
    assert listed(List.DIR) == {"pool-1", "passing", "stored"}
    assert listed(List.LOGICAL) == set()


def test_find_sources_returns_a_document(pools: StoragePools) -> None:
    groups = parse(pools.find_sources("logical"))
    assert [name.text for name in groups.iterfind("source/name")] == ["testvg1", "testvg2"]
    exports = parse(pools.find_sources("netfs", "<source><host name='filer'/></source>"))
    assert [host.get("name") for host in exports.iterfind("source/host")] == ["filer"]
    with pytest.raises(XMLError):
        pools.find_sources("netfs", "filer")
    with pytest.raises(OperationUnsupportedError, match="nonsense"):
        pools.find_sources("nonsense")


# ---- a pool ----


def test_a_pool_describes_itself(pool: StoragePool, conn: Connection) -> None:
    assert pool.connection is conn
    assert repr(pool) == f"<pyvirt.StoragePool 'pool-1' {object_uuid('pool-1')}>"
    assert isinstance(pool.uuid, UUID)
    assert pool.is_active()
    assert pool.is_persistent()
    root = parse(pool.xml_desc())
    assert (root.tag, root.findtext("name")) == ("pool", "pool-1")
    with pytest.raises(InvalidArgumentError, match="flags"):  # of the test driver; a daemon accepts it
        pool.xml_desc(flags=StorageXMLFlags.INACTIVE)


def test_info_returns_the_sizes_of_a_pool(pool: StoragePool) -> None:
    info = pool.info()
    assert info == StoragePoolInfo(StoragePoolState.RUNNING, 100 * GIB, 4 * GIB, 96 * GIB)
    pool.volumes.create(VOLUME.format("more", GIB))
    assert pool.info() == StoragePoolInfo(StoragePoolState.RUNNING, 100 * GIB, 5 * GIB, 95 * GIB)


def test_a_persistent_pool_lives_from_define_to_undefine(pools: StoragePools) -> None:
    pool = pools.define(POOL.format("mine"))
    assert not pool.is_active()
    assert pool.is_persistent()
    pool.build()
    pool.start()
    assert pool.info().state is StoragePoolState.RUNNING
    assert not pool.autostart()
    pool.set_autostart(True)
    assert pool.autostart()
    pool.refresh()
    pool.destroy()
    assert pool.info().state is StoragePoolState.INACTIVE
    pool.delete()
    pool.undefine()
    assert "mine" not in pools
    with pytest.raises(StoragePoolNotFoundError, match="mine"):
        pool.info()


def test_a_transient_pool_disappears_when_it_stops(pools: StoragePools) -> None:
    pool = pools.create(POOL.format("passing"))
    assert pool.is_active()
    assert not pool.is_persistent()
    with pytest.raises(InvalidArgumentError, match="no config file"):
        pool.set_autostart(True)
    with pytest.raises(OperationInvalidError, match="transient"), pool.edit():
        pass
    pool.destroy()
    assert "passing" not in pools
    with pytest.raises(StoragePoolNotFoundError):
        pool.is_active()


def test_a_transient_pool_becomes_persistent(pools: StoragePools) -> None:
    pool = pools.create(POOL.format("kept"))
    assert pools.define(pool.xml_desc()) == pool
    pool.destroy()
    assert [pool.name for pool in pools.list(List.INACTIVE)] == ["kept"]


@pytest.mark.parametrize("method", ["start", "build", "delete", "undefine"])
def test_an_active_pool_refuses_some_operations(pool: StoragePool, method: str) -> None:
    with pytest.raises(OperationInvalidError, match="pool-1"):
        getattr(pool, method)()
    assert pool.is_active()


@pytest.mark.parametrize(
    "call",
    [
        StoragePool.destroy,
        StoragePool.refresh,
        lambda pool: len(pool.volumes),
        lambda pool: list(pool.volumes),
        lambda pool: pool.volumes.names(),
        lambda pool: pool.volumes["volume-1.raw"],
        lambda pool: pool.volumes.create(VOLUME.format("x", 1)),
    ],
)
def test_an_inactive_pool_refuses_some_operations(pool: StoragePool, call: Callable[[StoragePool], object]) -> None:
    pool.destroy()
    with pytest.raises(OperationInvalidError, match="not active"):
        call(pool)


@pytest.mark.parametrize(
    ("xml", "error", "message"),
    [
        ("nonsense", XMLError, "Start tag expected"),
        ("<volume/>", XMLError, other_root("pool", "volume")),
        ("<pool type='nonsense'><name>x</name></pool>", (XMLError, NotSupportedError), "nonsense"),
        ("<pool type='dir'><name>x</name></pool>", XMLError, "target path"),
        (POOL.format("pool-1"), OperationFailedError, "pool-1"),
        ("<pool>\0</pool>", InvalidArgumentError, "NUL"),
        ("<pool>\ud800</pool>", InvalidArgumentError, "surrogate"),
        (b"<volume/>", XMLError, other_root("pool", "volume")),
        (5, TypeError, "got int"),
    ],
)
@pytest.mark.parametrize("method", ["define", "create"])
def test_invalid_pools_define_nothing(
    pools: StoragePools, method: str, xml: XML, error: type[Exception] | tuple[type[Exception], ...], message: str
) -> None:
    with pytest.raises(error, match=message):
        getattr(pools, method)(xml)
    assert [pool.name for pool in pools] == ["pool-1"]


@pytest.mark.parametrize(
    ("look_up", "error"),
    [
        (lambda pools: pools["a\0b"], InvalidArgumentError),
        (lambda pools: pools["x" * 10_000], StoragePoolNotFoundError),
        (lambda pools: pools[b"pool-1"], TypeError),
        (lambda pools: pools.get(uuid="nonsense"), InvalidArgumentError),
        (lambda pools: pools.volume(path="a\0b"), InvalidArgumentError),
        (lambda pools: pools.volume(key=""), StorageVolumeNotFoundError),
        (lambda pools: pools["pool-1"].volumes["x" * 10_000], StorageVolumeNotFoundError),
        (lambda pools: pools["pool-1"].volumes["volume-1.raw"].clone("a\0b"), InvalidArgumentError),
        (lambda pools: pools["pool-1"].volumes["volume-1.raw"].clone("a\1b"), InvalidArgumentError),
        (lambda pools: pools["pool-1"].volumes["volume-1.raw"].clone("\udcff"), InvalidArgumentError),
        (lambda pools: pools["pool-1"].volumes["volume-1.raw"].resize(-1), OverflowError),
    ],
)
def test_invalid_arguments_are_refused(
    pools: StoragePools, look_up: Callable[[StoragePools], object], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        look_up(pools)
    assert str(caught.value)


# ---- volumes ----


def test_volumes_are_a_collection(pool: StoragePool, volume: StorageVolume) -> None:
    names = [f"volume-{number}.raw" for number in range(1, 5)]
    volumes = pool.volumes
    assert isinstance(volumes, StorageVolumes)
    assert sorted(volume.name for volume in volumes) == names
    assert sorted(volume.name for volume in volumes.list()) == names
    assert sorted(volumes.names()) == names
    assert len(volumes) == 4
    assert "volume-4.raw" in volumes
    assert volume in volumes
    assert "volume-5.raw" not in volumes
    assert volumes.get("volume-1.raw") == volume
    assert volumes.get("volume-5.raw", default=None) is None
    with pytest.raises(StorageVolumeNotFoundError, match=re.escape("volume-5.raw")):
        volumes.get("volume-5.raw")
    assert repr(volumes) == f"<pyvirt.StorageVolumes of {pool!r}>"


def test_a_volume_describes_itself(pool: StoragePool, volume: StorageVolume, conn: Connection) -> None:
    path = "/var/lib/libvirt/pool-1/volume-1.raw"
    assert volume.connection is conn
    assert (volume.name, volume.key, volume.path()) == ("volume-1.raw", path, path)
    assert repr(volume) == f"<pyvirt.StorageVolume 'volume-1.raw' {path!r}>"
    assert volume.info() == StorageVolumeInfo(StorageVolType.FILE, GIB, GIB)
    assert parse(volume.xml_desc()).findtext("target/path") == path
    assert volume.pool() == pool


def test_a_volume_is_found_by_key_or_path(pools: StoragePools, volume: StorageVolume) -> None:
    for found in (pools.volume(key=volume.key), pools.volume(path=volume.path())):
        assert found == volume
        assert hash(found) == hash(volume)
    for wanted in ({"key": "/nobody"}, {"path": "/nobody"}):
        with pytest.raises(StorageVolumeNotFoundError, match="/nobody"):
            pools.volume(**wanted)
        assert pools.volume(**wanted, default=None) is None
    for wrong in ({}, {"key": "k", "path": "p"}):
        with pytest.raises(TypeError, match="exactly one"):
            pools.volume(**wrong)


def test_volumes_are_created_and_deleted(pool: StoragePool) -> None:
    volume = pool.volumes.create(VOLUME.format("new", 12345))
    assert volume.info() == StorageVolumeInfo(StorageVolType.FILE, 12345, 12345)
    volume.delete()
    assert "new" not in pool.volumes
    with pytest.raises(StorageVolumeNotFoundError, match="new"):
        volume.info()


def test_volumes_are_cloned(pools: StoragePools, pool: StoragePool, volume: StorageVolume) -> None:
    copy = volume.clone("copy.raw")
    assert (copy.name, copy.path()) == ("copy.raw", "/var/lib/libvirt/pool-1/copy.raw")
    assert copy.info() == volume.info()
    assert copy != volume
    # The test driver looks for the source in the same pool.
    larger = pool.volumes.create_from(VOLUME.format("larger", 2 * GIB), copy)
    assert larger.info().capacity == 2 * GIB
    assert len(pool.volumes) == 6


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        ("nonsense", XMLError),
        ("<pool/>", XMLError),
        ("<volume/>", XMLError),
        ("<volume><name>x</name></volume>", XMLError),
        ("<volume><name>x</name><capacity unit='stones'>1</capacity></volume>", InvalidArgumentError),
        (VOLUME.format("volume-2.raw", 1), OperationFailedError),  # a daemon raises AlreadyExistsError
        (VOLUME.format("x", 1 << 60), Error),  # an internal error of the test driver
        (VOLUME.format("\0", 1), InvalidArgumentError),
        (None, TypeError),
    ],
)
def test_invalid_volumes_create_nothing(pool: StoragePool, xml: str, error: type[Exception]) -> None:
    source = pool.volumes["volume-1.raw"]
    for make in (pool.volumes.create, lambda xml: pool.volumes.create_from(xml, source)):
        with pytest.raises(error) as caught:
            make(xml)
        assert type(caught.value) is error
    assert len(pool.volumes) == 4


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("virStorageVolWipePattern", StorageVolume.wipe),
        ("virStorageVolResize", lambda volume: volume.resize(2 * GIB)),
        ("virStorageVolGetInfoFlags", lambda volume: volume.info(flags=StorageVolInfoFlags.GET_PHYSICAL)),
        ("virConnectGetStoragePoolCapabilities", lambda volume: StoragePools(volume.connection).capabilities()),
    ],
)
def test_calls_that_the_driver_lacks_raise_unsupported(
    volume: StorageVolume, function: str, call: Callable[[StorageVolume], object]
) -> None:
    with pytest.raises(OperationUnsupportedError, match=function):
        call(volume)


# ---- capabilities ----


def test_capabilities_are_read() -> None:
    xml = """<storagepoolCapabilities>
      <pool type='fs' supported='yes'>
        <poolOptions><defaultFormat type='auto'/>
          <enum name='sourceFormatType'><value>auto</value><value>ext4</value></enum></poolOptions>
        <volOptions><defaultFormat type='raw'/>
          <enum name='targetFormatType'><value>raw</value><value>qcow2</value></enum></volOptions>
      </pool>
      <pool type='zfs' supported='no'/><pool type='newer'/>
    </storagepoolCapabilities>"""
    read = StoragePoolCapabilities.parse(xml)
    assert read.xml == xml
    assert list(read.pools) == ["fs", "zfs", "newer"]
    fs = read.pools["fs"]
    assert fs.supported is True
    assert (fs.default_source_format, fs.source_formats) == ("auto", ("auto", "ext4"))
    assert (fs.default_volume_format, fs.volume_formats) == ("raw", ("raw", "qcow2"))
    zfs = read.pools["zfs"]
    assert zfs.supported is False
    assert (zfs.default_source_format, zfs.source_formats, zfs.volume_formats) == (None, (), ())
    assert read.pools["newer"].supported is None


@pytest.mark.parametrize("xml", ["", "<capabilities/>"])
def test_other_documents_are_refused_as_capabilities(xml: str) -> None:
    with pytest.raises(XMLError):
        StoragePoolCapabilities.parse(xml)


# ---- handles ----


def test_a_read_only_connection_refuses_changes(libvirt_test_uri: str) -> None:
    with pyvirt.connect(libvirt_test_uri, readonly=True) as conn:
        pool = StoragePools(conn)["pool-1"]
        assert len(pool.volumes) == 4
        for call in (pool.destroy, pool.refresh, pool.volumes["volume-1.raw"].delete):
            with pytest.raises(AccessDeniedError):
                call()


def test_closed_handles_raise_closed_error(pools: StoragePools, conn: Connection) -> None:
    pool, other = pools["pool-1"], pools["pool-1"]
    volume = pool.volumes["volume-1.raw"]
    known = pool.name
    other.close()
    assert other.closed
    assert not pool.closed
    conn.close()
    assert pool.name == known
    assert repr(other) == "<pyvirt.StoragePool closed>"
    assert repr(volume) == "<pyvirt.StorageVolume closed>"
    for call in (pool.info, volume.path, pools.list, pool.volumes.list, lambda: len(pool.volumes)):
        with pytest.raises(ClosedError):
            call()


def test_thousands_of_volumes_are_listed(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=0, pools=1, volumes=3000)) as conn:
        volumes = StoragePools(conn)["pool-1"].volumes
        assert len({volume.key for volume in volumes}) == len(volumes) == len(set(volumes.names())) == 3000
