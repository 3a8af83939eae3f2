# SPDX-License-Identifier: LGPL-2.1-or-later
"""How calls are made for tasks: the limit, cancellation, timeouts, disposal and closing, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import anyio
import pytest

import pyvirt
import pyvirt.aio
from pyvirt._core.root import _open_roots
from pyvirt.aio._base import close_files, dispose
from pyvirt.testing.hosts import domain_name
from pyvirt.testing.pytest_plugin import HostFactory
from tests.support.processes import output_of
from tests.support.waiting import LIMIT, eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
async def conn(libvirt_test_uri: str) -> AsyncIterator[pyvirt.aio.Connection]:
    async with pyvirt.aio.connect(libvirt_test_uri, close_timeout=LIMIT) as opened:
        yield opened


class Gate:
    """Calls wait in it until it is opened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = threading.Event()
        self.inside = self.most = self.passed = 0

    def __call__(self, *_: object) -> int:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self._open.wait(LIMIT)
        with self._lock:
            self.inside -= 1
            self.passed += 1
            return self.passed

    def open(self) -> None:
        self._open.set()

    async def has(self, inside: int) -> None:
        await eventually(lambda: self.inside == inside)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()  # a failed test must not keep threads


# ---- the limit of requests ----


async def test_no_more_requests_are_in_flight_than_allowed(conn: pyvirt.aio.Connection, gate: Gate) -> None:
    assert conn.max_requests == 4
    results: list[int] = []

    async def call() -> None:
        results.append(await conn.run(gate))

    async with anyio.create_task_group() as group:
        for _ in range(500):
            group.start_soon(call)
        await gate.has(4)
        await anyio.wait_all_tasks_blocked()
        assert conn.in_flight == 4
        assert conn._runtime.workers.waiting == 496
        gate.open()
    assert sorted(results) == list(range(1, 501))
    assert gate.most == 4
    assert conn._runtime.workers.most_in_flight == 4


async def test_calls_begin_in_the_order_in_which_they_were_made(libvirt_test_uri: str, gate: Gate) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri, max_requests=1) as conn:
        begun: list[int] = []
        async with anyio.create_task_group() as group:
            group.start_soon(conn.run, gate)
            await gate.has(1)
            for number in range(20):
                group.start_soon(conn.run, lambda _, number=number: begun.append(number))
                await anyio.wait_all_tasks_blocked()
            gate.open()
        assert begun == list(range(20))


async def test_the_loop_runs_on_during_many_calls(libvirt_host: HostFactory) -> None:
    """During five hundred calls every other task still runs."""
    async with pyvirt.aio.connect(libvirt_host(domains=50)) as conn:
        domains = await conn.domains.list()
        gaps: list[float] = []

        async def beat() -> None:
            while True:
                before = time.monotonic()
                await anyio.sleep(0.001)
                gaps.append(time.monotonic() - before)

        async with anyio.create_task_group() as group:
            group.start_soon(beat)
            async with anyio.create_task_group() as calls:
                for number in range(500):
                    calls.start_soon(domains[number % 50].info)
            await anyio.sleep(0.002)
            group.cancel_scope.cancel()
        assert gaps
        assert max(gaps) < 10  # benchmarks/aio measures that it is below 20 ms
        assert conn._runtime.workers.most_in_flight <= 4


async def test_one_connection_can_be_used_from_two_loops(
    conn: pyvirt.aio.Connection, gate: Gate, anyio_backend: str
) -> None:
    other: list[int] = []

    def elsewhere() -> None:
        other.append(anyio.run(conn.run, gate, backend=anyio_backend))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    async with anyio.create_task_group() as group:
        group.start_soon(conn.run, gate)
        await gate.has(2)
        gate.open()
    thread.join(LIMIT)
    assert other


# ---- cancellation ----


async def test_a_cancelled_call_that_has_not_begun_is_never_made(conn: pyvirt.aio.Connection, gate: Gate) -> None:
    begun: list[object] = []
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(conn.run, gate)
        await gate.has(4)
        async with anyio.create_task_group() as late:
            for _ in range(100):
                late.start_soon(conn.run, begun.append)
            await anyio.wait_all_tasks_blocked()
            late.cancel_scope.cancel()
        assert conn._runtime.workers.waiting == 0
        gate.open()
    assert begun == []


async def test_a_call_in_a_cancelled_scope_is_not_made(conn: pyvirt.aio.Connection) -> None:
    begun: list[object] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await conn.run(begun.append)
    assert scope.cancelled_caught
    assert await conn.run(lambda _: list(begun)) == []


