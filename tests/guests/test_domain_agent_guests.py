# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent of a real Linux; and what guests are given: keys, interrupts, signals, files."""

from __future__ import annotations

import base64
import itertools
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.domain._wait import poll_times
from pyvirt.domain.agent import Agent
from pyvirt.domain.launch_security import LaunchSecurity
from pyvirt.enums import (
    DomainAgentResponseTimeout,
    DomainAuthorizedSSHKeysSetFlags,
    DomainCreateFlags,
    DomainGetHostnameFlags,
    DomainGuestInfoTypes,
    DomainMessageType,
    DomainOpenGraphicsFlags,
    DomainProcessSignal,
    DomainSetUserPasswordFlags,
)
from pyvirt.errors import (
    AgentUnresponsiveError,
    InvalidArgumentError,
    NotSupportedError,
    OperationInvalidError,
    OperationUnsupportedError,
    XMLError,
)
from pyvirt.models import FilesystemInfo, SecurityLabel
from pyvirt.qemu import QemuDomain
from pyvirt.testing._system import search_path
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import Nic, container, paused_guest
from pyvirt.testing.linux_guest import LinuxImage, start_linux_guest
from pyvirt.testing.pytest_plugin import DaemonFactory

KEY_A, KEY_B = 30, 48
MIB = 1 << 20
ANSWER_TIME = 60  # seconds; what a loaded machine may take
VNC = "<graphics type='vnc' autoport='yes' listen='127.0.0.1' passwd='secret'/><video><model type='vga'/></video>"

names = (f"agent-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def conn(qemu_daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(qemu_daemon.uri("qemu")) as conn:
        yield conn


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the guest's disk, and later what it writes to its serial port."""
    directory = tmp_path_factory.mktemp("agent")
    disk = directory / "disk"
    with disk.open("wb") as file:
        file.truncate(32 * MIB)
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", disk], check=True, capture_output=True, env={**os.environ, "PATH": search_path()}
    )
    return directory


@pytest.fixture(scope="module")
def linux(conn: pyvirt.Connection, linux_image: LinuxImage, files: Path) -> Iterator[Domain]:
    """A guest with a file system on its disk."""
    domain = start_linux_guest(
        conn, linux_image, "agent-guest", disks=[files / "disk"], nics=[Nic()], serial=files / "serial", devices=VNC
    )
    yield domain
    domain.destroy()


@pytest.fixture
def agent(linux: Domain) -> Iterator[Agent]:
    agent = Agent(linux)
    yield agent
    agent.fs_thaw()


@pytest.fixture
def paused(conn: pyvirt.Connection) -> Iterator[Domain]:
    """A guest with a channel for an agent, and none."""
    domain = conn.domains.create(paused_guest(next(names), agent=True, devices=VNC), flags=DomainCreateFlags.PAUSED)
    yield domain
    domain.destroy()


def ask(domain: Domain, command: str, **arguments: object) -> object:
    """Give the agent a command that libvirt has no function for."""
    answer = QemuDomain(domain).agent_command(json.dumps({"execute": command, "arguments": arguments}), timeout=5)
    return json.loads(answer)["return"]


def read_file(domain: Domain, path: str) -> str:
    handle = ask(domain, "guest-file-open", path=path)
    try:
        content = ask(domain, "guest-file-read", handle=handle, count=MIB)
        assert isinstance(content, dict)
        return base64.b64decode(content["buf-b64"]).decode()
    finally:
        ask(domain, "guest-file-close", handle=handle)


# What the agent tells


