# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tasks and a daemon that does not answer: cancellation, timeouts, and the state afterwards."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

import pyvirt
import pyvirt.aio
from pyvirt._core.handle import Handle
from pyvirt.testing._supervisor import pause
from pyvirt.testing._system import require
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import paused_guest
from pyvirt.testing.pytest_plugin import DaemonFactory, skip_unless_in_ci
from tests.support.resources import unread_bytes
from tests.support.waiting import LIMIT, eventually

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def mortal() -> Iterator[PrivateDaemon]:
    """A daemon that may be stopped without disturbing other tests."""
    with skip_unless_in_ci():
        daemon = PrivateDaemon().start()
    yield daemon
    daemon.stop()


@pytest.fixture
def paused(mortal: PrivateDaemon) -> Iterator[Callable[[], None]]:
    """A function that stops the daemon.  The daemon resumes after the test at the latest."""
    yield mortal.pause
    mortal.resume()


@pytest.fixture
def clients(mortal: PrivateDaemon) -> Callable[[], int]:
    """A function that returns the number of clients of the daemon."""
    import subprocess

    with skip_unless_in_ci():
        [virt_admin] = require("virt-admin")

    def ask() -> int:
        command = [virt_admin, "-c", mortal.admin_uri, "client-list", "libvirtd"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return len([line for line in lines[2:] if line.strip()])

    return ask


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("pyvirt-aio")]


def handles(conn: pyvirt.aio.Connection) -> list[Handle]:
    """Return the open handles of a connection."""
    gc.collect()
    children = [child() for child in list(conn.sync._children)]
    return [child for child in children if isinstance(child, Handle) and not child.closed]


async def test_the_daemon_sees_no_more_requests_than_allowed(mortal: PrivateDaemon, paused: Callable[[], None]) -> None:
    async with pyvirt.aio.connect(mortal.uri()) as conn:
        domain = await conn.domains.get("test")
        paused()
        before = unread_bytes()
        async with anyio.create_task_group() as group:
            group.start_soon(domain.state)
            await eventually(lambda: unread_bytes() > before)
            one = unread_bytes() - before
            for _ in range(499):
                group.start_soon(domain.state)
            await eventually(lambda: unread_bytes() == before + 4 * one)
            await anyio.wait_all_tasks_blocked()
            assert (unread_bytes() - before, conn.in_flight) == (4 * one, 4)
            mortal.resume()
        assert conn._runtime.workers.most_in_flight == 4


async def test_a_cancelled_call_returns_at_once_and_its_result_is_closed(
    mortal: PrivateDaemon, paused: Callable[[], None], clients: Callable[[], int]
) -> None:
    async with pyvirt.aio.connect(mortal.uri()) as conn:
        assert clients() == 1
        domain = await conn.domains.get("test")
        paused()
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(conn.domains.list)
            await eventually(lambda: conn.in_flight == 4)
            group.cancel_scope.cancel()
        # The calls returned without an answer.  Calls in flight still count; waiting calls are never made.
        assert (conn.in_flight, conn._runtime.workers.waiting) == (4, 0)
        mortal.resume()
        await eventually(lambda: conn.in_flight == 0)
        assert handles(conn) == [domain.sync]
        assert (await domain.state()).state == pyvirt.DomainState.RUNNING
        assert conn._runtime.workers.most_in_flight == 4
    await eventually(lambda: clients() == 0)
    await eventually(lambda: not threads())


async def test_a_call_without_an_answer_times_out(mortal: PrivateDaemon, paused: Callable[[], None]) -> None:
    async with pyvirt.aio.connect(mortal.uri(), max_requests=2, call_timeout=LIMIT) as conn:
        domain = await conn.domains.get("test")
        paused()
        for _ in range(2):
            with pytest.raises(pyvirt.OperationTimeoutError, match="was not answered within"):
                await domain.state(timeout=0.02)
        with pytest.raises(pyvirt.OperationTimeoutError, match=r"did not begin within .* 2 other calls were in flight"):
            await domain.info(timeout=0.02)
        with pytest.raises(TimeoutError), anyio.fail_after(0.02):
            await domain.xml_desc()
        with pytest.raises(pyvirt.OperationTimeoutError):
            await domain.wait_for(pyvirt.DomainState.SHUTOFF, timeout=0.02)
        mortal.resume()
        assert (await domain.state()).state == pyvirt.DomainState.RUNNING  # which waits for a free slot


