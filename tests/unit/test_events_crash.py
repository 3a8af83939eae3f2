# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events during threads, forks and exits: separate programs that must end in time, with status 0 and no output."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyvirt.testing.hosts import write_host
from tests.support.processes import output_of

BUSY = """
import faulthandler, os, signal, sys, threading, time
import pyvirt
from pyvirt.events import *
faulthandler.dump_traceback_later(100, exit=True)

# Each connection to a file has its own host; all connections to test:///default share one host and its lock.
conn = pyvirt.connect(sys.argv[1])
domain = next(iter(conn.domains))
stop = threading.Event()

def make_events():
    while not stop.is_set():
        try:
            domain.suspend()
            domain.resume()
        except pyvirt.ClosedError:
            return

busy = threading.Thread(target=make_events)
busy.start()
"""


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return write_host(tmp_path / "host.xml", domains=1, running=1.0)


def test_subscribing_and_cancelling_in_many_threads(uri: str) -> None:
    """Every registration is released, and no cancelled callback is called."""
    program = f"""{BUSY}
import gc
called = []

def churn(number):
    for turn in range(125):
        state = {{"cancelled": False}}
        def callback(event, state=state):
            called.append(state["cancelled"])
        subscription = conn.events.subscribe(DomainLifecycle if turn % 3 else DomainEvent, callback)
        if turn % 5 == 0:
            with conn.events.listen(DomainLifecycle, buffer=50) as listener:
                listener.wait(0.2)
                listener.take()
        elif turn % 5 == 1:
            conn.events.listen(DomainLifecycle, domain=domain).take()  # left to the garbage collector
        subscription.cancel()
        state["cancelled"] = turn < 0  # a running call may still end

threads = [threading.Thread(target=churn, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
stop.set()
busy.join()
gc.collect()
conn.events.listen(DomainLifecycle).close()
print(len(conn.events._sources), len(conn.events._dispatch._routes.get(0, ())), bool(called))
conn.close()
"""
    assert output_of(program, uri) == "0 0 True\n"


def test_connections_are_closed_while_their_events_are_used(uri: str) -> None:
    program = f"""{BUSY}
def churn():
    for _ in range(60):
        with pyvirt.connect(sys.argv[1]) as mine:
            mine.events.subscribe(DomainEvent, lambda event: event.domain.name)
            listener = mine.events.listen()
            one = next(iter(mine.domains))
            one.suspend(), one.resume()
            closer = threading.Thread(target=mine.close)
            closer.start()
            try:
                while listener.wait(1):
                    listener.take(1)
            except pyvirt.ClosedError:
                pass
            closer.join()

def shared():
    try:
        while True:
            with conn.events.subscribe(DomainLifecycle, lambda event: None), conn.events.listen(DomainEvent) as one:
                one.take()
    except pyvirt.ClosedError:
        pass

threads = [threading.Thread(target=churn) for _ in range(4)] + [threading.Thread(target=shared) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads[:4]: thread.join()
conn.close()
for thread in threads: thread.join()
busy.join()
print("done")
"""
    assert output_of(program, uri) == "done\n"


def test_parent_and_child_of_a_fork_both_receive_events(uri: str) -> None:
    """The connection of the parent is closed in the child, which receives events on its own connection."""
    # No other thread of this program may be in a call of libvirt: its locks would stay locked in the child.
    program = """
import os, sys, threading, warnings
import pyvirt
from pyvirt.events import *

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns if there are other threads, as here
conn = pyvirt.connect(sys.argv[1])
domain = next(iter(conn.domains))
subscription = conn.events.subscribe(DomainLifecycle, lambda event: None)
listener = conn.events.listen(DomainLifecycle)

def child():
    for refused in (conn.events.listen, listener.take, listener.fileno, lambda: conn.events.subscribe(Event, print)):
        try:
            refused()
        except pyvirt.ClosedError:
            continue
        os._exit(2)
    if subscription.active:
        os._exit(3)
    subscription.cancel()
    listener.close()
    with pyvirt.connect(sys.argv[1]) as mine:
        got = threading.Event()
        mine.events.subscribe(DomainLifecycle, lambda event: got.set())
        own = mine.events.listen(DomainLifecycle, timeout=60)
        next(iter(mine.domains)).suspend()
        if next(own).event.name != "SUSPENDED" or not got.wait(60):
            os._exit(4)
    os._exit(0)

for _ in range(30):
    for _ in range(500):
        domain.suspend(), domain.resume()
    pid = os.fork()
    if not pid:
        child()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
count = 0
while count < 30_000:
    assert listener.wait(60)
    count += len(listener.take())
domain.suspend()
print(next(listener).event.name)
conn.close()
"""
    assert output_of(program, uri) == "SUSPENDED\n"


