# SPDX-License-Identifier: LGPL-2.1-or-later
"""The loop behind the events: pyvirt's own, and those of programs that have to run libvirt's loop themselves."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest

import pyvirt
from pyvirt import EventHandleType
from pyvirt.errors import OperationFailedError, OperationInvalidError
from pyvirt.events import loop
from tests.support.event_loops import LOOP
from tests.support.processes import output_of

LIMIT = 60


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


# ---- what else the loop can wait for ----


def test_a_file_descriptor(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    got: list[tuple[int, EventHandleType, bytes, str]] = []
    ready = threading.Event()

    def callback(watch: loop.Watch, events: EventHandleType) -> None:
        got.append((watch.fd, events, os.read(watch.fd, 100), threading.current_thread().name))
        ready.set()

    watch = loop.add_handle(reading, EventHandleType(0), callback)
    os.write(writing, b"one")
    assert not ready.wait(0.05)
    watch.update(EventHandleType.READABLE)
    assert ready.wait(LIMIT)
    ready.clear()
    os.write(writing, b"two")
    assert ready.wait(LIMIT)
    watch.remove()
    watch.remove()
    ready.clear()
    os.write(writing, b"three")
    assert not ready.wait(0.05)
    assert [what[:3] for what in got] == [
        (reading, EventHandleType.READABLE, b"one"),
        (reading, EventHandleType.READABLE, b"two"),
    ]
    assert {what[3] for what in got}.isdisjoint({threading.current_thread().name})


def test_one_descriptor_watched_twice(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    seen: list[str] = []

    def callback(name: str) -> None:
        seen.append(name)
        watches[name].update(EventHandleType(0))
        if len(seen) == 2:
            done.set()

    done = threading.Event()
    watches = {
        name: loop.add_handle(reading, EventHandleType(0), lambda watch, events, name=name: callback(name))  # type: ignore[misc]
        for name in ("first", "second")
    }
    for watch in watches.values():
        watch.update(EventHandleType.READABLE)
    os.write(writing, b"x")
    assert done.wait(LIMIT)
    assert sorted(seen) == ["first", "second"]
    for watch in watches.values():
        watch.remove()


def test_a_descriptor_at_its_end(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    seen: list[EventHandleType] = []
    done = threading.Event()

    def callback(watch: loop.Watch, events: EventHandleType) -> None:
        seen.append(events)
        watch.remove()
        done.set()

    loop.add_handle(reading, EventHandleType.READABLE, callback)
    replacement = os.open(os.devnull, os.O_WRONLY)
    os.dup2(replacement, writing)  # closes it
    os.close(replacement)
    assert done.wait(LIMIT)
    assert seen[0] & EventHandleType.HANGUP


def test_what_cannot_be_waited_for() -> None:
    with pytest.raises(OperationFailedError), open(os.devnull) as file:
        loop.add_handle(file.fileno() + 1000, EventHandleType.READABLE, lambda watch, events: None)


def test_a_timer() -> None:
    three = threading.Event()
    count = 0

    def callback(timer: loop.Timer) -> None:
        nonlocal count
        count += 1
        if count == 3:
            timer.update(-1)
            three.set()

    timer = loop.add_timeout(-1, callback)
    assert not three.wait(0.05)
    timer.update(1)
    assert three.wait(LIMIT)
    assert not threading.Event().wait(0.05)
    assert count == 3
    timer.remove()
    timer.remove()


def test_a_timer_at_every_turn() -> None:
    done = threading.Event()

    def callback(timer: loop.Timer) -> None:
        timer.remove()
        done.set()

    loop.add_timeout(0, callback)
    assert done.wait(LIMIT)


def test_a_callback_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def callback(timer: loop.Timer) -> None:
        timer.remove()
        done.set()
        raise ZeroDivisionError("not today")

    loop.add_timeout(0, callback)
    assert done.wait(LIMIT)
    ended = threading.Event()
    again = loop.add_timeout(0, lambda timer: ended.set())  # the loop goes on
    assert ended.wait(LIMIT)
    again.remove()
    assert any(record.exc_info and "not today" in str(record.exc_info[1]) for record in caplog.records)


def test_it_is_too_late_for_another_one() -> None:
    pyvirt.connect("test:///default").close()
    assert loop.is_own()
    calls: list[Callable[[], None]] = [
        lambda: loop.register(None),  # type: ignore[arg-type]
        *(loop.use_default, loop.use_foreign),
    ]
    for call in calls:
        with pytest.raises(OperationInvalidError, match="too late"):
            call()


# ---- loops of others, a process each ----


def test_a_loop_in_python() -> None:
    program = f"""{LOOP}
