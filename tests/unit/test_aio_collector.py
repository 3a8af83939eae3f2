# SPDX-License-Identifier: LGPL-2.1-or-later
"""The asynchronous collector, on asyncio and on trio."""

from __future__ import annotations

import anyio
import pytest

import pyvirt
import pyvirt.aio
from pyvirt import StatsGroup
from pyvirt.testing.pytest_plugin import HostFactory

pytestmark = pytest.mark.anyio


async def test_ticks_are_awaited_or_iterated(libvirt_host: HostFactory) -> None:
    async with (
        pyvirt.aio.connect(libvirt_host(domains=20)) as one,
        pyvirt.aio.connect(libvirt_host(domains=10)) as other,
        pyvirt.aio.Collector([one, other], groups=StatsGroup.STATE, interval=0.01, deadline=60) as collector,
    ):
        assert len(await collector.collect()) == 30
        sizes = []
        async for frame in collector:
            sizes.append(len(frame))
            if len(sizes) == 3:
                break
        assert sizes == [30, 30, 30]
        assert one.in_flight == 0


async def test_hosts_are_named_by_a_mapping(libvirt_host: HostFactory) -> None:
    async with (
        pyvirt.aio.connect(libvirt_host(domains=3)) as one,
        pyvirt.aio.connect(libvirt_host(domains=2)) as other,
        pyvirt.aio.Collector({"one": one, "other": other}, deadline=60) as collector,
    ):
        frame = await collector.collect()
    assert sorted(frame.domains.host_names) == ["one"] * 3 + ["other"] * 2
    assert frame["other", "vm-00001"].host == "other"


async def test_an_iteration_ends_with_the_collector(libvirt_host: HostFactory) -> None:
    async with pyvirt.aio.connect(libvirt_host(domains=5)) as conn:
        collector = pyvirt.aio.Collector(conn, groups=StatsGroup.STATE, interval=0.01, deadline=60)
        ticks = 0
        async for _ in collector:
            ticks += 1
            await collector.close()
        assert ticks == 1
        with pytest.raises(pyvirt.ClosedError):
            await collector.collect()


async def test_closing_ends_an_iteration_that_waits(libvirt_host: HostFactory) -> None:
    async with pyvirt.aio.connect(libvirt_host(domains=5)) as conn:
        collector = pyvirt.aio.Collector(conn, groups=StatsGroup.STATE, interval=1000, deadline=60)
        ticks: list[int] = []

        async def go() -> None:
            async for frame in collector:
                ticks.append(len(frame))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(go)
                while not ticks:
                    await anyio.sleep(0.001)
                await collector.close()
        assert ticks == [5]


async def test_a_cancelled_tick_is_over_before_the_next(libvirt_host: HostFactory) -> None:
    async with (
        pyvirt.aio.connect(libvirt_host(domains=200)) as conn,
        pyvirt.aio.Collector(conn, deadline=60) as collector,
    ):
        for _ in range(5):
            with anyio.move_on_after(0.0001):
                await collector.collect()
        assert len(await collector.collect()) == 200


async def test_invalid_arguments_are_refused(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn, pyvirt.aio.Collector(conn) as collector:
        with pytest.raises(ValueError, match="without an interval"):
            aiter(collector)
        with pytest.raises(ValueError, match="no connection"):
            pyvirt.aio.Collector([])
