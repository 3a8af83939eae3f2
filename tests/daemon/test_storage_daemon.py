# SPDX-License-Identifier: LGPL-2.1-or-later
"""Storage pools and volumes of a real daemon: directories, and a file system and a volume group on loop devices."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lxml.etree import _Element

import pyvirt
from pyvirt.enums import (
    ConnectListAllStoragePoolsFlags,
    ErrorNumber,
    StoragePoolBuildFlags,
    StoragePoolCreateFlags,
    StoragePoolState,
    StorageVolCreateFlags,
    StorageVolInfoFlags,
    StorageVolResizeFlags,
    StorageVolType,
    StorageVolWipeAlgorithm,
    StorageXMLFlags,
)
from pyvirt.errors import (
    AlreadyExistsError,
    Error,
    InvalidArgumentError,
    NotSupportedError,
    OperationFailedError,
    OperationInvalidError,
    SecretNotFoundError,
    StoragePoolNotFoundError,
    StorageVolumeNotFoundError,
    XMLError,
)
from pyvirt.storage import StoragePool, StoragePools, StorageVolume
from pyvirt.testing._system import require
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.pytest_plugin import DaemonFactory, skip_unless_in_ci
from pyvirt.xmldesc import parse
from tests.support.storage import create_encrypted

MIB = 1 << 20
List, Build, Resize = ConnectListAllStoragePoolsFlags, StoragePoolBuildFlags, StorageVolResizeFlags
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")


def pool_xml(name: str, target: object, type: str = "dir", source: str = "") -> str:
    return f"<pool type='{type}'><name>{name}</name>{source}<target><path>{target}</path></target></pool>"


def volume_xml(name: str, mib: int = 1, format: str = "raw", more: str = "") -> str:
    """A volume that takes no space before it is written to."""
    return (
        f"<volume><name>{name}</name><capacity unit='MiB'>{mib}</capacity><allocation>0</allocation>"
        f"<target><format type='{format}'/></target>{more}</volume>"
    )


def content(volume: StorageVolume) -> tuple[int, bytes]:
    """Return the length of its file, and its content without the zeros at the end."""
    data = Path(volume.path()).read_bytes()
    return len(data), data.rstrip(b"\0")


@pytest.fixture
def pools(private_daemon: PrivateDaemon) -> Iterator[StoragePools]:
    with pyvirt.connect(private_daemon.uri("storage")) as conn:
        pools = StoragePools(conn)
        assert list(pools) == []
        yield pools
        for pool in pools:
            if pool.is_active():
                pool.destroy()
        for pool in pools:
            pool.undefine()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
def pool(pools: StoragePools, directory: Path) -> StoragePool:
    """A transient pool of an empty directory."""
    return pools.create(pool_xml("images", directory), flags=StoragePoolCreateFlags.WITH_BUILD)


@pytest.fixture
def volume(pool: StoragePool, directory: Path) -> StorageVolume:
    """1 MiB that begins with ``hello``."""
    volume = pool.volumes.create(volume_xml("disk.raw"))
    with open(volume.path(), "r+b") as file:
        file.write(b"hello")
    return volume


# ---- pools of directories ----


def test_capabilities_list_the_pool_types(pools: StoragePools) -> None:
    capabilities = pools.capabilities()
    assert {"dir", "fs", "logical", "disk", "rbd", "zfs"} <= capabilities.pools.keys()
    directories = capabilities.pools["dir"]
    assert directories.supported
    assert directories.default_volume_format == "raw"
    assert {"raw", "qcow2", "vmdk"} <= set(directories.volume_formats)
    file_systems = capabilities.pools["fs"]
    assert file_systems.default_source_format == "auto"
    assert {"ext4", "xfs"} <= set(file_systems.source_formats)
    assert {pool.get("type") for pool in parse(capabilities.xml)} == capabilities.pools.keys()


def test_a_directory_pool_is_built_started_and_deleted(pools: StoragePools, directory: Path) -> None:
    pool = pools.define(pool_xml("images", directory))
    with pytest.raises(Error, match="No such file or directory") as caught:
        pool.start()
    assert caught.value.code == ErrorNumber.SYSTEM_ERROR
    assert pool.info().state is StoragePoolState.INACTIVE
    with pytest.raises(OperationInvalidError, match="source device"):
        pool.build(flags=Build.NO_OVERWRITE)  # a directory has nothing to overwrite
    pool.build()
    assert directory.is_dir()
    pool.start()
    assert pools.get(target_path=str(directory)) == pool
    assert pools.list(List.PERSISTENT | List.ACTIVE | List.DIR) == [pool]
    assert parse(pool.xml_desc(flags=StorageXMLFlags.INACTIVE)).findtext("target/path") == str(directory)

    info, disk = pool.info(), os.statvfs(directory)
    assert info.state is StoragePoolState.RUNNING
    assert info.capacity == disk.f_blocks * disk.f_frsize
    assert info.allocation + info.available == info.capacity

    pool.volumes.create(volume_xml("left.raw"))
    pool.destroy()
    assert (directory / "left.raw").exists()
    with pytest.raises(Error, match="not empty"):
        pool.delete()
    (directory / "left.raw").unlink()
    pool.delete()
    assert not directory.exists()
    pool.undefine()
    assert list(pools) == []


def test_lookup_by_an_unknown_target_path_raises_not_found(
    pools: StoragePools, pool: StoragePool, directory: Path
) -> None:
    with pytest.raises(StoragePoolNotFoundError, match="elsewhere"):
        pools.get(target_path=f"{directory}/elsewhere")
    assert pools.get(target_path="/nowhere", default=None) is None


def test_a_transient_pool_that_fails_to_start_is_not_listed(pools: StoragePools, tmp_path: Path) -> None:
    with pytest.raises(Error, match="No such file or directory"):
        pools.create(pool_xml("images", tmp_path / "nowhere"))
    assert list(pools) == []


def test_a_directory_belongs_to_one_pool(pools: StoragePools, pool: StoragePool, directory: Path) -> None:
    for make in (pools.create, pools.define):
        with pytest.raises(OperationFailedError, match="images"):
            make(pool_xml("thief", directory))
    assert list(pools) == [pool]


def test_a_transient_pool_becomes_persistent_and_back(pools: StoragePools, pool: StoragePool) -> None:
    assert (pool.is_active(), pool.is_persistent()) == (True, False)
    pools.define(pool.xml_desc())
    assert pool.is_persistent()
    pool.destroy()
    assert (pool.is_active(), pool.is_persistent()) == (False, True)
    pool.start()
    with pytest.raises(OperationInvalidError, match="active"):
        pool.undefine()


def test_edit_changes_the_stored_configuration(pools: StoragePools, pool: StoragePool, tmp_path: Path) -> None:
    pools.define(pool.xml_desc())
    pool.destroy()
    with pool.edit() as root:
        for path in root.iterfind("target/path"):
            path.text = str(tmp_path)
    pool.start()
    assert pools.get(target_path=str(tmp_path)) == pool

    def spoil(root: _Element) -> None:
        root.clear()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), pool.edit() as root:
        spoil(root)
    with pytest.raises(XMLError), pool.edit() as root:
        root.clear()
    assert parse(pool.xml_desc(flags=StorageXMLFlags.INACTIVE)).findtext("target/path") == str(tmp_path)


def test_autostart_pools_run_after_a_boot(
    private_daemon_factory: DaemonFactory, directory: Path, tmp_path: Path
) -> None:
    directory.mkdir()
    daemon = private_daemon_factory(tmp_path / "daemon")
    with pyvirt.connect(daemon.uri("storage")) as conn:
        pool = StoragePools(conn).define(pool_xml("images", directory))
        assert not pool.autostart()
        pool.set_autostart(True)
        assert pool.autostart()
        assert not pool.is_active()
    daemon.stop()
    daemon.start()
    with pyvirt.connect(daemon.uri("storage")) as conn:
        pool = StoragePools(conn)["images"]
        assert pool.is_active()
        assert StoragePools(conn).list(List.AUTOSTART) == [pool]
        pool.set_autostart(False)
        assert StoragePools(conn).list(List.AUTOSTART) == []


# ---- volumes ----


def test_a_volume_is_a_file(pools: StoragePools, pool: StoragePool, volume: StorageVolume, directory: Path) -> None:
    path = str(directory / "disk.raw")
    assert (volume.name, volume.key, volume.path()) == ("disk.raw", path, path)
    assert pools.volume(path=path) == pools.volume(key=path) == pool.volumes["disk.raw"] == volume
    assert volume.pool() == pool
    with pytest.raises(StorageVolumeNotFoundError, match="nowhere"):
        pools.volume(path=f"{directory}/nowhere")
    info, stat = volume.info(), os.stat(path)
    assert (info.type, info.capacity, info.allocation) == (StorageVolType.FILE, MIB, stat.st_blocks * 512)
    assert volume.info(flags=StorageVolInfoFlags.GET_PHYSICAL).allocation == stat.st_size
    volume.delete()
    assert list(pool.volumes) == []
    assert not os.path.exists(path)


def test_volumes_have_the_requested_format(pool: StoragePool) -> None:
    base = pool.volumes.create(volume_xml("base.qcow2", 8, "qcow2"))
    info = base.info()
    assert info.capacity == 8 * MIB
    assert info.allocation < MIB
    backing = f"<backingStore><path>{base.path()}</path><format type='qcow2'/></backingStore>"
    overlay = pool.volumes.create(volume_xml("overlay.qcow2", 8, "qcow2", backing))
    root = parse(overlay.xml_desc())
    assert root.findtext("backingStore/path") == base.path()
    assert [element.get("type") for element in root.iterfind("target/format")] == ["qcow2"]


def test_refresh_finds_files_that_others_changed(pool: StoragePool, directory: Path) -> None:
    foreign = directory / "foreign.raw"
    foreign.write_bytes(bytes(5000))
    assert "foreign.raw" not in pool.volumes
    pool.refresh()
    volume = pool.volumes["foreign.raw"]
    assert volume.info().capacity == 5000
    foreign.unlink()
    assert "foreign.raw" in pool.volumes
    with pytest.raises(StorageVolumeNotFoundError, match=r"foreign\.raw"):
        volume.info()
    pool.refresh()
    assert len(pool.volumes) == 0


def test_volume_names_may_contain_any_bytes(pools: StoragePools, pool: StoragePool, directory: Path) -> None:
    (directory / "Zürich").touch()
    (directory / os.fsdecode(b"\xff\xfe")).touch()
    pool.refresh()
    assert {volume.name for volume in pool.volumes} == {"Zürich", os.fsdecode(b"\xff\xfe")} == set(pool.volumes.names())
    strange = pool.volumes[os.fsdecode(b"\xff\xfe")]
    assert os.fsencode(strange.path()) == os.fsencode(directory) + b"/\xff\xfe"
    assert pools.volume(path=strange.path()) == strange
    strange.delete()
    assert os.listdir(directory) == ["Zürich"]


def test_resize_changes_the_capacity_and_keeps_the_content(volume: StorageVolume, directory: Path) -> None:
    path = directory / "disk.raw"
    volume.resize(4 * MIB)
    assert volume.info().capacity == path.stat().st_size == 4 * MIB
    volume.resize(MIB, flags=Resize.DELTA)
    assert volume.info().capacity == 5 * MIB
    with pytest.raises(InvalidArgumentError, match="shrink"):
        volume.resize(2 * MIB)
    volume.resize(2 * MIB, flags=Resize.SHRINK)
    volume.resize(MIB, flags=Resize.SHRINK | Resize.DELTA)
    assert path.stat().st_size == MIB
    volume.resize(2 * MIB, flags=Resize.ALLOCATE)
    assert volume.info().allocation >= 2 * MIB
    with pytest.raises(Error, match=r"disk\.raw"):
        volume.resize((1 << 64) - 1)
    assert content(volume) == (2 * MIB, b"hello")


def test_clones_have_the_content_of_the_original(
    pools: StoragePools, pool: StoragePool, volume: StorageVolume, tmp_path: Path
) -> None:
    copy = volume.clone("copy.raw")
    assert content(copy) == (MIB, b"hello")
    assert copy.pool() == pool
    larger = pool.volumes.create_from(volume_xml("larger.raw", 3), volume)
    assert content(larger) == (3 * MIB, b"hello")

    other = pools.create(pool_xml("other", tmp_path / "other"), flags=StoragePoolCreateFlags.WITH_BUILD)
    converted = other.volumes.create_from(volume_xml("copy.qcow2", 3, "qcow2"), volume)
    assert content(converted)[1].startswith(b"QFI\xfb")
    assert converted.info().capacity == MIB  # qemu-img converted it, with the size of the original
    twin = converted.clone("twin.qcow2")
    assert twin.pool() == other
    back = pool.volumes.create_from(volume_xml("back.raw"), twin)
    assert content(back) == (MIB, b"hello")


def test_wipe_overwrites_the_content(volume: StorageVolume) -> None:
    with pytest.raises(NotSupportedError, match="trim"):
        volume.wipe(StorageVolWipeAlgorithm.TRIM)
    with pytest.raises(InvalidArgumentError, match="4711"):
        volume.wipe(StorageVolWipeAlgorithm(4711))
    assert content(volume) == (MIB, b"hello")
    volume.wipe()
    assert content(volume) == (MIB, b"")


def test_wipe_accepts_an_algorithm(volume: StorageVolume) -> None:
    with skip_unless_in_ci():
        require("scrub")
    volume.wipe(StorageVolWipeAlgorithm.RANDOM)
    wiped = Path(volume.path()).read_bytes()
    assert len(wiped) == MIB
    assert wiped.count(0) < MIB // 64  # of random bytes, every 256th


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda volume: volume.pool().volumes.create(volume_xml("disk.raw")), AlreadyExistsError, "disk.raw"),
        (lambda volume: volume.clone("disk.raw"), Error, "disk.raw"),  # an internal error, to libvirt
        (lambda volume: volume.pool().volumes.create(volume_xml("../x")), OperationInvalidError, "'/'"),
        (lambda volume: volume.pool().volumes.create(volume_xml("x", 1 << 50)), Error, "large|space"),
        (lambda volume: volume.pool().volumes.create(volume_xml("x", 1, "cow")), Error, "qemu-img"),
        (
            lambda volume: volume.pool().volumes.create(
                volume_xml("x", 1, "qcow2", "<backingStore><path>/nowhere</path><format type='raw'/></backingStore>")
            ),
            Error,
            "/nowhere",
        ),
        (
            lambda volume: volume.clone("x", flags=StorageVolCreateFlags.REFLINK | StorageVolCreateFlags(1 << 20)),
            InvalidArgumentError,
            "flags",
        ),
    ],
    ids=["exists", "clone-exists", "slash", "large", "format", "backing", "flags"],
)
def test_a_failed_creation_leaves_no_file(
    volume: StorageVolume,
    directory: Path,
    make: Callable[[StorageVolume], object],
    error: type[Error],
    message: str,
) -> None:
    with pytest.raises(error, match=message) as caught:
        make(volume)
    assert type(caught.value) is error
    assert list(volume.pool().volumes) == [volume]
    assert os.listdir(directory) == ["disk.raw"]


def test_an_encrypted_volume_is_created_with_its_secret(
    pool: StoragePool, private_daemon: PrivateDaemon, directory: Path
) -> None:
    """Only one test: LUKS measures the speed of the machine for seconds."""

    def virsh(*command: str, input: str | None = None) -> None:
        private_daemon.run_inside(["virsh", "-c", private_daemon.uri("secret"), *command], input=input)

    uuid = "7a1c3a64-1a52-4f0c-9a3a-6f8d5f0a7f11"
    encryption = "<encryption format='luks'><secret type='passphrase' uuid='{}'/></encryption>"
    xml = volume_xml("secret.raw", 4).replace("</target>", f"{encryption}</target>")
    with pytest.raises(SecretNotFoundError, match=uuid):
        pool.volumes.create(xml.format(uuid))
    assert os.listdir(directory) == []

    definition = f"<secret ephemeral='yes' private='yes'><uuid>{uuid}</uuid></secret>"
    virsh("secret-define", "/dev/stdin", input=definition)
    try:
        virsh("secret-set-value", uuid, base64.b64encode(b"open sesame").decode())
        volume = create_encrypted(pool, xml.format(uuid))
    finally:
        virsh("secret-undefine", uuid)
    assert (directory / "secret.raw").read_bytes().startswith(b"LUKS\xba\xbe")
    assert volume.info().capacity == 4 * MIB
    pool.refresh()
    found = parse(pool.volumes["secret.raw"].xml_desc()).find("target/encryption")
    assert found is not None
    assert found.get("format") == "luks"


# ---- pools on devices ----


def losetup(*options: object) -> str:
    command = [*require("losetup"), *map(str, options)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[str]:
    """A block device of 64 MiB that is empty."""
    file = tmp_path / "device"
    with open(file, "wb") as device:
        device.truncate(64 * MIB)
    name = losetup("--find", "--show", file)
    yield name
    losetup("--detach", name)
    assert losetup("--associated", file) == ""


@pytest.fixture
def device_daemon(loop_device: str, tmp_path: Path, private_daemon_factory: DaemonFactory) -> Iterator[PrivateDaemon]:
    """A daemon with *loop_device* and its own LVM settings."""
    lvm = tmp_path / "lvm"
    lvm.mkdir()
    # No device-mapper: it belongs to the machine, and not every kernel has it.
    settings = f'global {{ activation = 0 }}\ndevices {{ filter = ["a|^{loop_device}$|", "r|.*|"] }}\n'
    (lvm / "lvm.conf").write_text(settings)
    daemon = private_daemon_factory(devices=[Path(loop_device).name], env={"LVM_SYSTEM_DIR": str(lvm)})
    yield daemon
    daemon.stop()  # before its device is removed


@needs_root
def test_a_file_system_pool_formats_and_mounts_its_device(
    device_daemon: PrivateDaemon, loop_device: str, tmp_path: Path
) -> None:
    with skip_unless_in_ci():
        require("mkfs.ext4")
    target = tmp_path / "mounted"
    source = f"<source><device path='{loop_device}'/><format type='ext4'/></source>"
    with pyvirt.connect(device_daemon.uri("storage")) as conn:
        pools = StoragePools(conn)
        pool = pools.define(pool_xml("disk", target, "fs", source))
        with pytest.raises(OperationFailedError, match="disk"):
            pools.define(pool_xml("thief", target, "fs", source))
        pool.build(flags=Build.NO_OVERWRITE)
        with pytest.raises(AlreadyExistsError, match="ext4") as caught:
            pool.build(flags=Build.NO_OVERWRITE)
        assert caught.value.code == ErrorNumber.STORAGE_POOL_BUILT
        with pytest.raises(InvalidArgumentError, match="mutually exclusive"):
            pool.build(flags=Build.NO_OVERWRITE | Build.OVERWRITE)
        pool.start()
        assert pools.list(List.FS) == [pool]
        assert 32 * MIB < pool.info().capacity < 64 * MIB
        assert os.path.ismount(device_daemon.path(target))
        assert not os.path.ismount(target)

        pool.volumes.create(volume_xml("disk.raw", 4))
        with pytest.raises(Error, match="No space left") as full:
            pool.volumes.create("<volume><name>x</name><capacity unit='MiB'>400</capacity></volume>")
        assert full.value.code == ErrorNumber.SYSTEM_ERROR
        pool.destroy()
        assert not os.path.ismount(device_daemon.path(target))
        pool.start()
        kinds = {volume.name: volume.info().type for volume in pool.volumes}
        assert kinds == {"disk.raw": StorageVolType.FILE, "lost+found": StorageVolType.DIR}

        pool.destroy()
        pool.build(flags=Build.OVERWRITE)
        pool.start()
        assert [volume.name for volume in pool.volumes] == ["lost+found"]
        pool.destroy()


@needs_root
def test_a_volume_group_pool_is_built_and_found(device_daemon: PrivateDaemon, loop_device: str) -> None:
    with skip_unless_in_ci():
        require("vgcreate")
    source = f"<source><device path='{loop_device}'/><name>pyvirt_test</name></source>"
    with pyvirt.connect(device_daemon.uri("storage")) as conn:
        pools = StoragePools(conn)
        assert parse(pools.find_sources("logical")).find("source") is None
        pool = pools.define(pool_xml("group", "/dev/pyvirt_test", "logical", source))
        with pytest.raises(NotSupportedError, match="pyvirt_test"):
            pool.start()
        pool.build()
        with pytest.raises(AlreadyExistsError, match="LVM2"):
            pool.build(flags=Build.NO_OVERWRITE)
        found = parse(pools.find_sources("logical")).find("source")
        assert found is not None
        assert [device.get("path") for device in found.iterfind("device")] == [loop_device]
        assert found.findtext("name") == "pyvirt_test"

        pool.start()
        assert pools.list(List.LOGICAL) == [pool]
        info = pool.info()
        assert info.capacity == info.available > 48 * MIB
        # Without device-mapper the device is missing, and libvirt removes the volume again.
        with pytest.raises(StorageVolumeNotFoundError, match="/dev/pyvirt_test/first"):
            pool.volumes.create("<volume><name>first</name><capacity unit='MiB'>4</capacity></volume>")
        pool.refresh()
        assert list(pool.volumes) == []
        assert pool.info() == info
        pool.destroy()
        pool.delete()
        assert parse(pools.find_sources("logical")).find("source") is None
        pool.undefine()
        assert list(pools) == []
