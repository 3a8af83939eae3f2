# SPDX-License-Identifier: LGPL-2.1-or-later
"""The small Linux of the testbed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

import pyvirt
import pyvirt.testing.linux_guest as testbed
from pyvirt.domain import Domain
from pyvirt.domain._wait import poll_times
from pyvirt.domain.agent import Agent
from pyvirt.enums import DomainShutdownFlags, DomainState
from pyvirt.errors import OperationTimeoutError
from pyvirt.testing._system import TestbedUnavailable
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import READY, paused_guest
from pyvirt.testing.linux_guest import LinuxImage, start_linux_guest, wait_for_agent


def test_a_linux_guest_gets_a_network_address(linux_guest: Domain) -> None:
    addresses = {
        interface["name"]: [address["addr"] for address in interface["addr"]]
        for interface in Agent(linux_guest).guest_info()["if"]
    }
    assert "10.0.2.15" in addresses["eth0"]  # what QEMU's own network gives


def test_linux_guest_makes_the_expected_document() -> None:
    image = LinuxImage(Path("/images/k&r"), Path("/images/initrd"))
    root = ElementTree.fromstring(testbed.linux_guest("Web 1.example", image, command_line="TASK='a b'", vcpus=2))
    assert (root.findtext("os/kernel"), root.findtext("os/initrd")) == ("/images/k&r", "/images/initrd")
    words = (root.findtext("os/cmdline") or "").split()
    assert words[-4:] == ["GUEST_NAME=Web-1-example", "GUEST_AGENT=1", "TASK='a", "b'"]
    assert (root.findtext("vcpu"), root.findtext("memory")) == ("2", str(96 << 20))
    assert root.find("features/acpi") is not None
    assert root.find("devices/memballoon[@model='virtio']/stats") is not None
    silent = ElementTree.fromstring(testbed.linux_guest("silent", image, agent=False))
    assert "GUEST_AGENT" not in (silent.findtext("os/cmdline") or "")


def test_a_linux_guest_prints_ready_and_obeys_the_power_button(
    qemu_daemon: PrivateDaemon, linux_image: LinuxImage, tmp_path: Path
) -> None:
    with pyvirt.connect(qemu_daemon.uri("qemu")) as conn:
        domain = start_linux_guest(conn, linux_image, "obedient", serial=tmp_path / "serial")
        for _ in poll_times(60, 0.1):
            if "\n" in (text := (tmp_path / "serial").read_text()):
                break
        assert text.splitlines()[0] == READY
        domain.shutdown(flags=DomainShutdownFlags.ACPI_POWER_BTN)
        domain.wait_for(DomainState.SHUTOFF, timeout=60)


def test_waiting_for_a_silent_agent_times_out(qemu_daemon: PrivateDaemon, linux_image: LinuxImage) -> None:
    with pyvirt.connect(qemu_daemon.uri("qemu")) as conn:
        with pytest.raises(OperationTimeoutError, match="mute"):
            start_linux_guest(conn, linux_image, "mute", command_line="GUEST_AGENT=", timeout=0.1)
        assert "mute" not in conn.domains
        domain = conn.domains.create(paused_guest("mute", agent=True))
        try:
            with pytest.raises(OperationTimeoutError, match="not connected"):
                wait_for_agent(domain, timeout=0)
        finally:
            domain.destroy()


def test_missing_tools_for_the_image_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    empty = tmp_path / "empty"
    empty.mkdir()
    settings = tmp_path / "apt.conf"
    settings.write_text(f'Dir::State::lists "{empty}";\nDir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n')
    with monkeypatch.context() as patch:
        patch.setenv("APT_CONFIG", str(settings))
        with pytest.raises(TestbedUnavailable, match="linux-image-cloud-amd64"):
            testbed.linux_image()
    monkeypatch.setenv("PATH", str(empty))
    with pytest.raises(TestbedUnavailable, match=r"busybox.* apt-get.*apt install busybox-static apt"):
        testbed.linux_image()
    assert list((tmp_path / "cache/pyvirt").iterdir()) == []


def test_the_image_is_built_once(linux_image: LinuxImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert testbed.linux_image() == testbed.linux_image(linux_image.kernel.parents[1]) == linux_image


def test_the_agent_shuts_the_guest_down(linux_guest: Domain) -> None:
    """The last test: it shuts down the guest of this module."""
    linux_guest.shutdown(flags=DomainShutdownFlags.GUEST_AGENT)
    assert linux_guest.wait_for(DomainState.SHUTOFF, timeout=60).state is DomainState.SHUTOFF
