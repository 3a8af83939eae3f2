# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents from the builders, passed to libvirt's real drivers: QEMU, LXC, networks, storage, secrets and filters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from lxml import etree

import pyvirt
from pyvirt import xmldesc as x
from pyvirt.enums import DomainCreateFlags, DomainUndefineFlags, StoragePoolCreateFlags
from pyvirt.errors import Error, NotSupportedError, OperationFailedError
from pyvirt.testing._system import TestbedUnavailable
from pyvirt.testing.daemon import Isolation, PrivateDaemon
from pyvirt.testing.pytest_plugin import DaemonFactory, skip_unless_in_ci
from pyvirt.xmldesc import parse, serialize, validate
from tests.support.storage import create_encrypted

MIB = 1 << 20
NAME = "xmldesc"  # of every object made here: all tests of the session share the daemon


@pytest.fixture
def conn(qemu_daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(qemu_daemon.uri("qemu")) as connection:
        yield connection


@pytest.fixture
def system_daemon(private_daemon: PrivateDaemon) -> PrivateDaemon:
    """The session's daemon where it has networks and filters."""
    with skip_unless_in_ci():
        if private_daemon.isolation is Isolation.SESSION:
            raise TestbedUnavailable("a session daemon has neither bridges nor filters")
    return private_daemon


@contextlib.contextmanager
def destroyed(object: pyvirt.Domain | pyvirt.Network | pyvirt.StoragePool) -> Iterator[None]:
    try:
        yield
    finally:
        object.destroy()


@contextlib.contextmanager
def undefined(undefine: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    finally:
        undefine()


def test_qemu_accepts_a_domain_with_every_device(conn: pyvirt.Connection) -> None:
    root = x.domain(
        NAME,
        memory=512 * MIB,
        current_memory=256 * MIB,
        vcpus=4,
        current_vcpus=2,
        type="qemu",
        arch="x86_64",
        machine="q35",
        title="one of each",
        description="größer & <größer>",
        metadata=x.parse("<a xmlns='urn:example:a'><b/></a>"),
        cpu="qemu64",
        topology=(1, 2, 2),
        iothreads=1,
        disks=[
            x.disk("vda", file="/images/a.qcow2", cache="none", io="native", discard="unmap", iothread=1, boot=1),
            x.disk("vdb", block="/dev/loop0", serial="A 1", shareable=True),
            x.disk("vdc", volume=("pool", "c.img"), io_tune={"read_bytes_sec": MIB, "write_iops_sec": 100}),
            x.disk("vdd", network=x.network_source("nbd", hosts=[("::1", 10809)])),
            x.disk("vde", network=x.network_source("rbd", "p/i", hosts=["a"], user="u", secret="usage")),
            x.disk("vdf", network=x.network_source("nbd", "export", socket="/run/nbd")),
            x.disk("vdg", file="/images/e.img", encryption="some usage", detect_zeroes="unmap"),
            x.disk("sda", device="cdrom", boot=3),
            x.disk("sdb", file="/images/b.img", bus="scsi", queues=None),
            x.disk("sdc", device="lun", block="/dev/sdx", bus="scsi"),
            x.disk("sdd", file="/images/u.img", bus="usb"),
        ],
        interfaces=[
            x.interface(network="default", portgroup="p", mac="52:54:00:12:34:56", mtu=9000, link=False, boot=2),
            x.interface(bridge="br0", target="tap7", model="e1000e", inbound=MIB, outbound=2 * MIB),
            x.interface(direct="eth0", mode="private", queues=4),
            x.interface(network="n", filter="clean-traffic", filter_parameters={"IP": ["10.0.0.1", "10.0.0.2"]}),
            x.interface(user=True),
        ],
        agent=True,
        graphics=x.graphics(password="12345678"),
        video=x.video("virtio", heads=2),
        rng=x.rng(rate=1024),
        tpm=x.tpm(device="/dev/tpm0"),  # defining an emulated one needs swtpm
        memballoon=x.memballoon(stats_period=5),
        devices=[
            x.controller("scsi", model="virtio-scsi"),
            x.serial("file", path="/tmp/s.log", append=True),
            x.serial("unix", path="/tmp/s.sock"),
            x.serial("tcp", tcp=("127.0.0.1", 4555)),
            x.channel("org.example.a"),
            x.graphics("vnc", socket="/tmp/vnc"),
            x.filesystem("/srv", "srv", readonly=True),
        ],
    )
    validate(root)
    domain = conn.domains.define(root)
    with undefined(domain.undefine):
        stored = parse(domain.xml_desc())
        validate(stored)
        for kind in ("disk", "interface", "filesystem", "channel", "graphics", "tpm", "rng", "video", "memballoon"):
            assert len(stored.findall(f"devices/{kind}")) == len(root.findall(f"devices/{kind}")), kind
        assert stored.findtext("description") == root.findtext("description")
        assert (domain.info().max_memory, domain.info().vcpus) == (512 * MIB, 2)
        assert [one.get("order") for one in stored.iterfind("devices/*/boot")] == ["1", "3", "2"]
        driver = stored.find("devices/disk[1]/driver")
        assert driver is not None
        assert [driver.get(one) for one in ("type", "cache", "io", "iothread")] == ["qcow2", "none", "native", "1"]


@pytest.mark.parametrize("secure_boot", [None, True, False])
def test_uefi_domains_get_a_matching_loader(conn: pyvirt.Connection, secure_boot: bool | None) -> None:
    root = x.domain(NAME, memory=64 * MIB, type="qemu", machine="q35", firmware="efi", secure_boot=secure_boot)
    validate(root)
    installed = parse(conn.host.domain_capabilities().xml).findall("os/loader/value")
    with contextlib.ExitStack() as stack:
        if not installed:  # libvirt 9.0 looks for a firmware when the domain starts, later releases when it is defined
            stack.enter_context(pytest.raises((OperationFailedError, NotSupportedError), match="firmware"))
        domain = conn.domains.define(root)
        stack.enter_context(undefined(lambda: domain.undefine(flags=DomainUndefineFlags.NVRAM)))
        stored = parse(domain.xml_desc())
        validate(stored)
        assert [one.get("firmware") for one in stored.iterfind("os")] == ["efi"]
        features = {one.get("name"): one.get("enabled") for one in stored.iterfind("os/firmware/feature")}
        wanted = None if secure_boot is None else "yes" if secure_boot else "no"
        assert features.get("secure-boot") == wanted
        if not installed:
            domain.start(flags=DomainCreateFlags.PAUSED)


def test_qemu_accepts_snapshots_checkpoints_and_backups(conn: pyvirt.Connection) -> None:
    directory = "/var/lib/libvirt/images/xmldesc"
    pool = conn.storage_pools.define(x.pool(NAME, target=directory, mode=0o711))
    with undefined(pool.undefine):
        pool.build()
        pool.start()
        with destroyed(pool):
            base = pool.volumes.create(x.volume("base.img", MIB))
            disk = pool.volumes.create(
                x.volume("disk.qcow2", MIB, backing=base.path(), backing_format="raw", mode=0o600)
            )
            assert parse(disk.xml_desc()).findtext("backingStore/path") == base.path()
            for volume in (base, disk):
                validate(volume.xml_desc())
            domain = conn.domains.create(
                x.domain(
                    NAME,
                    memory=16 * MIB,
                    type="qemu",
                    memballoon=False,
                    disks=x.disk("vda", file=disk.path(), format="qcow2"),
                    devices=x.controller("usb", model="none"),
                    rng=True,
                    agent=True,
                    graphics=x.graphics(),
                ),
                flags=DomainCreateFlags.PAUSED,
            )
            with destroyed(domain):
                validate(domain.xml_desc())
                inner = domain.snapshots.create(x.snapshot("inner", description="before & after"))
                validate(inner.xml_desc())
                inner.delete()
                checkpoint = domain.checkpoints.create(x.checkpoint("first", disks=["vda"]))
                validate(checkpoint.xml_desc())
                for backup in (
                    x.push_backup({"vda": f"{directory}/full"}),
                    x.push_backup({"vda": f"{directory}/increment"}, incremental="first"),
                ):
                    validate(backup)
                    domain.backup.begin(backup)
                    domain.job.wait(timeout=60)
                backup = x.pull_backup({"vda": f"{directory}/scratch"}, socket=f"{directory}/nbd", incremental="first")
                validate(backup)
                domain.backup.begin(backup)
                assert parse(domain.backup.xml_desc()).findtext("incremental") == "first"
                domain.job.abort()
                domain.job.wait(timeout=60)
                checkpoint.delete()
                outer = x.snapshot(
                    "outer",
                    memory=f"{directory}/memory",
                    disks=[x.snapshot_disk("vda", file=f"{directory}/overlay.qcow2", format="qcow2")],
                )
                validate(domain.snapshots.create(outer).xml_desc())


def test_lxc_accepts_a_container(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory(cgroups=True)
    with pyvirt.connect(daemon.uri("lxc")) as conn:
        root = x.domain(
            NAME, memory=64 * MIB, type="lxc", init="/bin/sleep", arguments=["infinity"], interfaces=[], vcpus=1
        )
        domain = conn.domains.create(root)
        with destroyed(domain):
            validate(domain.xml_desc())
            assert domain.is_active()


def test_the_network_driver_accepts_a_network_with_every_element(system_daemon: PrivateDaemon) -> None:
    root = x.network(
        NAME,
        forward="nat",
        bridge="pvxmlbr",
        domain="xml.example",
        domain_local=True,
        dns_forwarders=["192.0.2.1"],
        dns_hosts={"10.72.0.3": ["three", "drei"]},
        dns_txt={"note": "some text"},
        ips=[
            x.network_ip(
                "10.72.0.1/24",
                dhcp=("10.72.0.10", "10.72.0.99"),
                hosts=[x.dhcp_host("10.72.0.5", mac="52:54:00:72:00:05", name="five")],
            ),
            x.network_ip("fd00:72::1/64", dhcp=("fd00:72::10", "fd00:72::ff")),
        ],
        portgroups=[x.portgroup("slow", default=True, inbound=1_000_000)],
        mtu=1400,
    )
    validate(root)
    with pyvirt.connect(system_daemon.uri("network")) as conn:
        network = conn.networks.define(root)
        with undefined(network.undefine):
            network.start()
            with destroyed(network):
                assert network.is_active()
                assert network.bridge_name() == "pvxmlbr"
                stored = parse(network.xml_desc())
                validate(stored)
                for kind in ("ip", "ip/dhcp/range", "ip/dhcp/host", "portgroup", "dns/host/hostname", "dns/txt"):
                    assert len(stored.findall(kind)) == len(root.findall(kind)), kind


@pytest.mark.parametrize(
    "root",
    [
        x.network(NAME),
        x.network(NAME, forward="route", ips=x.network_ip("10.73.0.1/24"), dns=False),
        x.network(NAME, forward="open", ips=x.network_ip("10.73.0.1/24", tftp="/tmp", bootp="pxelinux.0")),
    ],
    ids=["isolated", "route", "open"],
)
def test_networks_of_every_forward_mode_start(system_daemon: PrivateDaemon, root: etree._Element) -> None:
    with pyvirt.connect(system_daemon.uri("network")) as conn:
        network = conn.networks.create(serialize(root).encode())
        with destroyed(network):
            assert network.is_active()
            validate(network.xml_desc())


@pytest.mark.parametrize("forward", ["bridge", "private", "vepa", "passthrough"])
def test_networks_on_host_devices_are_defined(system_daemon: PrivateDaemon, forward: str) -> None:
    bridge, device = ("br0", None) if forward == "bridge" else (None, "lo")
    root = x.network(NAME, forward=forward, bridge=bridge, forward_device=device)
    with pyvirt.connect(system_daemon.uri("network")) as conn:
        network = conn.networks.define(root)
        with undefined(network.undefine):
            text = network.xml_desc()
            validate(text)
            found = parse(text).find("forward")
            assert found is not None
            assert found.get("mode") == forward


def test_the_storage_driver_accepts_every_type_of_pool(private_daemon: PrivateDaemon) -> None:
    target = "/var/lib/libvirt/xmldesc"
    roots = [
        x.pool(NAME, "fs", target=target, devices=["/dev/vdb1"], format="ext4", mode=0o700, owner=0, group=0),
        x.pool(NAME, "netfs", target=target, hosts=["nas"], directory="/export", format="nfs"),
        x.pool(NAME, "logical", source="vg", target="/dev/vg"),
        x.pool(NAME, "logical", source="vg"),
        x.pool(NAME, "disk", target="/dev", devices=["/dev/vdb"], format="gpt"),
    ]
    with pyvirt.connect(private_daemon.uri("storage")) as conn:
        for root in roots:
            pool = conn.storage_pools.define(root)
            with undefined(pool.undefine):
                validate(pool.xml_desc())
                assert parse(pool.xml_desc()).get("type") == root.get("type")


def test_secrets_of_every_kind_and_an_encrypted_volume_are_accepted(private_daemon: PrivateDaemon) -> None:
    with (
        pyvirt.connect(private_daemon.uri("qemu")) as conn,
        contextlib.ExitStack() as stack,
    ):
        for usage in ("ceph", "iscsi", "tls", "vtpm"):
            secret = conn.secrets.define(x.secret(usage, f"{NAME} {usage}", description="a & b"))
            stack.enter_context(undefined(secret.undefine))
            validate(secret.xml_desc())
        secret = conn.secrets.define(x.secret("volume", f"/{NAME}", ephemeral=True))
        stack.enter_context(undefined(secret.undefine))
        secret.set_value(b"passphrase")
        with pytest.raises(Error, match="private"):
            secret.value()
        pool = conn.storage_pools.create(
            x.pool(NAME, target="/var/lib/libvirt/xmldesc"), flags=StoragePoolCreateFlags.WITH_BUILD
        )
        stack.enter_context(destroyed(pool))
        volume = create_encrypted(pool, x.volume("secret.img", MIB, encryption=secret.uuid))
        assert [one.get("format") for one in parse(volume.xml_desc()).iterfind("target/encryption")] == ["luks"]
        validate(volume.xml_desc())


def test_the_filter_driver_accepts_a_filter_with_rules(system_daemon: PrivateDaemon) -> None:
    with pyvirt.connect(system_daemon.uri("nwfilter")) as conn:
        inner = conn.nwfilters.define(x.nwfilter(f"{NAME}-inner", chain="arp"))
        with undefined(inner.undefine):
            root = x.nwfilter(
                NAME,
                [
                    x.rule("accept", "in", "tcp", dstportstart=22, connlimit_above=3, state="NEW", comment="a & b"),
                    x.rule("accept", "out", "udp-ipv6", priority=10, statematch=False, srcipaddr="fd00::1"),
                    x.rule("drop", "in", "mac", match=False, protocolid="arp"),
                    x.rule("return", "inout", "icmp", type=8, code=0),
                    x.filterref(f"{NAME}-inner", {"IP": ["10.0.0.1", "10.0.0.2"]}),
                    x.rule("reject", "inout"),
                ],
                priority=-700,
            )
            outer = conn.nwfilters.define(root)
            with undefined(outer.undefine):
                stored = parse(outer.xml_desc())
                validate(stored)
                assert [one.tag for one in stored.iterfind("rule/*")] == [one.tag for one in root.iterfind("rule/*")]
