# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.domains.watch()``: after any operations on a host, the watch contains what a new listing finds."""

from __future__ import annotations

import random
import select
import threading
from collections.abc import Iterator
from uuid import UUID

import pytest

import pyvirt
from pyvirt import DomainState
from pyvirt.errors import ClosedError, Error
from pyvirt.events import DomainLifecycle, DomainWatch
from pyvirt.testing.hosts import domain_name, object_uuid
from pyvirt.testing.pytest_plugin import HostFactory

LIMIT = 60
FIRST = domain_name(1)


@pytest.fixture
def conn(libvirt_test_uri: str) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(libvirt_test_uri) as conn:
        yield conn


def fresh(conn: pyvirt.Connection) -> dict[str, tuple[UUID, object]]:
    return {domain.name: (domain.uuid, domain.state()) for domain in conn.domains}


def seen(watch: DomainWatch) -> dict[str, tuple[UUID, object]]:
    return {name: (one.uuid, one.state) for name, one in watch.snapshot().items()}


def settle(conn: pyvirt.Connection, watch: DomainWatch) -> None:
    """Wait until all events so far have arrived: events keep their order, and this causes the last ones."""
    with conn.events.listen(DomainLifecycle) as marker:
        last = conn.domains.create(
            "<domain type='test'><name>last</name><memory>1</memory><os><type>hvm</type></os></domain>"
        )
        last.destroy()
        taken = 0
        while taken < 2:
            assert marker.wait(LIMIT)
            taken += len([event for event in marker.take() if isinstance(event, DomainLifecycle)])
    watch.update()


def test_a_watch_finds_what_a_listing_finds(conn: pyvirt.Connection) -> None:
    with conn.domains.watch() as watch:
        assert len(watch) == 4
        assert seen(watch) == fresh(conn)
        first = watch[FIRST]
        assert first == watch[object_uuid(FIRST)] == watch[conn.domains[FIRST]]
        assert first.domain == conn.domains[FIRST]
        assert (first.name, first.state.state) == (FIRST, DomainState.RUNNING)
        assert list(watch) == [domain.name for domain in conn.domains]
        assert FIRST in watch
        for missing in ("no", UUID(int=0), 5):
            assert missing not in watch
            with pytest.raises(KeyError):
                watch[missing]  # type: ignore[index]


def test_wait_returns_the_domains_that_have_changed(conn: pyvirt.Connection) -> None:
    with conn.domains.watch() as watch:
        assert watch.wait(0) == set()
        conn.domains[FIRST].suspend()
        assert watch.wait(LIMIT) == {object_uuid(FIRST)}
        assert watch[FIRST].state.state == DomainState.PAUSED
        assert watch.wait(0) == set()