def test_guest_information(agent: Agent) -> None:
    for _ in poll_times(ANSWER_TIME, 0.1):  # the shell on the serial port starts together with the agent
        info = agent.guest_info()
        if info["user"]:
            break
    assert info["hostname"] == agent.hostname() == "agent-guest"
    assert [user["name"] for user in info["user"]] == ["root"]
    assert abs(info["user"][0]["login-time"] / 1000 - time.time()) < 3600
    assert (info["os"]["id"], info["os"]["pretty-name"]) == ("pyvirt-guest", "A guest of pyvirt")
    assert info["os"]["kernel-release"] in read_file(agent.domain, "/proc/version")
    assert info["timezone"] == {"name": "UTC", "offset": 0}
    (filesystem,) = info["fs"]
    assert filesystem["disk"] == [{"alias": "vda", "device": "/dev/vda"}]
    assert 0 < filesystem["used-bytes"] < filesystem["total-bytes"] < 32 * MIB
    assert info["disk"] == [{"name": "/dev/vda", "partition": False, "alias": "vda"}]
    interfaces = {interface["name"]: interface for interface in info["if"]}
    assert {"type": "ipv4", "addr": "10.0.2.15", "prefix": 24} in interfaces["eth0"]["addr"]
    assert json.loads(json.dumps(info)) == info


def test_some_guest_information(agent: Agent) -> None:
    assert agent.guest_info(DomainGuestInfoTypes.TIMEZONE | DomainGuestInfoTypes.HOSTNAME).keys() == {
        "hostname",
        "timezone",
    }
    with pytest.raises(InvalidArgumentError):
        agent.guest_info(DomainGuestInfoTypes(1 << 30))


def test_the_host_name_that_the_dhcp_server_heard(agent: Agent) -> None:
    with pytest.raises(pyvirt.Error, match="no hostname"):
        agent.hostname(flags=DomainGetHostnameFlags.LEASE)  # it is not on a network of libvirt's


def test_file_systems(agent: Agent) -> None:
    assert agent.fs_info() == [FilesystemInfo("/mnt", "vda", "ext4", ("vda",))]


def test_frozen_file_systems(agent: Agent) -> None:
    assert agent.fs_freeze() == 1
    with pytest.raises(pyvirt.Error, match="frozen"):
        agent.fs_freeze()
    with pytest.raises(pyvirt.Error, match="frozen"):
        agent.fs_info()
    assert agent.fs_thaw() == 1
    assert agent.fs_thaw() == 0
    agent.fs_info()


def test_freezing_by_mountpoint(agent: Agent) -> None:
    with pytest.raises(InvalidArgumentError):
        agent.fs_freeze([])
    assert agent.fs_freeze(["/nope"]) == 0
    assert agent.fs_thaw() == 0
    assert agent.fs_freeze(["/mnt", "/nope"]) == 1
    with pytest.raises(NotSupportedError):
        agent.fs_thaw(["/mnt"])
    assert agent.fs_thaw() == 1


def test_trimming_gives_back_what_was_used(agent: Agent, files: Path) -> None:
    disk = files / "disk"
    before = disk.stat().st_blocks
    agent.fs_trim(minimum=MIB)
    agent.fs_trim()
    assert disk.stat().st_blocks <= before
    with pytest.raises(NotSupportedError):
        agent.fs_trim("/mnt")


def test_the_clock(agent: Agent) -> None:
    hour = 3600 * 10**9
    assert abs(agent.time() - time.time_ns()) < hour
    agent.set_time(10**18 + 5)
    assert 0 < agent.time() - 10**18 < hour
    # It has set the hardware clock as well.
    agent.sync_time()
    assert 0 <= agent.time() - 10**18 + 10**9 < hour
    agent.set_time(time.time_ns())
    with pytest.raises(pyvirt.Error):
        agent.set_time(-hour)
    assert abs(agent.time() - time.time_ns()) < hour


def test_passwords(agent: Agent) -> None:
    agent.set_user_password("root", "$1$pyvirt$x", flags=DomainSetUserPasswordFlags.ENCRYPTED)
    assert read_file(agent.domain, "/etc/shadow").startswith("root:$1$pyvirt$x:")
    agent.set_user_password("root", "in clear: ü")
    assert read_file(agent.domain, "/etc/shadow").startswith("root:$6$")
    with pytest.raises(pyvirt.Error) as caught:
        agent.set_user_password("nobody", "secret")
    assert "secret" not in str(caught.value)


