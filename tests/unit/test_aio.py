# SPDX-License-Identifier: LGPL-2.1-or-later
"""The asynchronous face of the model: results, arguments, errors and iteration, on asyncio and on trio."""

from __future__ import annotations

import gc
import sys
import warnings

import anyio
import pytest

import pyvirt
import pyvirt.aio
from pyvirt import DomainState, xmldesc
from pyvirt.aio._generated.storage.volumes import StorageVolumes
from pyvirt.testing.hosts import domain_name
from pyvirt.testing.pytest_plugin import HostFactory
from tests.support.drivers import since

if sys.version_info >= (3, 11):
    from typing import assert_type
else:  # with anyio
    from typing_extensions import assert_type

pytestmark = pytest.mark.anyio

NETWORK = "<network><name>extra</name><bridge name='br7'/><ip address='10.9.0.1' netmask='255.255.255.0'/></network>"


async def test_calls_return_the_async_counterparts_of_objects(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        assert_type(conn, pyvirt.aio.Connection)
        domains = await conn.domains.list()
        assert_type(domains, list[pyvirt.aio.Domain])
        assert len(domains) == await conn.domains.count() == 4
        assert {type(domain) for domain in domains} == {pyvirt.aio.Domain}

        domain = await conn.domains.get(domains[0].name)
        assert_type(domain, pyvirt.aio.Domain)
        assert domain == domains[0]
        assert hash(domain) == hash(domains[0])
        assert domain != domains[1]
        assert domain != domain.sync
        assert repr(domain) == f"<pyvirt.aio.Domain {domain.name!r} {domain.uuid}>"
        assert domain.connection == conn
        assert domain.disks["vda"].domain == domain
        assert_type(domain.disks["vda"], pyvirt.aio.Disk)
        assert_type(domain.sync, pyvirt.Domain)

        pool = (await conn.storage_pools.list())[0]
        assert_type(pool.volumes, StorageVolumes)
        assert_type(await conn.node_devices.tree(), dict[str | None, list[pyvirt.aio.NodeDevice]])

    async with pyvirt.aio.connect("test:///default") as conn:
        device = (await conn.node_devices.list())[0]
        assert_type(await device.parent(), pyvirt.aio.NodeDevice | None)
        assert await device.parent() in {None, *(await conn.node_devices.list())}
        tree = await conn.node_devices.tree()
        assert {type(one) for devices in tree.values() for one in devices} == {pyvirt.aio.NodeDevice}


@pytest.mark.parametrize("xml", [NETWORK, NETWORK.encode(), xmldesc.parse(NETWORK)], ids=["str", "bytes", "element"])
async def test_documents_are_accepted_in_every_form(xml: xmldesc.XML, libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        network = await conn.networks.define(xml)
        assert_type(network, pyvirt.aio.Network)
        assert network.name == "extra"
        with pytest.raises(TypeError, match="an lxml element, got int"):
            await conn.networks.define(5)  # type: ignore[arg-type]


async def test_plain_values_are_returned_unchanged(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        with pyvirt.connect(libvirt_test_uri) as sync:
            name = domain_name(1)
            domain = await conn.domains.get(name)
            assert await domain.state() == sync.domains[name].state()
            assert await domain.xml_desc() == sync.domains[name].xml_desc()
            assert await conn.host.capabilities() == sync.host.capabilities()
        assert_type(await domain.state(), pyvirt.DomainStateReason)


@since("virConnectGetAllDomainStats")
async def test_statistics_are_frames_of_the_model(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        frame = await conn.domains.stats()
        assert_type(frame, pyvirt.StatsFrame)
        first, second, *rest = await conn.domains.list()
        assert len(frame) == 2 + len(rest)
        assert frame.to_dicts()
        frame = await conn.domains.stats(domains=[first, second])
        assert list(frame.domains.names) == [first.name, second.name]


async def test_a_collection_is_iterated_asynchronously(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        names = [domain.name async for domain in conn.domains]
        assert names == [domain.name for domain in await conn.domains.list()]
        assert len(names) == 4
        domain = await conn.domains.get(names[0])
        disks = [disk.name async for disk in domain.disks]
        assert disks == [disk.name for disk in await domain.disks.list()]
        assert await domain.disks.count() == len(disks)
        assert await domain.disks.contains(disks[0])

        again = aiter(conn.domains)
        assert aiter(again) is again
        assert [one async for one in again] == await conn.domains.list()
        with pytest.raises(StopAsyncIteration):
            await anext(again)


async def test_get_and_contains_look_up_one_object(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        name = domain_name(1)
        domain = await conn.domains.get(name)
        assert await conn.domains.get(uuid=domain.uuid) == domain
        assert await conn.domains.contains(name)
        assert await conn.domains.contains(domain)
        assert not await conn.domains.contains("nobody")
        assert await conn.domains.get("nobody", default=None) is None
        default = await conn.domains.get("nobody", default=7)
        assert_type(default, pyvirt.aio.Domain | int)
        assert default == 7
        assert await conn.networks.get("nobody", default=None) is None
        with pytest.raises(pyvirt.DomainNotFoundError) as caught:
            await conn.domains.get("nobody")
        assert caught.value.code == 42


async def test_errors_have_the_classes_of_the_model(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        domain = await conn.domains.get(domain_name(4))
        with pytest.raises(pyvirt.OperationInvalidError) as caught:
            await domain.destroy()
        assert caught.value.function == "virDomainDestroyFlags"
        with pytest.raises(pyvirt.XMLError):
            await conn.domains.define("<domain")
        with pytest.raises(TypeError, match="expected exactly one of"):
            await conn.domains.get("a", id=1)


async def test_async_objects_are_accepted_as_arguments(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        pool = (await conn.storage_pools.list())[0]
        xml = "<volume><name>{}</name><capacity>1048576</capacity></volume>"
        volume = await pool.volumes.create(xml.format("one"))
        clone = await pool.volumes.create_from(xml.format("two"), volume)
        assert {one.name async for one in pool.volumes} >= {"one", "two"}
        assert await clone.pool() == pool


async def test_a_network_lives_from_define_to_undefine(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        network = await conn.networks.define(NETWORK)
        await network.start()
        assert await network.is_active()
        await network.destroy()
        await network.undefine()
        assert not await conn.networks.contains("extra")


# ---- blocks ----


async def test_an_edit_block_stores_the_change(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        domain = await conn.domains.get(domain_name(4))

        async def vcpus() -> str:
            from pyvirt.xmldesc import parse

            return str(parse(await domain.xml_desc()).findtext("vcpu"))

        before = await vcpus()
        async with domain.edit() as root:
            next(root.iter("vcpu")).text = "7"
        assert await vcpus() == "7" != before

        with pytest.raises(LookupError, match="no reason"):  # noqa: PT012
            async with domain.edit() as root:
                next(root.iter("vcpu")).text = "8"
                raise LookupError("no reason")
        assert await vcpus() == "7"

        with anyio.CancelScope() as scope:
            async with domain.edit() as root:
                next(root.iter("vcpu")).text = "9"
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert await vcpus() == "7"

        with pytest.raises(pyvirt.XMLError):
            async with domain.edit() as root:
                root.tag = "network"


async def test_a_cancelled_change_block_is_rolled_back(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        xml = "<interface type='ethernet' name='eth9'><mac address='aa:bb:cc:dd:ee:99'/></interface>"
        with anyio.CancelScope() as scope:
            async with conn.interfaces.change():
                await conn.interfaces.define(xml)
                assert await conn.interfaces.contains("eth9")
                scope.cancel()
                await anyio.sleep_forever()
        assert not await conn.interfaces.contains("eth9")

        async with conn.interfaces.change():  # which would fail if the previous one were still in flight
            await conn.interfaces.define(xml)
        assert await conn.interfaces.contains("eth9")


# ---- long calls ----


async def test_waiting_tasks_do_not_count_as_requests(libvirt_host: HostFactory) -> None:
    async with pyvirt.aio.connect(libvirt_host(domains=30, running=1.0), max_requests=1) as conn:
        domains = await conn.domains.list()
        seen = []

        async def wait(domain: pyvirt.aio.Domain) -> None:
            seen.append((await domain.wait_for(DomainState.SHUTOFF, interval=0.02)).state)

        async with anyio.create_task_group() as group:
            for domain in domains:
                group.start_soon(wait, domain)
            await anyio.wait_all_tasks_blocked()
            for domain in domains:
                await domain.destroy()
        assert seen == [DomainState.SHUTOFF] * 30


async def test_the_message_of_a_timeout_keeps_the_name_of_the_domain(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        domain = await conn.domains.get(domain_name(1))
        await domain.destroy()
        await domain.rename("look after 0 s")

        with pytest.raises(pyvirt.OperationTimeoutError) as caught:
            await domain.wait_for(DomainState.RUNNING, timeout=0.03)

    assert str(caught.value) == "domain 'look after 0 s' is SHUTOFF, not RUNNING, after 0.03 s"


async def test_waiting_times_out_with_the_message_of_the_model(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        domain = await conn.domains.get(domain_name(1))
        with pytest.raises(pyvirt.OperationTimeoutError, match=r"is RUNNING, not SHUTOFF, after 0\.03 s"):
            await domain.wait_for(DomainState.SHUTOFF, timeout=0.03)
        with pytest.raises(TypeError, match="at least one state"):
            await domain.wait_for()
        with pytest.raises(pyvirt.NotSupportedError):
            await domain.disks["vda"].job.wait()


async def test_a_watched_call_returns_its_result_or_raises(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        domain = await conn.domains.get(domain_name(4))
        told: list[tuple[int, int]] = []

        assert await domain.job.watch(domain.is_active, lambda done, size: told.append((done, size))) is False
        with pytest.raises(pyvirt.OperationInvalidError):
            await domain.job.watch(domain.destroy, lambda done, size: None)


# ---- opening and closing ----


async def test_a_closed_connection_raises_closed_error(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        domain = await conn.domains.get(domain_name(1))
        assert not conn.closed
        assert not domain.closed
    assert conn.closed
    assert domain.closed
    assert repr(domain) == "<pyvirt.aio.Domain closed>" or domain.name in repr(domain)
    with pytest.raises(pyvirt.ClosedError, match="the connection is closed"):
        await domain.state()
    with pytest.raises(pyvirt.ClosedError, match="the connection is closed"):
        async with conn:
            pass
    await conn.close()


async def test_connect_may_be_awaited_or_entered(libvirt_test_uri: str) -> None:
    conn = await pyvirt.aio.connect(libvirt_test_uri, readonly=True)
    assert_type(conn, pyvirt.aio.Connection)
    async with conn:
        with pytest.raises(pyvirt.AccessDeniedError):
            await (await conn.domains.list())[0].destroy()
    assert conn.closed


async def test_a_closed_handle_raises_closed_error(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        domain = await conn.domains.get(domain_name(1))
        domain.close()
        with pytest.raises(pyvirt.ClosedError, match="this Domain is closed"):
            await domain.state()


async def test_a_failed_connect_raises() -> None:
    with pytest.raises(pyvirt.ConnectionFailedError):
        await pyvirt.aio.connect("qemu+unix:///system?socket=/no/such/socket")
    with pytest.raises(ValueError, match="max_requests must be at least 1, not 0"):
        pyvirt.aio.connect("test:///default", max_requests=0)


async def test_an_unclosed_connection_warns(libvirt_test_uri: str) -> None:
    conn = await pyvirt.aio.connect(libvirt_test_uri)
    workers = conn._runtime.workers
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del conn
        gc.collect()
    workers.refuse_calls()  # its threads would end by themselves, after a while
    assert [str(one.message) for one in caught] == [f"unclosed <pyvirt.Connection '{libvirt_test_uri}'>"]


async def test_run_calls_a_function_with_the_synchronous_connection(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        names = await conn.run(lambda sync: [domain.name for domain in sync.domains])
        assert_type(names, list[str])
        assert names == [domain.name for domain in await conn.domains.list()]
