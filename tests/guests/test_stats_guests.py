# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics of real guests: every field that QEMU's driver has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyvirt
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import paused_guest, tiny_guest, write_boot_disk

GUESTS = 3


@pytest.fixture(scope="module")
def uri(qemu_daemon: PrivateDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon with a running guest and some that are paused, which have no disk."""
    disk = tmp_path_factory.mktemp("stats") / "boot.img"
    write_boot_disk(disk)
    uri = qemu_daemon.uri("qemu")
    with pyvirt.connect(uri) as conn:
        made = [conn.domains.create(tiny_guest("stats-busy", disk))]
        for number in range(GUESTS - 1):
            xml = paused_guest(f"stats-{number}", vcpus=number + 1)
            made.append(conn.domains.create(xml, flags=pyvirt.DomainCreateFlags.PAUSED))
        yield uri
        for domain in made:
            domain.destroy()


def test_every_field_that_virsh_prints_is_in_the_frame(uri: str) -> None:
    with pyvirt.connect(uri) as conn:
        guests = [domain for domain in conn.domains if domain.name.startswith("stats-")]
        frame = conn.domains.stats(domains=guests)
        assert len(frame) == GUESTS
        # virsh prints what it gets from the same daemon, without any code of pyvirt.
        rows = dict(zip(frame.domains.names, frame.to_dicts(), strict=True))
        for name, row in rows.items():
            printed = subprocess.run(
                ["virsh", "-c", uri, "domstats", name], check=True, capture_output=True, text=True
            ).stdout
            theirs = dict(line.strip().split("=", 1) for line in printed.splitlines() if "=" in line)
            assert list(row) == list(theirs)
            for field in ("state.state", "vcpu.maximum", "balloon.maximum", "block.count", "net.count"):
                assert str(row.get(field)) == str(theirs.get(field) and int(theirs[field]))
        assert rows["stats-busy"]["block.0.name"] == "hda"
        assert rows["stats-1"]["vcpu.1.state"] == 1


def test_tables_hold_what_each_guest_has(uri: str) -> None:
    with pyvirt.connect(uri) as conn:
        frame = conn.domains.stats()
        busy = frame.domains.names.index("stats-busy")
        block, vcpu = frame.tables["block"], frame.tables["vcpu"]
        assert block.domain.tolist().count(busy) == 1
        assert block["capacity"].to_list()[block.domain.tolist().index(busy)] == 1 << 20
        two = frame.domains.names.index("stats-1")
        rows = [row for row, domain in enumerate(vcpu.domain) if domain == two]
        assert [vcpu.index[0][row] for row in rows] == [0, 1]


def test_rates_of_running_guests_are_present(uri: str) -> None:
    with pyvirt.connect(uri) as conn:
        before = conn.domains.stats()
        now = conn.domains.stats()
        rates = now.rates(before)
        cpu = dict(zip(now.domains.names, rates["domain"]["cpu.time"].to_list(), strict=True))
        for name in ("stats-busy", "stats-0", "stats-1"):
            rate = cpu[name]
            assert rate is not None
            assert rate >= 0
        reads = rates["block"]["rd.reqs"]
        assert reads.present == len(reads) >= 1


def pyvirt_stats(*arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-m", "pyvirt", "stats", *arguments]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert run.stderr == ""
    return run.stdout


def test_the_command_line_prints_statistics_as_json(uri: str) -> None:
    (tick,) = [json.loads(line) for line in pyvirt_stats(uri, "-i", "0.2", "-n", "2", "-f", "json").splitlines()]
    busy = next(domain for domain in tick["domains"] if domain["name"] == "stats-busy")
    assert busy["stats"]["block.0.name"] == "hda"
    assert busy["rates"]["cpu.time"] >= 0
    assert Path(busy["stats"]["block.0.path"]).name == "boot.img"
    assert tick["missing"] == {}


def test_the_command_line_counts_hung_guests(qemu_daemon: PrivateDaemon, uri: str) -> None:
    pid = qemu_daemon.guest_pid("stats-0")
    os.kill(pid, signal.SIGSTOP)
    try:
        table = pyvirt_stats(uri, "--deadline", "2")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "stats-1" in table
    assert "stats-0" not in table
    assert table.splitlines()[-1] == "missing: 1 stuck"