async def test_leaving_the_block_does_not_wait_for_a_hung_daemon(
    mortal: PrivateDaemon, paused: Callable[[], None], clients: Callable[[], int]
) -> None:
    left: list[pyvirt.aio.Connection] = []

    async def work() -> None:
        async with pyvirt.aio.connect(mortal.uri(), close_timeout=0.05) as conn:
            left.append(conn)
            paused()
            await conn.domains.list()

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await eventually(lambda: left and left[0].in_flight == 1)
        group.cancel_scope.cancel()
    assert left[0].closed
    mortal.resume()
    await eventually(lambda: clients() == 0)
    await eventually(lambda: not threads())


async def test_closing_does_not_wait_for_a_daemon_that_hangs_at_the_end(
    mortal: PrivateDaemon, paused: Callable[[], None], clients: Callable[[], int]
) -> None:
    async with pyvirt.aio.connect(mortal.uri(), close_timeout=0.05) as conn:
        await conn.domains.list()
        paused()
    assert conn.closed
    mortal.resume()
    await eventually(lambda: clients() == 0)
    await eventually(lambda: not threads())


async def test_connecting_to_a_hung_daemon_times_out(
    mortal: PrivateDaemon, paused: Callable[[], None], clients: Callable[[], int]
) -> None:
    paused()
    with pytest.raises(pyvirt.OperationTimeoutError):
        await pyvirt.aio.connect(mortal.uri(), timeout=0.05)
    with anyio.move_on_after(0.05) as scope:
        async with pyvirt.aio.connect(mortal.uri()):
            pytest.fail("it has answered")
    assert scope.cancelled_caught
    mortal.resume()
    await eventually(lambda: clients() == 0)
    await eventually(lambda: not threads())


