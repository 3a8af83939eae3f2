# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of real guests, through a daemon."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pyvirt
from pyvirt import Domain, DomainState
from pyvirt.enums import (
    DomainControlState,
    DomainCreateFlags,
    DomainDestroyFlags,
    DomainPausedReason,
    DomainRunningReason,
    DomainSaveImageXMLFlags,
    DomainSaveRestoreFlags,
    DomainShutoffReason,
    DomainXMLFlags,
    NodeSuspendTarget,
)
from pyvirt.errors import (
    AgentUnresponsiveError,
    ConnectionLostError,
    DomainNotFoundError,
    NotSupportedError,
    OperationInvalidError,
    OperationTimeoutError,
)
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import container, paused_guest, tiny_guest, write_boot_disk
from pyvirt.testing.hosts import object_uuid
from pyvirt.testing.pytest_plugin import DaemonFactory

RUNNING, PAUSED, SHUTOFF = DomainState.RUNNING, DomainState.PAUSED, DomainState.SHUTOFF
SOON = 60  # seconds; a loaded machine may need them for what usually takes 0.1
START_PAUSED = DomainCreateFlags.PAUSED


@pytest.fixture
def conn(qemu: pyvirt.Connection) -> pyvirt.Connection:
    return qemu


def xml(name: str = "guest", elements: str = "", devices: str = "") -> str:
    return paused_guest(name, uuid=object_uuid(name), elements=elements, devices=devices)


@pytest.fixture
def guest(conn: pyvirt.Connection) -> Domain:
    return conn.domains.define(xml())


def kill(daemon: PrivateDaemon, domain: Domain) -> None:
    os.kill(daemon.guest_pid(domain.name), signal.SIGKILL)


def test_a_domain_lives_from_define_to_undefine(conn: pyvirt.Connection, tmp_path: Path) -> None:
    guest = conn.domains.define(tiny_guest("tiny", write_boot_disk(tmp_path / "boot.img")))
    assert guest.os_type() == "hvm"
    assert guest.state() == (SHUTOFF, DomainShutoffReason.UNKNOWN)
    guest.start()
    assert guest.state() == (RUNNING, DomainRunningReason.BOOTED)
    guest.suspend()
    assert guest.state() == (PAUSED, DomainPausedReason.USER)
    guest.reset()
    assert guest.state().state is PAUSED
    guest.resume()
    assert guest.state() == (RUNNING, DomainRunningReason.UNPAUSED)
    with pytest.raises(OperationInvalidError, match="already running"):
        guest.resume()
    with pytest.raises(OperationInvalidError, match="already running"):
        guest.start()
    guest.reset()
    assert guest.state().state is RUNNING
    assert guest.info().memory == 16 << 20
    guest.destroy(flags=DomainDestroyFlags.GRACEFUL)
    assert guest.state() == (SHUTOFF, DomainShutoffReason.DESTROYED)
    guest.undefine()
    with pytest.raises(DomainNotFoundError, match=str(guest.uuid)):
        guest.state()
    assert guest not in conn.domains


def test_wait_for_times_out_when_the_guest_ignores_shutdown(conn: pyvirt.Connection, tmp_path: Path) -> None:
    guest = conn.domains.create(tiny_guest("deaf", write_boot_disk(tmp_path / "boot.img")))
    guest.shutdown()
    with pytest.raises(OperationTimeoutError, match=r"domain 'deaf' is RUNNING, not SHUTOFF, after 0\.3 s"):
        guest.wait_for(SHUTOFF, timeout=0.3)
    guest.reboot()
    assert guest.is_active()


def test_suspending_a_guest_without_an_agent_raises(conn: pyvirt.Connection) -> None:
    guest = conn.domains.create(paused_guest("agentless", agent=True))
    with pytest.raises(AgentUnresponsiveError):
        guest.pm_suspend(NodeSuspendTarget.MEM)
    with pytest.raises(pyvirt.Error, match="not supported by this guest"):
        guest.pm_wakeup()


# ---- persistent, transient, gone ----


def test_a_transient_domain_that_is_defined_becomes_persistent(conn: pyvirt.Connection) -> None:
    guest = conn.domains.create(xml(), flags=START_PAUSED)
    assert (guest.is_active(), guest.is_persistent()) == (True, False)
    for refused in (guest.undefine, guest.managed_save, lambda: guest.set_autostart(True), guest.edit().__enter__):
        with pytest.raises(OperationInvalidError, match="transient"):
            refused()
    assert conn.domains.define(xml(elements="<title>kept</title>")) == guest
    assert guest.is_persistent()
    assert "kept" not in guest.xml_desc()
    guest.destroy()
    assert guest.state().state is SHUTOFF
    assert "<title>kept</title>" in guest.xml_desc()