async def test_a_cancelled_call_finishes_in_the_background(conn: pyvirt.aio.Connection, gate: Gate) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(conn.run, gate)
        await gate.has(1)
        group.cancel_scope.cancel()
    # The task has returned, and the call is in flight: it counts until it ends.
    assert (gate.inside, conn.in_flight) == (1, 1)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(conn.run, gate)
        await gate.has(4)
        await anyio.wait_all_tasks_blocked()
        assert conn.in_flight == 4
        gate.open()
    await eventually(lambda: conn.in_flight == 0)
    assert (gate.most, gate.passed) == (4, 5)
    assert conn._runtime.workers._untaken == 0


async def test_the_result_of_a_cancelled_call_is_closed(conn: pyvirt.aio.Connection, gate: Gate) -> None:
    sync = conn.sync.domains[domain_name(1)]

    def call() -> pyvirt.aio.Domain:
        gate()
        return pyvirt.aio.Domain(conn._runtime, sync)

    async with anyio.create_task_group() as group:
        group.start_soon(conn._runtime.call, None, call)
        await gate.has(1)
        group.cancel_scope.cancel()
    assert not sync.closed
    gate.open()
    await eventually(lambda: sync.closed)
    await eventually(lambda: conn.in_flight == 0)


async def test_a_result_that_comes_together_with_the_cancellation_is_not_lost(
    conn: pyvirt.aio.Connection, gate: Gate
) -> None:
    sync = conn.sync.domains[domain_name(1)]
    got: list[object] = []

    async def call() -> None:
        got.append(await conn._runtime.call(None, lambda: gate() and pyvirt.aio.Domain(conn._runtime, sync)))

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await gate.has(1)
        gate.open()
        # Without running the loop: the result has arrived, and the task has not received it.
        end = time.monotonic() + LIMIT
        while conn.in_flight:
            assert time.monotonic() < end
            time.sleep(0.001)
        group.cancel_scope.cancel()
    if not got:
        await eventually(lambda: sync.closed)
    else:
        assert not sync.closed


async def test_unused_handles_are_freed_in_the_threads_of_the_connection(libvirt_host: HostFactory) -> None:
    """They are freed in the threads of the connection: the loop would wait for the GIL once for each."""
    async with pyvirt.aio.connect(libvirt_host(domains=100)) as conn:

        def alive() -> int:
            return sum(child() is not None for child in conn.sync._children)

        for _ in range(20):
            domains = await conn.domains.list()
            del domains
            await conn.uri()
        await eventually(lambda: alive() == 0)
        domains = await conn.domains.list()
        assert alive() == 100
        del domains
        await eventually(lambda: alive() == 0)
        assert conn._runtime.workers._untaken == 0


async def test_handles_in_containers_and_file_descriptors_are_closed(conn: pyvirt.aio.Connection) -> None:
    domains = await conn.domains.list()
    dispose({"some": domains[:2], "one": (domains[2],), "none": None})
    assert [domain.closed for domain in domains] == [True, True, True, False]

    for brought in (lambda fds: fds[0], lambda fds: fds[:1], lambda fds: ("text", fds[:1])):
        reading, writing = os.pipe()
        close_files(brought([writing, reading]))
        assert os.read(reading, 1) == b""  # the other end is closed
        os.close(reading)


async def test_a_cancelled_attempt_to_connect_leaves_no_connection(libvirt_host: HostFactory, gate: Gate) -> None:
    uri = libvirt_host(domains=1, credentials={"alice": "secret"})

    def answer(credential: pyvirt.Credential) -> str:
        gate()
        return {"username": "alice", "authname": "alice"}.get(credential.type.name.lower(), "secret")

    before, threads = len(_open_roots()), set(ours())
    async with anyio.create_task_group() as group:
        group.start_soon(open_and_close, uri, answer)
        await gate.has(1)
        group.cancel_scope.cancel()
    gate.open()
    await eventually(lambda: not set(ours()) - threads)
    assert len(_open_roots()) == before
    async with pyvirt.aio.connect(uri, auth=answer) as conn:  # it would have been opened
        assert await conn.alive()