def test_the_thread_of_the_loop_stops_during_a_fork() -> None:
    """Otherwise Python 3.12 would warn, and the child would inherit locks of libvirt that are held."""
    program = """
import os, pyvirt
from pyvirt.events import DomainLifecycle
with pyvirt.connect("test:///default") as conn:
    listener = conn.events.listen(DomainLifecycle, timeout=60)
    assert len(os.listdir("/proc/self/task")) == 2
    pid = os.fork()
    if not pid:
        os._exit(len(os.listdir("/proc/self/task")) - 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    conn.domains["test"].suspend()
    print(next(listener).event.name)
"""
    assert output_of(program) == "SUSPENDED\n"


EXITS = {
    "at the end": "",
    "sys.exit in a thread's shadow": "sys.exit(0)",
    "with a callback at work": "time.sleep(0.05)",
}


@pytest.mark.parametrize("end", EXITS.values(), ids=EXITS)
@pytest.mark.parametrize("others", ["", "threading.Thread(target=lambda: list(listener), daemon=True).start()"])
def test_the_interpreter_exits_while_events_arrive(uri: str, end: str, others: str) -> None:
    program = f"""{BUSY.replace("target=make_events", "target=make_events, daemon=True")}
listener = conn.events.listen()
conn.events.subscribe(DomainEvent, lambda event: event.domain.name)
conn.events.subscribe(Event, lambda event: time.sleep(0.001))
watch = conn.domains.watch()
{others}
print("leaving")
{end}
"""
    assert output_of(program, uri) == "leaving\n"


def test_the_interpreter_exits_with_everything_open() -> None:
    program = """
import pyvirt
from pyvirt.events import *
for _ in range(3):
    conn = pyvirt.connect("test:///default")
    listener = conn.events.listen()
    globals()[f"kept{_}"] = conn, listener, conn.events.subscribe(Event, print)
"""
    assert output_of(program) == ""


def test_a_connection_without_references_is_closed_with_a_warning() -> None:
    """It is closed completely, a real connection with its socket: callbacks do not keep it open."""
    program = """
import gc, warnings
import pyvirt
from pyvirt.events import *
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    conn = pyvirt.connect("test:///default")
    listener, subscription = conn.events.listen(), conn.events.subscribe(Event, print)
    hub = conn.events
    del conn, listener
    gc.collect()
    print(len(caught), hub._ended)
    del hub, subscription
    gc.collect()
    print([str(one.message)[:9] for one in caught])
"""
    assert output_of(program) == "0 False\n['unclosed ']\n"


def test_memory_does_not_grow() -> None:
    program = """
import gc, resource
import pyvirt
from pyvirt.events import *
with pyvirt.connect("test:///default") as conn:
    domain = conn.domains["test"]
    scarce = conn.events.listen(DomainLifecycle, buffer=1000)
    xml = "<domain type='test'><name>short</name><memory>1</memory><os><type>hvm</type></os></domain>"

    def some():
        with conn.events.listen(DomainLifecycle) as listener, conn.domains.watch() as watch:
            for _ in range(300):
                conn.domains.create(xml).destroy()
                domain.suspend(), domain.resume()
                for event in listener.take(): event.domain.uuid
            assert len(watch) == 1
        scarce.take(1)
        gc.collect()

    for _ in range(3): some()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20): some()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(grown if grown > 4096 else "little")
"""
    assert output_of(program, strict=False) == "little\n"


def test_a_signal_handler_may_close_the_connection(uri: str) -> None:
    program = f"""{BUSY}
signal.signal(signal.SIGALRM, lambda *_: conn.close())
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    while True:
        with conn.events.listen(DomainEvent) as listener, conn.events.subscribe(DomainLifecycle, lambda event: None):
            listener.take()
except pyvirt.ClosedError:
    print("enough")
stop.set()
busy.join()
conn.close()
"""
    assert output_of(program, uri) == "enough\n"