def test_ssh_keys(agent: Agent) -> None:
    with pytest.raises(pyvirt.Error):
        agent.authorized_ssh_keys("root")  # no such file yet
    add, remove = DomainAuthorizedSSHKeysSetFlags.APPEND, DomainAuthorizedSSHKeysSetFlags.REMOVE
    one, two = "ssh-ed25519 AAAA one@example", "ssh-ed25519 BBBB zwei-ü"
    agent.set_authorized_ssh_keys("root", [one])
    agent.set_authorized_ssh_keys("root", iter([two]), flags=add)
    assert sorted(agent.authorized_ssh_keys("root")) == [one, two]
    assert sorted(read_file(agent.domain, "/root/.ssh/authorized_keys").splitlines()) == [one, two]
    agent.set_authorized_ssh_keys("root", [one], flags=remove)
    assert agent.authorized_ssh_keys("root") == [two]
    agent.set_authorized_ssh_keys("root", [])
    assert agent.authorized_ssh_keys("root") == []
    with pytest.raises(pyvirt.Error, match="nobody"):
        agent.authorized_ssh_keys("nobody")


def test_how_long_to_wait(agent: Agent) -> None:
    with pytest.raises(InvalidArgumentError):
        agent.set_response_timeout(-7)
    agent.domain.suspend()
    try:
        agent.set_response_timeout(1)
        with pytest.raises(OperationInvalidError):
            agent.time()  # libvirt knows that it cannot answer
    finally:
        agent.domain.resume()
        agent.set_response_timeout(DomainAgentResponseTimeout.DEFAULT)
    assert agent.hostname() == "agent-guest"


def test_no_agent(paused: Domain) -> None:
    agent = Agent(paused)
    with pytest.raises(OperationInvalidError):
        agent.time()
    paused.resume()
    calls: list[Callable[[], object]] = [
        *(agent.guest_info, agent.hostname, agent.time, agent.sync_time),
        *(agent.fs_info, agent.fs_freeze, agent.fs_thaw, agent.fs_trim),
        lambda: agent.set_time(0),
        lambda: agent.set_user_password("root", "secret"),
        lambda: agent.authorized_ssh_keys("root"),
        lambda: agent.set_authorized_ssh_keys("root", []),
    ]
    for call in calls:
        with pytest.raises(AgentUnresponsiveError):
            call()


def test_an_agent_that_hangs(conn: pyvirt.Connection, linux_image: LinuxImage) -> None:
    domain = start_linux_guest(conn, linux_image, next(names))
    try:
        agent = Agent(domain)
        agent.set_response_timeout(1)
        try:
            ask(domain, "guest-exec", path="killall", arg=["-STOP", "qemu-ga"])
        except AgentUnresponsiveError:
            pass  # it had no time to answer
        for _ in poll_times(ANSWER_TIME, 0.1):
            try:
                agent.time()
            except AgentUnresponsiveError:
                break
        else:
            pytest.fail("it goes on answering")
        assert domain.is_active()
    finally:
        domain.destroy()


# What a guest is given


def test_keys_reach_the_keyboard(linux: Domain) -> None:
    def interrupts() -> int:
        lines = [line.split() for line in read_file(linux, "/proc/interrupts").splitlines()]
        return next(int(line[1]) for line in lines if (line[0], line[-1]) == ("1:", "i8042"))

    before = interrupts()
    linux.send_key([KEY_A, KEY_B], holdtime=1)
    for _ in poll_times(ANSWER_TIME, 0.1):
        if interrupts() >= before + 4:  # both down, both up
            return
    pytest.fail("no key was pressed")


def test_an_interrupt_that_cannot_be_masked(linux: Domain, files: Path) -> None:
    linux.inject_nmi()
    for _ in poll_times(ANSWER_TIME, 0.1):
        if "NMI" in (files / "serial").read_text():
            return
    pytest.fail("the kernel has not complained")


def test_displays(paused: Domain) -> None:
    banner = b"RFB 003.008\n"
    with socket.socket(fileno=paused.open_graphics_fd(flags=DomainOpenGraphicsFlags.SKIPAUTH)) as client:
        assert client.recv(12, socket.MSG_WAITALL) == banner
        client.sendall(banner)
        assert client.recv(2, socket.MSG_WAITALL) == b"\1\1"  # one way to log in: none
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            paused.open_graphics(theirs.fileno(), 0)
        assert ours.recv(12, socket.MSG_WAITALL) == banner
        ours.sendall(banner)
        assert ours.recv(2, socket.MSG_WAITALL) == b"\1\2"  # a password
    with pytest.raises(pyvirt.Error):
        paused.open_graphics_fd(3)


