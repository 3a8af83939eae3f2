# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests on the asynchronous face: consoles, shutdown, jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

import pyvirt
import pyvirt.aio
from pyvirt import DomainState
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import READY, DiskConfig, paused_guest, tiny_guest, write_boot_disk

pytestmark = pytest.mark.anyio

LIMIT = 60  # seconds to wait for something that usually takes less than one


@pytest.fixture
async def conn(qemu: pyvirt.Connection, qemu_daemon: PrivateDaemon) -> AsyncIterator[pyvirt.aio.Connection]:
    async with pyvirt.aio.connect(qemu_daemon.uri("qemu")) as opened:
        yield opened


async def expect(console: pyvirt.aio.Stream, text: bytes) -> None:
    got = b""
    with anyio.fail_after(LIMIT):
        while text not in got:
            chunk = await console.read(1000)
            assert chunk
            got += chunk


async def test_a_console_reads_and_writes(conn: pyvirt.aio.Connection, tmp_path: Path) -> None:
    disk = write_boot_disk(tmp_path / "boot.img")
    domain = await conn.domains.create(tiny_guest("tiny", disk), flags=pyvirt.DomainCreateFlags.PAUSED)
    async with await domain.console() as console:
        async with anyio.create_task_group() as group:
            group.start_soon(expect, console, READY.encode())
            await anyio.wait_all_tasks_blocked()
            assert conn.in_flight == 0
            await domain.resume()
        for message in (b"x", b"a longer one", b"over\r\n"):
            await console.write(message)
            await expect(console, message)
        # A waiting task can be cancelled.
        with anyio.move_on_after(0.01) as scope:
            await console.read(1)
        assert scope.cancelled_caught


async def test_many_tasks_wait_for_one_domain(conn: pyvirt.aio.Connection) -> None:
    domain = await conn.domains.create(paused_guest("ends"), flags=pyvirt.DomainCreateFlags.PAUSED)
    states: list[DomainState] = []

    async def wait() -> None:
        states.append((await domain.wait_for(DomainState.SHUTOFF, timeout=LIMIT)).state)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(wait)
        await domain.job.wait(timeout=LIMIT)
        await domain.destroy()
    assert states == [DomainState.SHUTOFF] * 10


async def test_a_block_job_is_awaited_and_pivoted(conn: pyvirt.aio.Connection, tmp_path: Path) -> None:
    for name in ("disk", "copy"):
        (tmp_path / name).write_bytes(bytes(1 << 20))
    xml = paused_guest("copied", disks=[DiskConfig(tmp_path / "disk")])
    domain = await conn.domains.create(xml, flags=pyvirt.DomainCreateFlags.PAUSED)
    disk = next(iter(await domain.disks.list()))
    told: list[tuple[int, int]] = []
    copy = f"<disk type='file'><source file='{tmp_path / 'copy'}'/><driver type='raw'/></disk>"
    flags = pyvirt.DomainBlockCopyFlags.REUSE_EXT | pyvirt.DomainBlockCopyFlags.TRANSIENT_JOB

    job = await disk.copy_to(copy, flags=flags)
    await job.wait(timeout=LIMIT, progress=lambda done, size: told.append((done, size)))
    info = await job.info()
    assert info is not None
    assert info.ready
    assert told
    await job.pivot()
    assert await job.info() is None
    await disk.job.wait(timeout=LIMIT)  # without a job it returns at once
    assert str(tmp_path / "copy") in await domain.xml_desc()


async def test_a_domain_is_saved_by_a_watched_call(conn: pyvirt.aio.Connection, tmp_path: Path) -> None:
    domain = await conn.domains.create(paused_guest("saved"), flags=pyvirt.DomainCreateFlags.PAUSED)
    path = str(tmp_path / "saved")
    await domain.job.watch(lambda: domain.save(path), lambda done, size: None, interval=0.01)
    assert not await conn.domains.contains("saved")
    await conn.domains.restore(path)
    assert (await (await conn.domains.get("saved")).state()).state == DomainState.PAUSED
