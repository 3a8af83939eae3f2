# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents of every kind that the builders of :mod:`pyvirt.xmldesc` make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from lxml import etree

from pyvirt import xmldesc as x

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

SECRET = UUID("5a4b2a31-7d0c-4b0e-8e55-0d9f6a1f7a01")
ID = UUID("0f5f9a5e-5e63-4f7a-9d0e-5d3d5f1a2b3c")
IQN = "iqn.2026-01.org.example:disks"
MAC = "52:54:00:12:34:56"
OWN = x.parse("<a xmlns='urn:example:a'><b c='d'/></a>")
GIB = 1 << 30


# The libvirt whose schemas first describe these documents.
SCHEMAS_SINCE = {
    "domain: uefi": "7.2",  # features of the firmware
    "domain: no secure boot": "7.2",
    "volume: thin": "7.4",  # the size of clusters
    "other: external": "8.2",  # manual snapshots of disks
}


def matching(names: Iterable[str]) -> list[ParameterSet]:
    """Return *names* of everything() as parameters of a test that validates them."""
    return [
        pytest.param(name, marks=pytest.mark.libvirt(SCHEMAS_SINCE.get(name, "6.0"), "has it in its schemas"))
        for name in names
    ]


def domains() -> dict[str, etree._Element]:
    """Return domains by their special feature."""
    return {
        "small": x.domain("a", memory=GIB),
        "container": x.domain(
            "c", memory=64 << 20, type="lxc", init="/bin/sh", arguments=["-c", "x"], devices=x.filesystem("/", "/")
        ),
        "described": x.domain(
            "größer & <客户>",
            memory=2 * GIB,
            current_memory=GIB,
            type="qemu",
            arch="x86_64",
            machine="pc-i440fx-7.2",
            uuid=ID,
            title="a title",
            description="two\nlines & <more>",
            metadata=[OWN],
        ),
        "booting": x.domain("b", memory=GIB, boot=["network", "hd"], kernel="/k", initrd="/i", cmdline="console=ttyS0"),
        "uefi": x.domain("u", memory=GIB, firmware="efi", secure_boot=True, tpm=True, memballoon=False),
        "no secure boot": x.domain("u", memory=GIB, arch="aarch64", firmware="efi", secure_boot=False),
        "processors": x.domain(
            "p", memory=GIB, vcpus=8, current_vcpus=2, topology=(2, 2, 2), cpu="host-model", iothreads=2
        ),
        "model": x.domain("m", memory=GIB, cpu="qemu64", clock="localtime", emulator="/usr/bin/qemu-system-x86_64"),
        "own cpu": x.domain("m", memory=GIB, cpu=x.parse("<cpu mode='host-passthrough' check='none'/>")),
        "disks": x.domain(
            "d",
            memory=GIB,
            disks=[
                x.disk("vda", file="/images/ü b.qcow2", cache="none", io="native", discard="unmap", boot=1),
                x.disk("vdb", block="/dev/vg/lv", serial="A 1", iothread=1, queues=2, shareable=True),
                x.disk("vdc", volume=("default", "c.qcow2"), encryption=SECRET, detect_zeroes="unmap"),
                x.disk("vdd", network=x.network_source("nbd", hosts=[("::1", 10809)], tls=True)),
                x.disk("vde", network=x.network_source("rbd", "p/i", hosts=["a", "b"], user="u", secret="usage")),
                x.disk("vdf", network=x.network_source("nbd", "export", socket="/run/nbd")),
                x.disk("vdg", network=x.network_source("https", "/a.iso", hosts=[("h.example", 443)]), readonly=True),
                x.disk("vdh", network=x.network_source("iscsi", f"{IQN}/1", hosts=["h"], user="u", secret=SECRET)),
                x.disk("vdi", network=x.network_source("gluster", "v/i", hosts=["h"])),
                x.disk("sda", device="cdrom"),
                x.disk("sdb", device="cdrom", file="/a.iso", bus="scsi"),
                x.disk("sdc", device="lun", block="/dev/sdx", bus="scsi"),
                x.disk("hdb", file="/b", io_tune=dict.fromkeys(("read_bytes_sec", "write_iops_sec"), 1000)),
                x.disk("fda", device="floppy"),
            ],
            devices=[x.controller("scsi", model="virtio-scsi", index=0), x.controller("usb", model="none")],
        ),
        "interfaces": x.domain(
            "i",
            memory=GIB,
            interfaces=[
                x.interface(network="default", portgroup="blue", mac=MAC, mtu=9000, link=False, boot=2),
                x.interface(bridge="br0", target="tap7", model="e1000e", inbound=1_000_000, outbound=2_000_000),
                x.interface(direct="eth0", mode="private", queues=4),
                x.interface(network="n", filter="clean-traffic", filter_parameters={"IP": ["10.0.0.1", "10.0.0.2"]}),
                x.interface(user=True, model=None),
                x.interface(bridge="ovs0", vlan=42),
            ],
        ),
        "devices": x.domain(
            "z",
            memory=GIB,
            console=x.console("pty", target="virtio", log="/var/log/c.log"),
            agent=True,
            graphics=x.graphics("spice", listen="::1", port=5901, password="<&'\">", keymap="de"),
            video=x.video("qxl", vram=64 << 20, heads=2),
            rng=x.rng("/dev/hwrng", rate=1024),
            tpm=x.tpm(model="tpm-tis", version="1.2"),
            memballoon=x.memballoon(stats_period=5),
            devices=[
                x.serial("pty", port=1),
                x.serial("file", path="/var/log/s.log", append=True),
                x.serial("unix", path="/run/s", log="/var/log/t.log"),
                x.serial("tcp", tcp=("127.0.0.1", 4555), listen=False),
                x.channel("org.example.a"),
                x.channel("com.redhat.spice.0", type="spicevmc"),
                x.graphics(),
                x.graphics("vnc", socket="/run/vnc"),
                x.filesystem("/srv", "srv", readonly=True, driver="virtiofs"),
            ],
        ),
        "screen": x.domain("s", memory=GIB, graphics=x.graphics(), rng=True, console=False),
        "host's tpm": x.domain("t", memory=GIB, tpm=x.tpm(device="/dev/tpm0")),
    }


