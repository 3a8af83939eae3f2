# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import os
import select
import tty
import uuid
from pathlib import Path
from xml.etree import ElementTree

import pytest

import pyvirt
from pyvirt.enums import DomainCreateFlags, DomainState
from pyvirt.testing._bootsector import boot_sector
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import READY, DiskConfig, Nic, container, paused_guest, tiny_guest, write_boot_disk
from pyvirt.testing.pytest_plugin import DaemonFactory

ANSWER_TIME = 30  # seconds; a loaded machine may need them for what usually takes 0.1


class Console:
    """The host's end of a guest's serial port."""

    def __init__(self, daemon: PrivateDaemon, domain: pyvirt.Domain) -> None:
        console = ElementTree.fromstring(domain.xml_desc()).find("devices/console")
        assert console is not None
        self._file = os.open(daemon.path(console.attrib["tty"]), os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._file)
        self._unread = b""

    def send(self, data: bytes) -> None:
        os.write(self._file, data)

    def expect(self, data: bytes) -> None:
        while len(self._unread) < len(data):
            assert select.select([self._file], [], [], ANSWER_TIME)[0], f"just {self._unread!r}, then silence"
            self._unread += os.read(self._file, 1024)
        assert self._unread.startswith(data)
        self._unread = self._unread[len(data) :]

    def close(self) -> None:
        os.close(self._file)


@pytest.mark.parametrize("busy", [False, True])
def test_a_tiny_guest_echoes_its_console(
    qemu: pyvirt.Connection, qemu_daemon: PrivateDaemon, tmp_path: Path, busy: bool
) -> None:
    disk = write_boot_disk(tmp_path / "boot.img", busy=busy)
    domain = qemu.domains.create(tiny_guest("tiny", disk), flags=DomainCreateFlags.PAUSED)
    console = Console(qemu_daemon, domain)
    domain.resume()
    console.expect(READY.encode() + b"\r\n")
    for message in (b"x", bytes(range(256)), b"over\r\n"):
        console.send(message)
        console.expect(message)
    console.close()


def test_guests_share_a_boot_disk(qemu: pyvirt.Connection, tmp_path: Path) -> None:
    disk = write_boot_disk(tmp_path / "boot.img", message="two of us")
    logs = [tmp_path / "one", tmp_path / "other"]
    for path in logs:
        qemu.domains.create(tiny_guest(path.name, disk, serial=path))
    assert {domain.state().state for domain in qemu.domains} == {DomainState.RUNNING}
    # The files cannot be waited for; but a guest has written its line when it answers the next request.
    for path in logs:
        while path.read_bytes() != b"two of us\r\n":
            assert qemu.domains[path.name].info().cpu_time < ANSWER_TIME * 10**9
    assert disk.stat().st_size == 1 << 20


def test_paused_guest_makes_the_requested_document(qemu: pyvirt.Connection, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("first & last.img", "second.img", "third.img")]
    for path in paths:
        path.write_bytes(bytes(1 << 20))
    number = uuid.uuid4()
    xml = paused_guest(
        "<odd> & 'quoted' name",
        memory=24 << 20,
        vcpus=2,
        disks=[paths[0], DiskConfig(paths[1], target="vdf"), DiskConfig(paths[2], readonly=True)],
        nics=[Nic(), Nic(mac="52:54:00:01:02:03", model="e1000")],
        uuid=number,
        machine="q35",
        acpi=True,
        agent=True,
        devices="<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
        elements="<description>made to measure</description>",
    )
    domain = qemu.domains.create(xml, flags=DomainCreateFlags.PAUSED)
    assert domain.uuid == number
    assert domain.name == "<odd> & 'quoted' name"
    state, info = domain.state().state, domain.info()
    assert (state, info.vcpus, info.memory) == (DomainState.PAUSED, 2, 24 << 20)
    root = ElementTree.fromstring(domain.xml_desc())
    disks = {disk.find("target").get("dev"): disk.find("source").get("file") for disk in root.iter("disk")}  # type: ignore[union-attr]
    assert disks == {"vda": str(paths[0]), "vdf": str(paths[1]), "vdb": str(paths[2])}
    assert [model.get("type") for model in root.iterfind("devices/interface/model")] == ["virtio", "e1000"]
    assert root.findtext("description") == "made to measure"
    assert root.find("devices/channel/target[@name='org.qemu.guest_agent.0']") is not None
    assert root.find("devices/rng") is not None


def test_guests_are_always_emulated(qemu: pyvirt.Connection) -> None:
    domain = qemu.domains.create(paused_guest(), flags=DomainCreateFlags.PAUSED)
    assert ElementTree.fromstring(domain.xml_desc()).get("type") == "qemu"
    capabilities = ElementTree.fromstring(qemu.host.capabilities().xml)
    assert {kind.get("type") for kind in capabilities.iterfind("guest/arch/domain")} == {"qemu"}


def test_a_boot_sector_holds_the_message() -> None:
    sector = boot_sector("hello")
    assert len(sector) == 512
    assert sector.endswith(b"\x55\xaa")
    assert b"hello\0" in sector
    boot_sector("x" * 400)
    with pytest.raises(ValueError, match="too long"):
        boot_sector("x" * 500)


@pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")
def test_a_container_runs(private_daemon_factory: DaemonFactory, tmp_path: Path) -> None:
    daemon = private_daemon_factory(cgroups=True)
    proof = tmp_path / "proof"
    os.mkfifo(proof)
    script = f"echo $$ > {proof}; exec sleep infinity"
    with pyvirt.connect(daemon.uri("lxc")) as conn:
        domain = conn.domains.create(container("box & co", init="/bin/sh", arguments=["-c", script], vcpus=2))
        assert proof.read_text() == "1\n"  # the first process of its own namespace
        assert domain.state().state is DomainState.RUNNING
        assert domain.info().max_memory == 64 << 20
        assert daemon.guest_pid("box & co") in daemon.processes()