async def test_calls_in_flight_raise_when_the_daemon_dies(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory()
    outcomes: list[object] = []
    async with pyvirt.aio.connect(daemon.uri()) as conn:

        async def call() -> None:
            try:
                outcomes.append(await conn.domains.list())
            except pyvirt.ConnectionLostError:
                outcomes.append("lost")

        daemon.pause()
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(call)
            await eventually(lambda: conn.in_flight == 4)
            daemon.kill()
        assert outcomes == ["lost"] * 20


async def test_a_hung_guest_does_not_block_other_calls(qemu_daemon: PrivateDaemon) -> None:
    # In libvirt 9.0 a call that begins just when another one starts to wait is sent only with the next message. A
    # keepalive message follows soon.
    async with pyvirt.aio.connect(qemu_daemon.uri("qemu"), keepalive=(1, LIMIT)) as conn:
        flags = pyvirt.DomainCreateFlags.PAUSED
        stuck, other = [await conn.domains.create(paused_guest(name), flags=flags) for name in ("stuck", "other")]
        pid = qemu_daemon.guest_pid("stuck")
        try:
            pause(pid)
            async with anyio.create_task_group() as group:
                # Only one: libvirt would wait 30 seconds for a second one.
                group.start_soon(monitor, stuck)
                await eventually(lambda: conn.in_flight == 1)
                for _ in range(5):
                    assert (await other.state(timeout=LIMIT)).state == pyvirt.DomainState.PAUSED
                    assert await monitor(other)
                assert conn.in_flight == 1
                group.cancel_scope.cancel()
            assert conn.in_flight == 1
            await other.job.wait(timeout=LIMIT)
        finally:
            os.kill(pid, signal.SIGCONT)
            await eventually(lambda: conn.in_flight == 0)
            for domain in (stuck, other):
                await domain.destroy()


async def monitor(domain: pyvirt.aio.Domain) -> str:
    """Ask the guest's QEMU itself."""
    return await domain.qemu.monitor_command('{"execute": "query-status"}', timeout=LIMIT)


# ---- transfers and streams ----


@pytest.fixture
def pool_xml(tmp_path: Path) -> str:
    return f"<pool type='dir'><name>{tmp_path.name}</name><target><path>{tmp_path}</path></target></pool>"


VOLUME = "<volume><name>disk</name><capacity unit='MiB'>8</capacity><allocation>0</allocation></volume>"


async def test_volumes_upload_and_download_with_progress(
    private_daemon: PrivateDaemon, pool_xml: str, tmp_path: Path
) -> None:
    data = os.urandom(8 << 20)
    (tmp_path / "source").write_bytes(data)
    async with pyvirt.aio.connect(private_daemon.uri("storage")) as conn:
        pool = await conn.storage_pools.create(pool_xml)
        volume = await pool.volumes.create(VOLUME)
        here = threading.get_ident()
        told: list[int] = []

        def progress(moved: int) -> None:
            assert threading.get_ident() == here
            told.append(moved)

        assert await volume.upload(tmp_path / "source", progress=progress) == len(data)
        assert await volume.download(tmp_path / "dest", progress=progress) == len(data)
        assert (tmp_path / "dest").read_bytes() == data
        assert told[-1] == len(data)

        def refuse(moved: int) -> None:
            raise LookupError("enough")

        with pytest.raises(LookupError, match="enough"):
            await volume.download(tmp_path / "dest", progress=refuse)
        await pool.destroy()


async def test_a_cancelled_transfer_is_aborted(private_daemon: PrivateDaemon, pool_xml: str) -> None:
    async with pyvirt.aio.connect(private_daemon.uri("storage")) as conn:
        pool = await conn.storage_pools.create(pool_xml)
        volume = await pool.volumes.create(VOLUME)
        reading, writing = os.pipe()  # without a reader, so the transfer would never end
        async with anyio.create_task_group() as group:
            with open(writing, "wb") as file:
                group.start_soon(lambda: volume.download(file))
                await eventually(lambda: conn.in_flight == 1)
                group.cancel_scope.cancel()
                os.close(reading)
        await eventually(lambda: conn.in_flight == 0)
        assert await volume.info()
        await pool.destroy()


async def test_a_volume_stream_reads_and_writes(private_daemon: PrivateDaemon, pool_xml: str) -> None:
    data = os.urandom(8 << 20)
    async with pyvirt.aio.connect(private_daemon.uri("storage")) as conn:
        pool = await conn.storage_pools.create(pool_xml)
        volume = await pool.volumes.create(VOLUME)
        async with await volume.open("w") as stream:
            assert (stream.readable(), stream.writable(), stream.closed) == (False, True, False)
            assert stream.connection == conn
            assert await stream.write(data) == len(data)
        assert stream.closed
        async with await volume.open("r") as stream:
            start = await stream.read(1000)
            assert start == data[: len(start)]
            # The next task receives what the cancelled task was about to read.
            for _ in range(20):
                with anyio.move_on_after(0.0005):
                    while chunk := await stream.read(5000):
                        start += chunk
            assert start + b"".join([chunk async for chunk in stream]) == data
            await stream.finish()
        async with await volume.open("r", offset=100, length=1000) as stream:
            assert await stream.read() == data[100:1100]
        with pytest.raises(LookupError):
            async with await volume.open("r"):
                raise LookupError
        assert conn.in_flight == 0
        await pool.destroy()


async def test_a_waiting_stream_does_not_count_as_a_request(private_daemon: PrivateDaemon, pool_xml: str) -> None:
    readable = pyvirt.StreamEventType.READABLE
    async with pyvirt.aio.connect(private_daemon.uri("storage")) as conn:
        pool = await conn.storage_pools.create(pool_xml)
        volume = await pool.volumes.create(VOLUME)
        async with await volume.open("w") as stream:
            async with anyio.create_task_group() as group:
                group.start_soon(stream.wait, readable)  # a stream that is written to is never readable
                await anyio.wait_all_tasks_blocked()
                assert conn.in_flight == 0
                group.cancel_scope.cancel()
            assert await stream.wait(readable, timeout=0.01) == 0
        await pool.destroy()