async def open_and_close(uri: str, auth: Callable[[pyvirt.Credential], str | None]) -> None:
    async with pyvirt.aio.connect(uri, auth=auth):
        pytest.fail("somebody answered")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancellation_by_asyncio_works(conn: pyvirt.aio.Connection, gate: Gate) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(conn.run(gate), 0.01)
    task = asyncio.create_task(conn.run(gate))
    await gate.has(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert conn.in_flight == 2
    assert await asyncio.gather(*(conn.run(lambda sync: sync.alive()) for _ in range(50))) == [True] * 50
    gate.open()
    await eventually(lambda: conn.in_flight == 0)


# ---- timeouts ----


async def test_a_call_that_takes_too_long_times_out(conn: pyvirt.aio.Connection, gate: Gate) -> None:
    with pytest.raises(pyvirt.OperationTimeoutError, match=r"not answered within 0\.01 s; it continues"):
        await conn.run(gate, timeout=0.01)
    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await conn.run(gate)
    await gate.has(2)


async def test_a_call_that_does_not_begin_in_time_is_never_made(conn: pyvirt.aio.Connection, gate: Gate) -> None:
    domain = await conn.domains.get(domain_name(1))
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(conn.run, gate)
        await gate.has(4)
        with pytest.raises(
            pyvirt.OperationTimeoutError, match=r"did not begin within 0\.01 s: 4 other calls were in flight"
        ):
            await domain.state(timeout=0.01)
        gate.open()
    await domain.state(timeout=LIMIT)


async def test_call_timeout_applies_to_every_call_of_the_connection(libvirt_test_uri: str, gate: Gate) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri, call_timeout=0.01) as conn:
        with pytest.raises(pyvirt.OperationTimeoutError):
            await conn.run(gate)
        async with anyio.create_task_group() as group:
            for timeout in (LIMIT, math.inf):  # the timeout of the call takes precedence
                group.start_soon(partial(conn.run, gate, timeout=timeout))
            await gate.has(3)
            await anyio.sleep(0.02)
            gate.open()


async def test_a_timeout_of_0_raises_at_once(conn: pyvirt.aio.Connection, gate: Gate) -> None:
    with pytest.raises(pyvirt.OperationTimeoutError):
        await conn.run(gate, timeout=0)


# ---- errors ----


async def test_an_error_is_raised_where_it_is_awaited_and_not_kept(conn: pyvirt.aio.Connection) -> None:
    class Mine(Exception):
        pass

    def fail(_: object) -> None:
        raise Mine("here")

    import gc
    import weakref

    with pytest.raises(Mine, match="here") as caught:
        await conn.run(fail)
    assert fail.__name__ in [entry.name for entry in caught.traceback]
    error = weakref.ref(caught.value)
    del caught
    gc.collect()
    await eventually(lambda: error() is None)


# ---- blocks ----


async def test_a_block_that_is_cancelled_while_it_is_entered_is_left_again(
    conn: pyvirt.aio.Connection, gate: Gate
) -> None:
    said: list[str] = []

    @contextmanager
    def block() -> Iterator[None]:
        gate()
        said.append("entered")
        try:
            yield
            said.append("kept")
        except pyvirt.OperationAbortedError:
            said.append("taken back")
            raise

    async def enter() -> None:
        async with conn._runtime.context(None, block):
            said.append("inside")

    async with anyio.create_task_group() as group:
        group.start_soon(enter)
        await gate.has(1)
        group.cancel_scope.cancel()
    gate.open()
    await eventually(lambda: conn.in_flight == 0)
    assert said == ["entered", "taken back"]


class Block:
    """A context manager that waits at a gate when it is left.

    Not a generator: Python runs the end of one that is garbage collected.
    """

    def __init__(self, gate: Gate | None, said: list[str]) -> None:
        self._gate = gate
        self._said = said

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        if self._gate is not None:
            self._gate()
        self._said.append("left")


async def test_a_block_is_left_even_without_a_waiting_task(libvirt_test_uri: str, gate: Gate) -> None:
    said: list[str] = []
    async with pyvirt.aio.connect(libvirt_test_uri, max_requests=1, close_timeout=0.01) as conn:
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                async with conn._runtime.context(None, lambda: Block(None, said)):
                    group.start_soon(conn.run, gate)  # which uses the only slot
                    await gate.has(1)
                    scope.cancel()
                    await anyio.sleep_forever()
            assert said == []
            gate.open()
        await eventually(lambda: said == ["left"])


async def test_a_cancelled_task_sees_its_block_left(conn: pyvirt.aio.Connection, gate: Gate) -> None:
    said: list[str] = []

    async def work() -> None:
        with anyio.CancelScope() as scope:
            async with conn._runtime.context(None, lambda: Block(gate, said)):
                scope.cancel()
                await anyio.sleep_forever()
        said.append("went on")

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await gate.has(1)
        await anyio.wait_all_tasks_blocked()
        gate.open()
    assert said == ["left", "went on"]


# ---- the end ----


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("pyvirt-aio")]


async def test_threads_end_with_their_connection(libvirt_test_uri: str) -> None:
    async with pyvirt.aio.connect(libvirt_test_uri) as conn:
        await conn.domains.list()
        assert ours()
    await eventually(lambda: not ours())