@pytest.mark.parametrize("end", ["destroy", "kill"])
def test_a_running_domain_that_is_undefined_disappears_when_it_stops(
    conn: pyvirt.Connection, qemu_daemon: PrivateDaemon, guest: Domain, end: str
) -> None:
    guest.start(flags=START_PAUSED)
    guest.undefine()
    assert (guest.is_active(), guest.is_persistent()) == (True, False)
    if end == "kill":
        kill(qemu_daemon, guest)
    else:
        conn.domains["guest"].destroy()
    assert guest.wait_for(SHUTOFF, timeout=SOON) == (SHUTOFF, DomainShutoffReason.UNKNOWN)
    with pytest.raises(DomainNotFoundError):
        guest.state()
    with pytest.raises(DomainNotFoundError):
        guest.wait_for(RUNNING, timeout=SOON)


def test_a_killed_guest_is_shut_off(qemu_daemon: PrivateDaemon, guest: Domain) -> None:
    guest.start(flags=START_PAUSED)
    kill(qemu_daemon, guest)
    known = (DomainShutoffReason.CRASHED, DomainShutoffReason.FAILED)
    assert guest.wait_for(SHUTOFF, DomainState.CRASHED, timeout=SOON).reason in known
    assert guest.state().reason in known
    guest.start(flags=START_PAUSED)
    assert guest.state() == (PAUSED, DomainPausedReason.USER)


def test_ids_change_with_every_start(conn: pyvirt.Connection, guest: Domain) -> None:
    early = conn.domains["guest"]
    guest.start(flags=START_PAUSED)
    number = guest.id
    assert number is not None
    assert early.id is None
    assert conn.domains.get(id=number) == guest
    guest.destroy()
    assert guest.id in (None, number)  # depends on the release
    assert conn.domains["guest"].id is None
    with pytest.raises(DomainNotFoundError):
        conn.domains.get(id=number)


def test_a_renamed_domain_keeps_its_handles(conn: pyvirt.Connection, guest: Domain) -> None:
    other = conn.domains["guest"]
    assert other.name == "guest"
    guest.rename("größer & besser")
    assert (guest.name, other.name) == ("größer & besser", "guest")
    assert guest == other == conn.domains["größer & besser"]
    other.start(flags=START_PAUSED)
    assert guest.is_active()


def test_handles_of_two_connections_differ(conn: pyvirt.Connection, qemu_daemon: PrivateDaemon, guest: Domain) -> None:
    with pyvirt.connect(qemu_daemon.uri("qemu")) as elsewhere:
        same = elsewhere.domains["guest"]
        assert same.uuid == guest.uuid
        assert same != guest
        assert same not in conn.domains
        same.start(flags=START_PAUSED)
        assert guest.wait_for(PAUSED, timeout=SOON) == same.state()
    assert guest.is_active()


def test_autostart_is_set_and_cleared(conn: pyvirt.Connection, guest: Domain) -> None:
    guest.set_autostart(True)
    assert conn.domains["guest"].autostart() is True
    guest.set_autostart(False)
    assert guest.autostart() is False


# ---- saved states ----


def test_a_saved_domain_is_restored_with_a_changed_configuration(
    conn: pyvirt.Connection, guest: Domain, tmp_path: Path
) -> None:
    path = str(tmp_path / "größe & image")
    guest.start(flags=START_PAUSED)
    guest.save(path, xml=guest.xml_desc(flags=DomainXMLFlags.MIGRATABLE).replace("<vcpu", "<title>1</title><vcpu"))
    assert guest.state() == (SHUTOFF, DomainShutoffReason.SAVED)
    saved = conn.domains.save_image_xml_desc(path, flags=DomainSaveImageXMLFlags.SECURE)
    assert "<title>1</title>" in saved
    conn.domains.save_image_define_xml(path, saved.replace("<title>1<", "<title>2<"))
    assert "<title>2</title>" in conn.domains.save_image_xml_desc(path)
    conn.domains.restore(path, xml=saved.replace("<title>1<", "<title>3<"), flags=DomainSaveRestoreFlags.RUNNING)
    assert guest.state() == (RUNNING, DomainRunningReason.RESTORED)
    assert "<title>3</title>" in guest.xml_desc()


def test_save_and_restore_accept_parameters(conn: pyvirt.Connection, guest: Domain, tmp_path: Path) -> None:
    guest.start(flags=START_PAUSED)
    path = str(tmp_path / "image")
    # The file and the configuration are parameters; others exist only since libvirt 11.2.
    document = guest.xml_desc(flags=DomainXMLFlags.MIGRATABLE).replace("<vcpu", "<title>given</title><vcpu")
    guest.save("unused", params={"file": path, "dxml": document})
    assert "<title>given</title>" in conn.domains.save_image_xml_desc(path)
    conn.domains.restore("unused", params={"file": path})
    assert guest.state().state is PAUSED
    calls: list[Callable[[], object]] = [
        lambda: guest.save(path, params={"nonsense": 1}),
        lambda: conn.domains.restore(path, params={"nonsense": 1}),
    ]
    for call in calls:
        with pytest.raises(pyvirt.Error, match="nonsense"):
            call()
    assert guest.is_active()