def test_the_daemon_is_not_asked_when_nothing_happens(conn: pyvirt.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    with conn.domains.watch() as watch:

        def no(*arguments: object) -> object:
            raise AssertionError(arguments)

        monkeypatch.setattr(pyvirt.Domain, "state", no)
        monkeypatch.setattr(type(conn.domains), "list", no)
        assert len(watch) == 4
        assert watch[FIRST].state.state == DomainState.RUNNING


def test_a_renamed_domain_is_found_by_its_new_name(conn: pyvirt.Connection) -> None:
    domain = next(domain for domain in conn.domains if not domain.is_active())
    before, uuid = domain.name, domain.uuid
    with conn.domains.watch() as watch:
        domain.rename("other")
        settle(conn, watch)
        assert before not in watch
        assert watch["other"].uuid == uuid
        assert seen(watch) == fresh(conn)


def test_a_late_event_under_the_old_name_changes_nothing(conn: pyvirt.Connection) -> None:
    """libvirt queues events without the domain's lock: an event from before a rename may arrive after it."""
    domain = next(domain for domain in conn.domains if not domain.is_active())
    with conn.events.listen(DomainLifecycle, timeout=LIMIT) as listener, conn.domains.watch() as watch:
        conn.domains.define(domain.xml_desc())
        late = next(listener)
        assert isinstance(late, DomainLifecycle)
        domain.rename("other")
        settle(conn, watch)
        watch._apply([late])
        assert seen(watch) == fresh(conn)


def test_a_name_can_pass_to_another_domain(conn: pyvirt.Connection) -> None:
    xml = "<domain type='test'><name>same</name><uuid>{}</uuid><memory>1</memory><os><type>hvm</type></os></domain>"
    with conn.domains.watch() as watch:
        for number in (1, 2, 3):
            uuid = UUID(int=number, version=4)
            made = conn.domains.define(xml.format(uuid))
            settle(conn, watch)
            assert watch["same"].uuid == uuid
            made.undefine()
        settle(conn, watch)
        assert "same" not in watch
        assert len(watch) == 4


OPERATIONS = ("start", "destroy", "suspend", "resume", "undefine", "define", "create", "rename", "save", "restore")


def operate(conn: pyvirt.Connection, choose: random.Random, path: str) -> None:
    name = choose.choice(["a", "b", "c", FIRST, domain_name(2)])
    xml = f"<domain type='test'><name>{name}</name><memory>1</memory><os><type>hvm</type></os></domain>"
    operation = choose.choice(OPERATIONS)
    try:
        if operation == "define":
            conn.domains.define(xml)
        elif operation == "create":
            conn.domains.create(xml)
        elif operation == "rename":
            conn.domains[name].rename(choose.choice(["a", "b", "c", "d"]))
        elif operation == "save":
            conn.domains[name].save(path)
        elif operation == "restore":
            conn.domains.restore(path)
        else:
            getattr(conn.domains[name], operation)()
    except Error:
        pass  # the domain is not in the right state


@pytest.mark.parametrize(("seed", "buffer"), [(1, 65536), (2, 65536), (3, 2), (4, 2), (5, 65536), (6, 7)])
def test_random_operations_leave_the_watch_correct(
    conn: pyvirt.Connection, tmp_path: object, seed: int, buffer: int
) -> None:
    """Even if events are lost and all domains must be listed again."""
    choose = random.Random(seed)
    with conn.domains.watch(buffer=buffer) as watch:
        for _ in range(20):
            for _ in range(choose.randrange(30)):
                operate(conn, choose, f"{tmp_path}/saved")
                if choose.random() < 0.1:
                    watch.update()
            settle(conn, watch)
            assert seen(watch) == fresh(conn)


def test_watches_are_correct_while_threads_change_domains(conn: pyvirt.Connection, tmp_path: object) -> None:
    """Threads create, read and close watches at the same time."""
    done = threading.Event()
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(300):
            operate(conn, choose, f"{tmp_path}/saved{seed}")

    def read() -> None:
        try:
            while not done.is_set():
                for name, one in shared.snapshot().items():
                    assert one.name == name
                with conn.domains.watch(buffer=3) as own:
                    own.wait(0.01)
                    own.snapshot()
        except BaseException as error:
            failures.append(error)

    with conn.domains.watch(buffer=100) as shared:
        workers = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
        readers = [threading.Thread(target=read) for _ in range(2)]
        for thread in [*workers, *readers]:
            thread.start()
        for thread in workers:
            thread.join(LIMIT)
        done.set()
        for thread in readers:
            thread.join(LIMIT)
        assert failures == []
        settle(conn, shared)
        assert seen(shared) == fresh(conn)


def test_a_large_host(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=1000, running=0.5)) as conn, conn.domains.watch() as watch:
        assert seen(watch) == fresh(conn)


def test_an_empty_host(conn: pyvirt.Connection) -> None:
    for domain in conn.domains:
        if domain.is_active():
            domain.destroy()
        domain.undefine()
    with conn.domains.watch() as watch:
        assert dict(watch) == {}


def test_events_that_change_nothing_do_not_delay_the_timeout(conn: pyvirt.Connection) -> None:
    over = threading.Event()
    defined: list[int] = []
    xml = conn.domains[FIRST].xml_desc()

    def define() -> None:
        while not over.wait(0.02) and len(defined) < 1000:
            conn.domains.define(xml)
            defined.append(1)

    with conn.domains.watch() as watch:
        thread = threading.Thread(target=define)
        thread.start()
        assert watch.wait(0.2) == set()
        over.set()
        thread.join()
    assert len(defined) < 1000


def test_wait_notices_events_that_another_thread_has_taken(
    conn: pyvirt.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with conn.domains.watch() as watch:
        wait = watch._listener.wait

        def after_another(timeout: float | None = None) -> bool:
            monkeypatch.setattr(watch._listener, "wait", wait)
            conn.domains[FIRST].suspend()
            assert wait(LIMIT)
            watch.update()
            return wait(timeout)

        monkeypatch.setattr(watch._listener, "wait", after_another)
        assert watch.wait(LIMIT) == {object_uuid(FIRST)}


def test_an_interrupted_update_is_repeated(conn: pyvirt.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    with conn.domains.watch() as watch:
        conn.domains[FIRST].suspend()
        assert watch._listener.wait(LIMIT)

        def interrupted(domain: pyvirt.Domain) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(pyvirt.Domain, "state", interrupted)
            with pytest.raises(KeyboardInterrupt):
                watch.update()
        assert watch[FIRST].state.state == DomainState.PAUSED
        assert watch.wait(0) == {object_uuid(FIRST)}


def test_a_watch_can_be_polled(conn: pyvirt.Connection) -> None:
    with conn.domains.watch() as watch:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        assert poll.poll(0) == []
        conn.domains[FIRST].suspend()
        assert poll.poll(LIMIT * 1000)


def test_a_closed_watch_raises(conn: pyvirt.Connection) -> None:
    watch = conn.domains.watch()
    assert repr(watch) == f"<pyvirt.DomainWatch of {conn!r}>"
    closed = conn.domains.watch()
    closed.close()
    closed.close()
    conn.close()
    for one in (watch, closed):
        assert one.closed
        with pytest.raises(ClosedError):
            one[FIRST]