def test_messages_and_labels(paused: Domain) -> None:
    before = paused.messages()  # that it runs as root, if it does
    QemuDomain(paused).monitor_command('{"execute": "query-status"}')
    (message,) = set(paused.messages(DomainMessageType.TAINTING)) - set(before)
    assert message.startswith("tainted: custom")
    assert paused.messages(DomainMessageType.DEPRECATION) == []
    assert paused.security_label() == SecurityLabel("", False)
    assert paused.security_labels()[0] == SecurityLabel("", False)  # of no driver; then, for root, of file owners
    with pytest.raises(OperationUnsupportedError):
        paused.send_process_signal(1, DomainProcessSignal.TERM)


def test_a_disk_that_is_an_open_file(conn: pyvirt.Connection, tmp_path: Path) -> None:
    path = tmp_path / "gone"
    path.write_bytes(b"content!" * 128 * 1024)
    xml = paused_guest(
        next(names),
        devices="<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
        "<source file='/gone/as/well' fdgroup='mine'/><target dev='vda' bus='virtio'/></disk>",
    )
    domain = conn.domains.define(xml)
    try:
        with pytest.raises(pyvirt.Error):
            domain.start(flags=DomainCreateFlags.PAUSED)
        with path.open("r+b") as file:
            path.unlink()
            domain.fd_associate("mine", [file.fileno()])
        domain.start(flags=DomainCreateFlags.PAUSED)
        (device,) = json.loads(QemuDomain(domain).monitor_command('{"execute": "query-block"}'))["return"]
        assert device["inserted"]["image"]["virtual-size"] == MIB
        domain.destroy()
        with pytest.raises(pyvirt.Error):
            domain.fd_associate("mine", [-1])
    finally:
        domain.undefine()


def test_nothing_secret(paused: Domain) -> None:
    assert LaunchSecurity(paused).info() == {}
    with pytest.raises(pyvirt.Error):
        LaunchSecurity(paused).set_state({"sev-secret": "x", "sev-secret-header": "y"})


def test_configurations_of_qemu(conn: pyvirt.Connection) -> None:
    line = conn.domains.xml_to_native("qemu-argv", paused_guest("as a command"))
    assert "qemu-system-x86_64" in line
    assert "guest=as a command" in line
    with pytest.raises(InvalidArgumentError):
        conn.domains.xml_to_native("no-such-format", paused_guest())
    with pytest.raises(XMLError):
        conn.domains.xml_to_native("qemu-argv", "no XML")
    with pytest.raises(OperationUnsupportedError):
        conn.domains.xml_from_native("qemu-argv", line)


def start_container(conn: pyvirt.Connection, xml: str) -> Domain:
    """Start one whose first process libvirt knows: of some it is told before it listens, and never again."""
    while True:
        domain = conn.domains.create(xml)
        for _ in poll_times(5, 0.1):
            try:
                domain.send_process_signal(1, DomainProcessSignal.NOP)
                return domain
            except OperationInvalidError as error:
                assert "not yet available" in error.message  # noqa: PT017
        domain.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")
def test_signals_and_configurations_of_containers(private_daemon_factory: DaemonFactory, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    os.mkfifo(proof)
    script = f"trap 'echo caught >{proof}' USR1; echo ready >{proof}; while :; do sleep 0.1; done"
    with pyvirt.connect(private_daemon_factory(cgroups=True).uri("lxc")) as conn:
        domain = start_container(conn, container("signalled", init="/bin/sh", arguments=["-c", script]))
        assert proof.read_text() == "ready\n"
        domain.send_process_signal(1, DomainProcessSignal.USR1)
        assert proof.read_text() == "caught\n"
        with pytest.raises(pyvirt.Error):
            domain.send_process_signal(12345, DomainProcessSignal.USR1)
        domain.destroy()
        config = "lxc.utsname = migrated\nlxc.rootfs = /srv/root\n"
        assert "<name>migrated</name>" in conn.domains.xml_from_native("lxc-tools", config)
