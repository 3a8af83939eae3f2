# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics through a daemon: data too large for one message, and the resources of a closed connection."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import pyvirt
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.hosts import write_host
from tests.support import ROOT
from tests.support.resources import open_sockets

SYNTHETIC = ROOT / "benchmarks" / "synthetic.c"


def test_a_frame_keeps_no_socket_open(private_daemon: PrivateDaemon) -> None:
    before = open_sockets()
    conn = pyvirt.connect(private_daemon.uri("test", path="/default"))
    assert open_sockets() != before
    frame, other = conn.domains.stats(), conn.domains.stats()
    conn.close()
    assert open_sockets() == before
    assert frame.domains.names == ["test"]
    assert frame.domains.ids.tolist() == [1]
    assert other.rates(frame) == {}


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    """A library for a daemon to preload: each of its domains then has 102 fields of statistics."""
    library = tmp_path / "synthetic.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", str(SYNTHETIC), "-o", str(library), "-lvirt"], check=True)
    return library


def test_an_inventory_longer_than_the_limit_is_complete(private_daemon: PrivateDaemon, tmp_path: Path) -> None:
    count = 16_500
    host = tmp_path / "host.xml"
    write_host(host, domains=count, running=0.5, disks=0, interfaces=0)
    os.chmod(tmp_path, 0o755)
    with pyvirt.connect(private_daemon.uri("test", path=str(host))) as conn:
        conn.domains["vm-00007"].set_autostart(True)
        inventory = conn.domains.inventory()
        assert len(inventory) == len(set(inventory.uuids)) == len(set(inventory.names)) == count
        assert [row.name for row in inventory if row.autostart] == ["vm-00007"]
        assert sum(state == pyvirt.DomainState.RUNNING for state in inventory.states) == count // 2
        assert all(inventory.persistent)


def test_statistics_too_large_for_a_message_are_fetched_in_parts(
    private_daemon_factory: Callable[..., PrivateDaemon], synthetic: Path, tmp_path: Path
) -> None:
    count = 16_000  # as many as a list may have, but with more than 32 MiB of statistics
    host = tmp_path / "host.xml"
    write_host(host, domains=count, disks=0, interfaces=0)
    os.chmod(tmp_path, 0o755)
    daemon = private_daemon_factory(env={"LD_PRELOAD": str(synthetic), "PYVIRT_SYNTHETIC_DOMAINS": str(count)})
    with pyvirt.connect(daemon.uri("test", path=str(host))) as conn:
        for _ in range(2):  # the second call knows that the list is too long
            frame = conn.domains.stats()
            assert len(frame) == count
            assert frame.fields == 102 * count
            assert frame.tables["vcpu"].rows == 4 * count
            assert len(set(frame.domains.uuids)) == count
            assert conn.alive()
    assert "Unable to encode message payload" in daemon.log  # otherwise this test proves nothing