def networks() -> dict[str, etree._Element]:
    """Return networks by their special feature."""
    return {
        "isolated": x.network("n"),
        "nat": x.network(
            "nat",
            uuid=ID,
            forward="nat",
            nat_ipv6=True,
            bridge="virbr77",
            mtu=9000,
            mac=MAC,
            metadata=OWN,
            domain="example.org",
            domain_local=True,
            dns_forwarders=["192.0.2.1"],
            dns_hosts={"10.0.0.3": ["a", "b.example.org"], "fd00::3": "c"},
            dns_txt={"note": "some text"},
            ips=[
                x.network_ip(
                    "10.0.0.1/24",
                    dhcp=("10.0.0.100", "10.0.0.199"),
                    hosts=[x.dhcp_host("10.0.0.5", mac=MAC, name="five"), x.dhcp_host("10.0.0.6", name="six")],
                ),
                x.network_ip("fd00::1/64", dhcp=[("fd00::10", "fd00::1f"), ("fd00::30", "fd00::3f")]),
            ],
            portgroups=[x.portgroup("blue", default=True, inbound=1_000_000), x.portgroup("red", outbound=5000)],
        ),
        "pxe": x.network("pxe", ips=x.network_ip("10.1.0.1/16", tftp="/srv/tftp", bootp="pxelinux.0")),
        "route": x.network("r", forward="route", forward_device="eth0", ips=[x.network_ip("10.2.0.1/30")], dns=False),
        "open": x.network("o", forward="open", ips=[x.network_ip("10.3.0.1/24")]),
        "bridge": x.network("b", forward="bridge", bridge="br0", portgroups=x.portgroup("trunk", vlan=[1, 2])),
        "macvtap": x.network("m", forward="private", forward_device="eth1", portgroups=x.portgroup("one", vlan=7)),
    }


