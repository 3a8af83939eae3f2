# SPDX-License-Identifier: LGPL-2.1-or-later
"""The event loop: pyvirt's own, and the loops of programs that must run libvirt's loop themselves."""

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


def test_a_callback_runs_when_its_descriptor_is_readable(pipe: tuple[int, int]) -> None:
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


def test_two_watches_of_one_descriptor_both_run(pipe: tuple[int, int]) -> None:
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


def test_a_closed_pipe_reports_hangup(pipe: tuple[int, int]) -> None:
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


def test_a_bad_descriptor_is_refused() -> None:
    with pytest.raises(OperationFailedError), open(os.devnull) as file:
        loop.add_handle(file.fileno() + 1000, EventHandleType.READABLE, lambda watch, events: None)


def test_a_timer_runs_until_its_interval_is_negative() -> None:
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


def test_a_timer_of_zero_runs_in_the_next_iteration() -> None:
    done = threading.Event()

    def callback(timer: loop.Timer) -> None:
        timer.remove()
        done.set()

    loop.add_timeout(0, callback)
    assert done.wait(LIMIT)


def test_an_exception_in_a_callback_is_logged_and_the_loop_continues(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def callback(timer: loop.Timer) -> None:
        timer.remove()
        done.set()
        raise ZeroDivisionError("not today")

    loop.add_timeout(0, callback)
    assert done.wait(LIMIT)
    ended = threading.Event()
    again = loop.add_timeout(0, lambda timer: ended.set())  # the loop continues
    assert ended.wait(LIMIT)
    again.remove()
    assert any(record.exc_info and "not today" in str(record.exc_info[1]) for record in caplog.records)


def test_no_loop_can_be_registered_after_the_first_connection() -> None:
    pyvirt.connect("test:///default").close()
    assert loop.is_own()
    calls: list[Callable[[], None]] = [
        lambda: loop.register(None),  # type: ignore[arg-type]
        loop.use_default,
        loop.use_foreign,
    ]
    for call in calls:
        with pytest.raises(OperationInvalidError, match=r"^too late to register .*: the first connection"):
            call()


# ---- other loops, each in its own process ----


def test_a_loop_in_python_delivers_events() -> None:
    program = f"""{LOOP}
mine = Mine()
loop.register(mine)
assert not loop.is_own()
with pyvirt.connect("test:///default") as conn:
    assert threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 1  # pyvirt has no thread
    listener = conn.events.listen(DomainLifecycle)
    domain = conn.domains["test"]
    domain.suspend()
    assert not listener.wait(0.1)  # the loop has not run
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


def test_a_loop_in_python_is_not_asked_to_update_timer_minus_one() -> None:
    """libvirt does that when an event arrives for a connection that another thread is closing."""
    program = f"""{LOOP}
from pyvirt._core.lib import lib
loop.register(Mine())
lib.virEventUpdateTimeout(-1, 0)
print("ignored")
"""
    assert output_of(program) == "ignored\n"


def test_the_default_loop_of_libvirt_delivers_events() -> None:
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
    assert output_of(program) == "SUSPENDED\ntoo late to register libvirt's own loop: libvirt already has a loop\n"


def test_a_loop_registered_by_other_code_is_used() -> None:
    """C registers it here, as another binding in the process would."""
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


def test_an_exception_in_a_loop_in_python_becomes_an_error_of_libvirt() -> None:
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
