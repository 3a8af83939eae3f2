# SPDX-License-Identifier: LGPL-2.1-or-later
"""The interfaces that only QEMU guests, or only containers, have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

import pyvirt
from pyvirt import qemu
from pyvirt.enums import DomainQemuMonitorCommandFlags
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import container, paused_guest


@pytest.fixture
def guest(qemu: pyvirt.Connection) -> pyvirt.Domain:
    return qemu.domains.create(paused_guest("monitored", agent=True), flags=pyvirt.DomainCreateFlags.PAUSED)


def test_monitor_command_returns_the_answer(guest: pyvirt.Domain) -> None:
    answer = json.loads(guest.qemu.monitor_command('{"execute": "query-status"}'))
    assert answer["return"]["running"] is False
    text = guest.qemu.monitor_command("info status", flags=DomainQemuMonitorCommandFlags.HMP)
    assert "paused" in text


def test_monitor_command_passes_file_descriptors(guest: pyvirt.Domain) -> None:
    read, write = os.pipe()
    try:
        answer, given = guest.qemu.monitor_command_with_files(
            '{"execute": "getfd", "arguments": {"fdname": "mine"}}', [read]
        )
        assert json.loads(answer)["return"] == {}
        assert given == []
    finally:
        os.close(read)
        os.close(write)


def test_an_unknown_command_is_answered_and_invalid_json_raises(guest: pyvirt.Domain) -> None:
    answer = json.loads(guest.qemu.monitor_command('{"execute": "no-such-command"}'))
    assert answer["error"]["class"] == "CommandNotFound"
    with pytest.raises(pyvirt.Error):
        guest.qemu.monitor_command("no json")


def test_an_agent_command_without_an_agent_raises(guest: pyvirt.Domain) -> None:
    with pytest.raises((pyvirt.AgentUnresponsiveError, pyvirt.OperationInvalidError)):
        guest.qemu.agent_command('{"execute": "guest-ping"}', timeout=1)


def test_attach_to_another_process_is_refused(guest: pyvirt.Domain) -> None:
    with pytest.raises(pyvirt.NotSupportedError):
        qemu.attach(guest.connection, os.getpid())  # libvirt's QEMU driver gave it up in 5.5


def test_other_drivers_have_no_monitor() -> None:
    with pyvirt.connect("test:///default") as conn, pytest.raises(pyvirt.OperationUnsupportedError):
        conn.domains["test"].qemu.monitor_command("{}")


ENTER = """
import os, sys, pyvirt
from pyvirt.lxc import LxcDomain
with pyvirt.connect(sys.argv[1]) as conn:
    lxc = LxcDomain(conn.domains[sys.argv[2]])
    lxc.enter_namespace(lxc.open_namespace())
    child = os.fork()  # a process namespace is entered by children
    if not child:
        print(open("/proc/1/comm").read().strip(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def namespaces_of(domain: pyvirt.Domain) -> list[int] | None:
    """Open them as soon as the container's first process exists.

    libvirt learns of it by an event of the container's controller, and sometimes misses that event.
    """
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        try:
            return domain.lxc.open_namespace()
        except pyvirt.OperationInvalidError as error:
            if "Init pid" not in error.message:
                raise
    return None


@pytest.fixture
def entered(private_daemon_factory: Callable[..., PrivateDaemon]) -> Iterator[tuple[pyvirt.Domain, list[int]]]:
    """A container whose first process is known to libvirt, and its namespaces."""
    with pyvirt.connect(private_daemon_factory(cgroups=True).uri("lxc")) as conn:
        for _ in range(6):
            domain = conn.domains.create(container("entered"))
            namespaces = namespaces_of(domain)
            if namespaces is not None:
                yield domain, namespaces
                domain.destroy()
                return
            domain.destroy()
    pytest.fail("libvirt never heard of the first process of a container")


def test_the_namespaces_of_a_container_can_be_opened_and_entered(entered: tuple[pyvirt.Domain, list[int]]) -> None:
    domain, namespaces = entered
    assert len(namespaces) >= 4
    for fd in namespaces:
        kind, _, _ = os.readlink(f"/proc/self/fd/{fd}").partition(":")
        assert kind in {"ipc", "mnt", "net", "pid", "user", "uts"}
        os.close(fd)
    command = [sys.executable, "-c", ENTER, domain.connection.uri(), "entered"]
    give_up = time.monotonic() + 30
    while (first := subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()) != "sleep":
        assert time.monotonic() < give_up, first  # it has no /proc of its own yet, or does not yet run that program