def pools() -> dict[str, etree._Element]:
    """Return storage pools by type or special feature."""
    return {
        "dir": x.pool("p", target="/images", mode=0o711, owner=0, group=0, uuid=ID),
        "fs": x.pool("p", "fs", target="/mnt/a", devices=["/dev/vdb1"], format="ext4"),
        "netfs": x.pool("p", "netfs", target="/mnt/a", hosts=["nas"], directory="/export", format="nfs"),
        "cifs": x.pool("p", "netfs", target="/mnt/a", hosts=["nas"], directory="/share", format="cifs"),
        "logical": x.pool("p", "logical", source="vg"),
        "new logical": x.pool("p", "logical", source="vg", target="/dev/vg", devices=["/dev/a", "/dev/b"]),
        "disk": x.pool("p", "disk", target="/dev", devices=["/dev/vdb"], format="gpt"),
        "iscsi": x.pool("p", "iscsi", target="/dev/disk/by-path", hosts=[("san", 3260)], devices=[IQN], initiator=IQN),
        "chap": x.pool("p", "iscsi", target="/dev", hosts=["san"], devices=[IQN], user="u", secret=SECRET),
        "iscsi-direct": x.pool("p", "iscsi-direct", hosts=["san"], devices=[IQN], initiator=IQN),
        "scsi": x.pool("p", "scsi", target="/dev", adapter="scsi_host1"),
        "mpath": x.pool("p", "mpath", target="/dev/mapper"),
        "rbd": x.pool("p", "rbd", hosts=["a", ("b", 6789)], source="images", user="u", secret="a usage"),
        "gluster": x.pool("p", "gluster", hosts=["g"], source="volume", directory="/sub"),
        "zfs": x.pool("p", "zfs", source="tank", devices=["/dev/vdb"]),
    }


def volumes() -> dict[str, etree._Element]:
    """Return volumes by their special feature."""
    return {
        "plain": x.volume("v", GIB),
        "thin": x.volume("v.qcow2", GIB, allocation=0, cluster_size=65536, mode=0o600, owner=1, group=2),
        "backed": x.volume("v", GIB, format="qcow2", backing="/images/base.qcow2", backing_format="qcow2"),
        "encrypted": x.volume("v", GIB, encryption=SECRET),
        "encrypted by usage": x.volume("v.qcow2", GIB, encryption="/images/v.qcow2"),
    }


def others() -> dict[str, etree._Element]:
    """Return snapshots, checkpoints, backups, secrets and filters."""
    return {
        "snapshot": x.snapshot(),
        "internal": x.snapshot("s", memory="internal", disks=x.snapshot_disk("vda", "internal")),
        "external": x.snapshot(
            "s",
            description="before & after",
            memory="/s.mem",
            disks=[
                x.snapshot_disk("vda", file="/a.snap", format="qcow2"),
                x.snapshot_disk("vdb"),
                x.snapshot_disk("/images/c", "no"),
                x.snapshot_disk("vdd", "manual"),
            ],
        ),
        "disks only": x.snapshot(memory="no", disks=[x.snapshot_disk("vda", format="qcow2")]),
        "checkpoint": x.checkpoint(),
        "bitmaps": x.checkpoint("c", description="d", disks={"vda": "bitmap", "vdb": None}),
        "push": x.push_backup(),
        "incremental push": x.push_backup({"vda": "/backup/a", "vdb": None}, incremental="c", format="raw"),
        "pull": x.pull_backup(socket="/run/nbd"),
        "pull some": x.pull_backup(["vda"], socket="/run/nbd", incremental="c"),
        "pull over tls": x.pull_backup({"vda": "/scratch"}, tcp=("::1", 10809), tls=True),
        "secret": x.secret(),
        "volume secret": x.secret("volume", "/images/v", private=False, ephemeral=True, uuid=ID, description="d"),
        **{f"{one} secret": x.secret(one, "a name") for one in ("ceph", "iscsi", "tls", "vtpm")},
        "no rules": x.nwfilter("empty"),
        "filter": x.nwfilter(
            "a-filter.1",
            chain="ipv4-mine",
            priority=-700,
            uuid=ID,
            entries=[
                x.rule("accept", "in", "tcp", dstportstart=22, connlimit_above=3, state="NEW", comment="ssh & more"),
                x.rule("accept", "out", "udp-ipv6", priority=10, statematch=False, srcipaddr="fd00::1", srcipmask=64),
                x.rule("drop", "in", "mac", match=False, protocolid="arp"),
                x.rule("return", "inout", "icmp", type=8, code=0),
                x.rule("continue", "inout", "arp", gratuitous="true"),
                x.filterref("clean-traffic", {"IP": ["10.0.0.1", "10.0.0.2"]}),
                x.rule("reject", "inout"),
            ],
        ),
    }


def everything() -> dict[str, etree._Element]:
    """Return all of them."""
    families = {"domain": domains, "network": networks, "pool": pools, "volume": volumes, "other": others}
    return {f"{family}: {name}": one for family, make in families.items() for name, one in make().items()}
