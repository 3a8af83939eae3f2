# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

import pyvirt
from pyvirt.enums import DomainState
from pyvirt.testing.hosts import domain_name, host_uri, host_xml, object_uuid, temporary_host, write_host
from pyvirt.testing.pytest_plugin import HostFactory
from pyvirt.uri import URI


def virsh(uri: str, *command: str) -> list[str]:
    """Ask libvirt's own client, independently of pyvirt."""
    # virsh works with one libvirt only, and pyvirt may run on another.
    env = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    answer = subprocess.run(["virsh", "-c", uri, *command], check=True, capture_output=True, text=True, env=env)
    return answer.stdout.split()


def test_libvirt_finds_every_domain_in_its_state(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=2000, running=0.5, paused=0.25)) as conn:
        states = Counter(domain.state().state for domain in conn.domains)
    assert states == {DomainState.RUNNING: 1000, DomainState.PAUSED: 500, DomainState.SHUTOFF: 500}


def test_domains_have_the_requested_size_and_devices(libvirt_host: HostFactory) -> None:
    uri = libvirt_host(domains=7, vcpus=(1, 2), memory=64 << 20, disks=(0, 3), interfaces=2, networks=3)
    with pyvirt.connect(uri) as conn:
        assert sorted(domain.name for domain in conn.domains) == [domain_name(n) for n in range(1, 8)]
        domain = conn.domains["vm-00004"]
        assert domain.uuid == object_uuid("vm-00004")
        info = domain.info()
        assert (info.vcpus, info.memory) == (2, 64 << 20)
        devices = ElementTree.fromstring(domain.xml_desc()).find("devices")
    assert devices is not None
    assert [target.get("dev") for target in devices.iterfind("disk/target")] == ["vda", "vdb", "vdc"]
    assert [source.get("network") for source in devices.iterfind("interface/source")] == ["net-1"] * 2
    assert len({mac.get("address") for mac in devices.iterfind("interface/mac")}) == 2


def test_networks_pools_and_volumes_are_made(libvirt_host: HostFactory) -> None:
    uri = libvirt_host(domains=1, networks=300, pools=2, volumes=3)
    assert len(virsh(uri, "net-list", "--name")) == 300
    assert virsh(uri, "net-uuid", "net-300") == [str(object_uuid("net-300"))]
    assert virsh(uri, "pool-list", "--name") == ["pool-1", "pool-2"]
    assert virsh(uri, "vol-key", "volume-3.raw", "--pool", "pool-2") == ["/var/lib/libvirt/pool-2/volume-3.raw"]


def test_an_empty_host_is_made(libvirt_host: HostFactory) -> None:
    uri = libvirt_host(domains=0, networks=0, pools=0)
    with pyvirt.connect(uri) as conn:
        assert list(conn.domains) == []
    assert virsh(uri, "net-list", "--all", "--name") == []


def test_the_same_arguments_give_the_same_host() -> None:
    assert host_xml(domains=50, running=0.3) == host_xml(domains=50, running=0.3)


@pytest.mark.parametrize(("running", "paused"), [(0.8, 0.3), (-0.1, 0.0), (1.1, 0.0), (0.5, -0.2)])
def test_fractions_above_1_are_refused(running: float, paused: float) -> None:
    with pytest.raises(ValueError, match="fractions"):
        host_xml(domains=10, running=running, paused=paused)


def test_credentials_are_demanded(libvirt_host: HostFactory) -> None:
    uri = libvirt_host(domains=1, credentials={"alice": "s3cr'et\"<&>", "bob & co": "other"})
    with pytest.raises(pyvirt.Error, match="credentials"):
        pyvirt.connect(uri)
    with pytest.raises(pyvirt.AuthenticationError):
        pyvirt.connect(uri, auth={"username": "alice", "password": "other"})
    for user, password in (("alice", "s3cr'et\"<&>"), ("bob & co", "other")):
        with pyvirt.connect(uri, auth={"username": user, "password": password}) as conn:
            assert len(conn.domains) == 1


def test_a_temporary_host_is_removed() -> None:
    with temporary_host(domains=2) as uri:
        path = Path(URI.parse(uri).path)
        assert path.is_absolute()
        with pyvirt.connect(uri) as conn:
            assert len(conn.domains) == 2
    assert not path.exists()
    assert not path.parent.exists()


def test_a_path_with_special_characters_works(tmp_path: Path) -> None:
    path = tmp_path / "a host #1, 100% ?.xml"
    uri = write_host(path, domains=3)
    assert uri == host_uri(path)
    with pyvirt.connect(uri) as conn:
        assert len(conn.domains) == 3


def test_every_test_has_a_host_of_its_own(libvirt_test_uri: str) -> None:
    with pyvirt.connect(libvirt_test_uri) as one, pyvirt.connect(libvirt_test_uri) as other:
        states = Counter(domain.state().state for domain in one.domains)
        assert states == {DomainState.RUNNING: 2, DomainState.PAUSED: 1, DomainState.SHUTOFF: 1}
        one.domains["vm-00004"].undefine()
        assert len(one.domains) == 3
        assert len(other.domains) == 4


def test_the_command_line_writes_a_host(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pyvirt.testing", "host", "--domains", "12", "-o", str(tmp_path / "h.xml")]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    assert output.stderr == ""
    assert output.stdout == f"{host_uri(tmp_path / 'h.xml')}\n"
    with pyvirt.connect(output.stdout.strip()) as conn:
        assert len(conn.domains) == 12


@pytest.mark.parametrize("arguments", [["--domains", "-1"], ["--domains", "many"], ["--running", "2"]])
def test_the_command_line_refuses_invalid_arguments(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pyvirt.testing", "host", *arguments, "-o", str(tmp_path / "h.xml")]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode != 0
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "h.xml").exists()