def test_a_managed_save_is_restored_at_the_next_start(conn: pyvirt.Connection, guest: Domain) -> None:
    guest.start(flags=START_PAUSED)
    for call in (guest.managed_save_xml_desc, lambda: guest.managed_save_define_xml(xml())):
        with pytest.raises(OperationInvalidError, match="managed save image"):
            call()
    guest.managed_save()
    assert guest.state() == (SHUTOFF, DomainShutoffReason.SAVED)
    assert guest.has_managed_save_image()
    saved = guest.managed_save_xml_desc(flags=DomainSaveImageXMLFlags.SECURE)
    guest.managed_save_define_xml(
        saved.replace("<vcpu", "<title>changed</title><vcpu"), flags=DomainSaveRestoreFlags.RUNNING
    )
    assert "<title>changed</title>" in guest.managed_save_xml_desc()
    guest.start()
    assert guest.state() == (RUNNING, DomainRunningReason.RESTORED)
    assert "<title>changed</title>" in guest.xml_desc()
    assert not guest.has_managed_save_image()


def test_a_managed_save_can_be_removed_or_ignored(conn: pyvirt.Connection, guest: Domain) -> None:
    guest.start()
    guest.managed_save(flags=DomainSaveRestoreFlags.PAUSED)
    with pytest.raises(OperationInvalidError, match="managed save image"):
        guest.undefine()
    guest.start(flags=START_PAUSED | DomainCreateFlags.FORCE_BOOT)
    assert not guest.has_managed_save_image()
    guest.managed_save(flags=DomainSaveRestoreFlags.RUNNING)
    guest.managed_save_remove()
    guest.undefine()
    assert guest not in conn.domains


# ---- editing ----


def test_edit_keeps_what_it_does_not_touch(conn: pyvirt.Connection) -> None:
    document = xml(
        elements="<metadata><a:b xmlns:a='http://example.com/ü'>&lt;客&gt;</a:b></metadata>",
        devices="<graphics type='vnc' port='-1' passwd='geheim'/><video><model type='vga'/></video>",
    ).replace("<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ")
    document = document.replace(
        "</domain>", "<qemu:commandline><qemu:env name='A' value='&amp;ü'/></qemu:commandline></domain>"
    )
    guest = conn.domains.define(document)
    before = guest.xml_desc(flags=DomainXMLFlags.SECURE)
    assert "passwd='geheim'" in before
    assert "<qemu:env name='A' value='&amp;ü'/>" in before
    with guest.edit():
        pass
    assert guest.xml_desc(flags=DomainXMLFlags.SECURE) == before


def test_an_edit_of_a_running_domain_applies_at_its_next_start(guest: Domain) -> None:
    guest.start(flags=START_PAUSED)
    with guest.edit() as root:
        vcpu = root.find("vcpu")
        assert vcpu is not None
        vcpu.text = "2"
        assert root.find("devices/console/source") is None  # the stored configuration has no pseudo-terminal
    assert guest.info().vcpus == 1
    assert guest.is_updated() is False
    guest.destroy()
    assert guest.info().vcpus == 2


# ---- failures ----


def test_control_info_reports_a_stuck_guest_without_waiting(guest: Domain, qemu_daemon: PrivateDaemon) -> None:
    """Its QEMU is stopped: control_info() reports that a call waits for it, and does not wait itself."""
    guest.start(flags=START_PAUSED)
    pid = qemu_daemon.guest_pid("guest")
    os.kill(pid, signal.SIGSTOP)
    try:
        thread = threading.Thread(target=guest.resume)
        thread.start()
        while (info := guest.control_info()).state is DomainControlState.OK:
            assert thread.is_alive()
        assert info.state in (DomainControlState.JOB, DomainControlState.OCCUPIED)
        assert 0 <= info.state_time < SOON * 1000
        assert guest.state().state is PAUSED
    finally:
        os.kill(pid, signal.SIGCONT)
    thread.join(SOON)
    assert not thread.is_alive()
    assert guest.state().state is RUNNING
    end = time.monotonic() + SOON
    while guest.control_info().state is not DomainControlState.OK:  # QEMU answers when it continues
        assert time.monotonic() < end


def test_wait_for_raises_when_the_daemon_dies(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory()
    with pyvirt.connect(daemon.uri("test")) as conn:
        domain = conn.domains["test"]
        timer = threading.Timer(0.1, daemon.kill)
        timer.start()
        with pytest.raises(ConnectionLostError):
            domain.wait_for(SHUTOFF)
        timer.join()


# ---- containers ----


@pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")
def test_a_container_inherits_open_files(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory(cgroups=True)
    document = container("heir", init="/bin/sh", arguments=["-c", "echo from inside >&3; exec sleep infinity"])
    with pyvirt.connect(daemon.uri("lxc")) as conn:
        for start in (
            lambda files: conn.domains.create(document, files=files),
            lambda files: conn.domains.define(document).start(files=files),
        ):
            reader, writer = os.pipe()
            with open(reader) as lines:
                with open(writer, "w") as file:
                    start([file.fileno()])
                assert lines.readline() == "from inside\n"
            conn.domains["heir"].destroy()
        with pytest.raises(NotSupportedError):
            conn.domains["heir"].managed_save_xml_desc()