async def test_closing_waits_for_running_calls_and_refuses_the_rest(libvirt_test_uri: str, gate: Gate) -> None:
    outcomes: list[object] = []
    conn = await pyvirt.aio.connect(libvirt_test_uri, close_timeout=LIMIT)

    async def call() -> None:
        try:
            outcomes.append(await conn.run(gate))
        except pyvirt.ClosedError as error:
            outcomes.append(str(error))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(call)
        await gate.has(4)
        await anyio.wait_all_tasks_blocked()
        for _ in range(2):
            group.start_soon(conn.close)
        await eventually(lambda: len(outcomes) == 2)
        assert set(outcomes) == {"the connection was closed before this call was answered"}
        assert conn.closed
        assert not conn.sync.closed
        with pytest.raises(pyvirt.ClosedError, match="the connection is closed"):
            await conn.uri()
        gate.open()
    assert sorted(outcomes[2:], key=str) == [1, 2, 3, 4]
    assert conn.sync.closed
    await eventually(lambda: not ours())


async def test_closing_waits_no_longer_than_its_timeout(libvirt_test_uri: str, gate: Gate) -> None:
    conn = await pyvirt.aio.connect(libvirt_test_uri, close_timeout=0.01)
    async with anyio.create_task_group() as group:
        outcomes: list[object] = []

        async def call() -> None:
            try:
                await conn.run(gate)
            except pyvirt.ClosedError as error:
                outcomes.append(error)

        group.start_soon(call)
        await gate.has(1)
        await conn.close()
        await eventually(lambda: conn.sync.closed)
    assert len(outcomes) == 1
    assert gate.inside == 1
    gate.open()
    await eventually(lambda: not ours())


async def test_a_cancelled_block_closes_the_connection(libvirt_test_uri: str, gate: Gate) -> None:
    opened: list[pyvirt.aio.Connection] = []

    async def work() -> None:
        async with pyvirt.aio.connect(libvirt_test_uri) as conn:
            opened.append(conn)
            await conn.run(gate)

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await gate.has(1)
        group.cancel_scope.cancel()
    # The call is still in flight, but no task waits for it.
    assert opened[0].sync.closed
    assert gate.inside == 1


def test_a_hung_call_does_not_keep_the_interpreter_from_exiting() -> None:
    program = """
import sys, threading, anyio, pyvirt.aio
async def main():
    inside = threading.Event()
    async with pyvirt.aio.connect("test:///default", close_timeout=0.1) as conn:
        async with anyio.create_task_group() as group:
            group.start_soon(conn.run, lambda _: inside.set() or threading.Event().wait())
            while not inside.is_set():
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()
    print("left")
anyio.run(main, backend=sys.argv[1], backend_options={"debug": False} if sys.argv[1] == "asyncio" else {})
"""
    for backend in ("asyncio", "trio"):
        assert output_of(program, backend) == "left\n"


def test_a_forked_child_gets_an_error() -> None:
    program = """
import asyncio, os, pyvirt.aio, warnings
warnings.filterwarnings("ignore", ".*multi-threaded")  # newer Pythons say so of a fork beside threads
async def opened():
    conn = await pyvirt.aio.connect("test:///default")
    return conn, await conn.domains.list()
async def said(call):
    try:
        await call
    except pyvirt.ClosedError as error:
        return str(error)
conn, domains = asyncio.run(opened())
if os.fork() == 0:
    print(asyncio.run(said(conn.uri())), flush=True)
    del domains
    os._exit(0)
os.wait()
asyncio.run(conn.close())
"""
    said = "the connection was opened before fork() and belongs to the parent process"
    assert output_of(program, strict=False) == f"{said}\n"


def test_a_loop_may_end_before_its_calls() -> None:
    program = """
import asyncio, threading, pyvirt.aio
async def main():
    conn = await pyvirt.aio.connect("test:///default")
    inside = threading.Event()
    tasks.append(asyncio.ensure_future(conn.run(lambda _: inside.set() or gate.wait())))
    while not inside.is_set():
        await asyncio.sleep(0.001)
    return conn
gate, tasks = threading.Event(), []
loop = asyncio.new_event_loop()
loop.set_debug(False)  # it would say what takes long on a busy machine
conn = loop.run_until_complete(main())
tasks[0]._log_destroy_pending = False
loop.close()
gate.set()
asyncio.run(conn.close(), debug=False)
print(conn.sync.closed)
"""
    assert output_of(program) == "True\n"


if sys.version_info >= (3, 11):

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_asyncio_timeout_cancels_a_call(conn: pyvirt.aio.Connection, gate: Gate) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await conn.run(gate)