mine = Mine()
loop.register(mine)
assert not loop.is_own()
with pyvirt.connect("test:///default") as conn:
    assert threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 1  # no thread of ours
    listener = conn.events.listen(DomainLifecycle)
    domain = conn.domains["test"]
    domain.suspend()
    assert not listener.wait(0.1)  # nobody has run the loop
    domain.resume()
    found = []
    while len(found) < 2:
        mine.run_once()
        found += listener.take()
    print([event.event.name for event in found])
    domain.suspend()
    print(domain.wait_for(pyvirt.DomainState.PAUSED, timeout=10).state.name)  # without the loop
    for _ in range(5): mine.run_once()
try:
    loop.register(mine)
except pyvirt.OperationInvalidError:
    print("one only")
for _ in range(5): mine.run_once()
print(mine.handles, mine.timers)
"""
    assert output_of(program) == "['SUSPENDED', 'RESUMED']\nPAUSED\none only\n{} {}\n"


def test_a_loop_in_python_and_a_timer_that_is_gone() -> None:
    """As when an event comes in for a connection that another thread is closing."""
    program = f"""{LOOP}
from pyvirt._core.lib import lib
loop.register(Mine())
lib.virEventUpdateTimeout(-1, 0)
print("ignored")
"""
    assert output_of(program) == "ignored\n"


def test_libvirts_own_loop() -> None:
    program = """
import pyvirt
from pyvirt.events import *
from pyvirt.events import loop
loop.use_default()
with pyvirt.connect("test:///default") as conn:
    assert not loop.is_own()
    listener = conn.events.listen(DomainLifecycle)
    conn.domains["test"].suspend()
    while not (found := listener.take()):
        loop.run_default()
    print(found[0].event.name)
    try:
        loop.use_default()
    except pyvirt.OperationInvalidError as error:
        print(error)
"""
    assert output_of(program) == "SUSPENDED\nlibvirt's own loop comes too late: libvirt has a loop already\n"


def test_a_loop_that_somebody_else_has_registered() -> None:
    """Whoever comes first: here C, as another binding in the process would."""
    program = """
import pyvirt
from pyvirt._core.lib import lib
from pyvirt.events import *
from pyvirt.events import loop
FIRST
lib.virEventRegisterDefaultImpl()
with pyvirt.connect("test:///default") as conn:
    listener = conn.events.listen(DomainLifecycle)
    conn.domains["test"].suspend()
    while not listener.take():
        lib.virEventRunDefaultImpl()
    print(loop.is_own())
"""
    assert output_of(program.replace("FIRST", "")) == "False\n"
    assert output_of(program.replace("FIRST", "loop.use_foreign()")) == "False\n"


def test_a_loop_in_python_that_fails() -> None:
    program = f"""{LOOP}
import logging
logging.getLogger("pyvirt.events").addHandler(logging.NullHandler())
logging.getLogger("pyvirt.events").propagate = False
class Bad(Mine):
    def add_timeout(self, interval, callback):
        raise ValueError("no more timers")
loop.register(Bad())
with pyvirt.connect("test:///default") as conn:
    try:
        conn.events.listen(DomainLifecycle)
    except pyvirt.Error as error:
        print(error)
"""
    assert "could not initialize domain event timer" in output_of(program)
