# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent of a real Linux guest; and input to guests: keys, interrupts, signals, files."""

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
    """A directory with the guest's disk, and with the output of its serial port."""
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
    """A guest with an agent channel but without an agent."""
    domain = conn.domains.create(paused_guest(next(names), agent=True, devices=VNC), flags=DomainCreateFlags.PAUSED)
    yield domain
    domain.destroy()


def ask(domain: Domain, command: str, **arguments: object) -> object:
    """Send the agent a command for which libvirt has no function."""
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


# What the agent reports


def test_guest_info_returns_what_the_agent_reports(agent: Agent) -> None:
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


def test_guest_info_returns_the_requested_types_only(agent: Agent) -> None:
    assert agent.guest_info(DomainGuestInfoTypes.TIMEZONE | DomainGuestInfoTypes.HOSTNAME).keys() == {
        "hostname",
        "timezone",
    }
    with pytest.raises(InvalidArgumentError):
        agent.guest_info(DomainGuestInfoTypes(1 << 30))


def test_the_hostname_of_a_missing_lease_raises(agent: Agent) -> None:
    with pytest.raises(pyvirt.Error, match="no hostname"):
        agent.hostname(flags=DomainGetHostnameFlags.LEASE)  # it is not on a network of libvirt


def test_fs_info_lists_the_mounted_file_systems(agent: Agent) -> None:
    assert agent.fs_info() == [FilesystemInfo("/mnt", "vda", "ext4", ("vda",))]


def test_a_frozen_guest_refuses_to_freeze_again_until_thawed(agent: Agent) -> None:
    assert agent.fs_freeze() == 1
    with pytest.raises(pyvirt.Error, match="frozen"):
        agent.fs_freeze()
    with pytest.raises(pyvirt.Error, match="frozen"):
        agent.fs_info()
    assert agent.fs_thaw() == 1
    assert agent.fs_thaw() == 0
    agent.fs_info()


def test_fs_freeze_freezes_the_given_mountpoints_only(agent: Agent) -> None:
    with pytest.raises(InvalidArgumentError):
        agent.fs_freeze([])
    assert agent.fs_freeze(["/nope"]) == 0
    assert agent.fs_thaw() == 0
    assert agent.fs_freeze(["/mnt", "/nope"]) == 1
    with pytest.raises(NotSupportedError):
        agent.fs_thaw(["/mnt"])
    assert agent.fs_thaw() == 1


def test_fs_trim_does_not_grow_the_image(agent: Agent, files: Path) -> None:
    disk = files / "disk"
    before = disk.stat().st_blocks
    agent.fs_trim(minimum=MIB)
    agent.fs_trim()
    assert disk.stat().st_blocks <= before
    with pytest.raises(NotSupportedError):
        agent.fs_trim("/mnt")


def test_the_clock_of_the_guest_is_read_set_and_synchronised(agent: Agent) -> None:
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


def test_set_user_password_sets_it_in_the_guest(agent: Agent) -> None:
    agent.set_user_password("root", "$1$pyvirt$x", flags=DomainSetUserPasswordFlags.ENCRYPTED)
    assert read_file(agent.domain, "/etc/shadow").startswith("root:$1$pyvirt$x:")
    agent.set_user_password("root", "in clear: ü")
    assert read_file(agent.domain, "/etc/shadow").startswith("root:$6$")
    with pytest.raises(pyvirt.Error) as caught:
        agent.set_user_password("nobody", "secret")
    assert "secret" not in str(caught.value)


def test_ssh_keys_are_added_and_removed(agent: Agent) -> None:
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


def test_the_response_timeout_ends_a_call_to_a_silent_agent(agent: Agent) -> None:
    with pytest.raises(InvalidArgumentError):
        agent.set_response_timeout(-7)
    agent.domain.suspend()
    try:
        agent.set_response_timeout(1)
        with pytest.raises(OperationInvalidError):
            agent.time()  # libvirt knows that the agent cannot answer
    finally:
        agent.domain.resume()
        agent.set_response_timeout(DomainAgentResponseTimeout.DEFAULT)
    assert agent.hostname() == "agent-guest"


def test_without_an_agent_every_call_raises(paused: Domain) -> None:
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


def test_a_hung_agent_makes_calls_time_out(conn: pyvirt.Connection, linux_image: LinuxImage) -> None:
    domain = start_linux_guest(conn, linux_image, next(names))
    try:
        agent = Agent(domain)
        agent.set_response_timeout(1)
        try:
            ask(domain, "guest-exec", path="killall", arg=["-STOP", "qemu-ga"])
        except AgentUnresponsiveError:
            pass  # the agent had no time to answer
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


# Input to a guest


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


def test_inject_nmi_reaches_the_kernel(linux: Domain, files: Path) -> None:
    linux.inject_nmi()
    for _ in poll_times(ANSWER_TIME, 0.1):
        if "NMI" in (files / "serial").read_text():
            return
    pytest.fail("the kernel has not complained")


def test_the_display_is_opened_as_a_file_descriptor(paused: Domain) -> None:
    banner = b"RFB 003.008\n"
    with socket.socket(fileno=paused.open_graphics_fd(flags=DomainOpenGraphicsFlags.SKIPAUTH)) as client:
        assert client.recv(12, socket.MSG_WAITALL) == banner
        client.sendall(banner)
        assert client.recv(2, socket.MSG_WAITALL) == b"\1\1"  # one authentication method: none
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            paused.open_graphics(theirs.fileno(), 0)
        assert ours.recv(12, socket.MSG_WAITALL) == banner
        ours.sendall(banner)
        assert ours.recv(2, socket.MSG_WAITALL) == b"\1\2"  # a password
    with pytest.raises(pyvirt.Error):
        paused.open_graphics_fd(3)


def test_messages_report_a_tainted_domain(paused: Domain) -> None:
    before = paused.messages()  # reports that it runs as root, if it does
    QemuDomain(paused).monitor_command('{"execute": "query-status"}')
    (message,) = set(paused.messages(DomainMessageType.TAINTING)) - set(before)
    assert message.startswith("tainted: custom")
    assert paused.messages(DomainMessageType.DEPRECATION) == []
    assert paused.security_label() == SecurityLabel("", False)
    assert paused.security_labels()[0] == SecurityLabel(
        "", False
    )  # the label of no driver; then, for root, of file owners
    with pytest.raises(OperationUnsupportedError):
        paused.send_process_signal(1, DomainProcessSignal.TERM)


def test_fd_associate_passes_an_open_file_as_a_disk(conn: pyvirt.Connection, tmp_path: Path) -> None:
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


def test_launch_security_is_absent_without_sev(paused: Domain) -> None:
    assert LaunchSecurity(paused).info() == {}
    with pytest.raises(pyvirt.Error):
        LaunchSecurity(paused).set_state({"sev-secret": "x", "sev-secret-header": "y"})


def test_a_domain_is_converted_to_a_qemu_command_line(conn: pyvirt.Connection) -> None:
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
    """Start a container whose first process libvirt knows: it misses some that start before it listens."""
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
def test_a_container_receives_signals_and_lxc_configurations_are_converted(
    private_daemon_factory: DaemonFactory, tmp_path: Path
) -> None:
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
