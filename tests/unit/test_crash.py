# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that could crash the interpreter, lose errors or never end, each in a separate process.

All run with ``-X dev -W error`` and must end with exit code 0, in time and with an empty stderr.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyvirt.testing.hosts import write_host
from tests.support.processes import STRICT, output_of, run


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """The URI of a server that accepts and does not answer."""
    path = tmp_path / "silent"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(16)
        yield f"qemu+unix:///system?socket={path}"


# ---- errors ----


def test_garbage_collection_between_call_and_check_loses_no_error() -> None:
    """The garbage collector frees handles between the failed call and its check; that resets libvirt's own error."""
    program = """
import gc, pyvirt
from pyvirt._core.lib import lib
from pyvirt._core.call import last_error
from pyvirt.errors import DomainNotFoundError, NetworkNotFoundError

class Cycle:
    pass

conn = pyvirt.connect("test:///default")
reset = 0

def litter():
    for _ in range(2):
        cycle = Cycle()
        cycle.itself, cycle.domain = cycle, conn.domains["test"]

gc.set_threshold(1)
for number in range(20_000):
    gc.disable()
    litter()
    # What a method does, with the collector at work where it hurts.
    pointer = lib.virNetworkLookupByName(conn._ptr, b"net-%d" % number)
    assert lib.virGetLastErrorCode()
    gc.collect(0)
    reset += not lib.virGetLastErrorCode()
    try:
        raise last_error("virNetworkLookupByName", conn)
    except NetworkNotFoundError as error:
        assert f"'net-{number}'" in error.message, error
    # And with the collector at work after every other instruction.
    gc.enable()
    litter()
    try:
        conn.domains[f"vm-{number}"]
    except DomainNotFoundError as error:
        assert error.message == f"Domain not found: 'vm-{number}'", error
gc.set_threshold(700)
conn.close()
print(reset)
"""
    assert output_of(program) == "20000\n"


def test_threads_never_see_the_error_of_another(tmp_path: Path) -> None:
    guarded = write_host(tmp_path / "host.xml", domains=0, credentials={"alice": "right"})
    program = """
import sys, threading, pyvirt
from pyvirt import errors
sys.setswitchinterval(1e-6)
conn, readonly = pyvirt.connect("test:///default"), pyvirt.connect("test:///default", readonly=True)
domains, domain, looked_at = conn.domains, conn.domains["test"], readonly.domains["test"]
wrong = {"username": "alice", "password": "wrong"}
KINDS = [
    (errors.DomainNotFoundError, "'no-{}'", lambda n: domains[f"no-{n}"]),
    (errors.DomainNotFoundError, "00000000-0000-0000-0000-{:012x}", lambda n: domains.get(uuid=n.to_bytes(16, "big"))),
    (errors.XMLError, "tag-{}-", lambda n: domains.define(f"<tag-{n}-/>")),
    (errors.InvalidArgumentError, "parse URI :{}:", lambda n: pyvirt.connect(f":{n}:")),
    (errors.ConnectionFailedError, "'host-{}'", lambda n: pyvirt.connect(f"host-{n}")),
    (errors.AccessDeniedError, "read only", lambda n: looked_at.destroy()),
    (errors.AuthenticationError, "authentication", lambda n: pyvirt.connect(sys.argv[1], auth=wrong)),
    (errors.InvalidArgumentError, "zero or greater", lambda n: domains.get(id=-1)),
]
start = threading.Barrier(len(KINDS))
missed = []

def fail(cls, message, call):
    start.wait()
    for n in range(3000):
        try:
            call(n)
        except BaseException as error:
            if type(error) is cls and message.format(n) in str(error):
                continue
            missed.append(repr(error))
        else:
            missed.append("no error")

threads = [threading.Thread(target=fail, args=kind) for kind in KINDS]
for thread in threads: thread.start()
for thread in threads: thread.join()
conn.close()
readonly.close()
print(missed[:5])
"""
    assert output_of(program, guarded) == "[]\n"


def test_a_signal_handler_that_fails_takes_only_its_own_error() -> None:
    """Python runs handlers between any two instructions, so also between a failed call and its check."""
    program = """
import signal, pyvirt
conn = pyvirt.connect("test:///default")
handled = 0

def handle(number, frame):
    global handled
    try:
        conn.domains[f"handler-{handled}"]
    except pyvirt.DomainNotFoundError as error:
        assert error.message == f"Domain not found: 'handler-{handled}'", error
        handled += 1
    if handled < 2000:
        signal.setitimer(signal.ITIMER_REAL, 0.0001)  # not before this one is done

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0001)
number = 0
while handled < 2000:
    try:
        conn.domains.define(f"<tag-{number}-/>")
    except pyvirt.XMLError as error:
        assert f"tag-{number}-" in error.message, error
    number += 1
conn.close()
"""
    assert output_of(program) == ""


def test_errors_are_passed_between_processes() -> None:
    program = """
import multiprocessing, pyvirt
from concurrent.futures import ProcessPoolExecutor

def look_up(name):
    with pyvirt.connect("test:///default") as conn:
        return conn.domains[name].name

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    with pyvirt.connect("test:///default") as conn, ProcessPoolExecutor(2, context) as pool:
        assert pool.submit(look_up, "test").result() == "test"
        try:
            pool.submit(look_up, "nobody").result()
        except pyvirt.DomainNotFoundError as error:
            assert (error.code, error.function) == (42, "virDomainLookupByName")
            print(error)
        assert conn.domains["test"].state()
"""
    assert output_of(program) == "Domain not found: 'nobody'\n"


# ---- closing during other calls ----


def test_closing_while_other_threads_call_raises_only_closed_error() -> None:
    program = """
import sys, threading, pyvirt
from tests.support.any_stats import stats
sys.setswitchinterval(1e-5)
conn = pyvirt.connect("test:///default")
stop = False
used, refused, surprises = 0, 0, []

def use(call):
    global used, refused
    while not stop:
        try:
            call(conn)
            used += 1
        except pyvirt.errors.ClosedError:
            refused += 1
        except BaseException as error:
            surprises.append(repr(error))
            return

CALLS = [
    lambda conn: [domain.state() for domain in conn.domains],
    lambda conn: (conn.domains["test"].info(), conn.domains["test"].xml_desc()),
    lambda conn: stats(conn, conn.domains.list()).to_dicts(),
    lambda conn: stats(conn).domains.names,
    lambda conn: (lambda domain: (domain.state(), domain.close(), domain.close()))(conn.domains["test"]),
    lambda conn: conn.close(),
]
threads = [threading.Thread(target=use, args=(call,)) for call in CALLS]
for thread in threads: thread.start()
for _ in range(5000):
    old, conn = conn, pyvirt.connect("test:///default")
    old.domains
    old.close()
stop = True
for thread in threads: thread.join()
conn.close()
assert used > 100 and refused > 100, (used, refused)
print(surprises)
"""
    assert output_of(program) == "[]\n"


def test_one_connection_can_be_closed_from_many_threads() -> None:
    program = """
import threading, pyvirt
for _ in range(300):
    conn = pyvirt.connect("test:///default")
    domains = [conn.domains["test"] for _ in range(50)]
    together = threading.Barrier(4)
    def close():
        together.wait()
        conn.close()
    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert all(domain.closed for domain in domains)
"""
    assert output_of(program) == ""


def test_a_signal_handler_may_close_a_connection_that_is_closing() -> None:
    program = """
import signal, pyvirt
conn = None
ended = False
def handle(number, frame):
    if conn:
        conn.close()
    if not ended:
        signal.setitimer(signal.ITIMER_REAL, 0.0003)  # not before this one is done
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0003)
for _ in range(300):
    conn = None
    new = pyvirt.connect("test:///default")
    kept = [new.domains["test"] for _ in range(400)]
    conn = new
    try:
        while True:
            kept.append(conn.domains["test"])
    except pyvirt.errors.ClosedError:
        pass
    conn.close()
    assert all(domain.closed for domain in kept)
ended = True
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    assert output_of(program) == ""


def test_threads_may_use_and_close_everything_in_random_order() -> None:
    """Six threads create, use, close and drop handles, frames and connections that they share."""
    program = """
import gc, random, sys, threading, pyvirt
from tests.support.any_stats import stats
sys.setswitchinterval(1e-5)
shared = []
surprises = []

def rummage(seed):
    chance = random.Random(seed)
    def pick(kind):
        found = [thing for thing in shared[:] if isinstance(thing, kind)]
        return chance.choice(found) if found else None
    for _ in range(4000):
        action = chance.randrange(12)
        try:
            conn, domain, frame = pick(pyvirt.Connection), pick(pyvirt.Domain), pick(pyvirt.StatsFrame)
            if action == 0 or conn is None: shared.append(pyvirt.connect("test:///default"))
            elif action == 1: conn.close()
            elif action == 2: shared.extend(conn.domains)
            elif action == 3: shared.append(conn.domains["test"])
            elif action == 4: shared.append(stats(conn))
            elif action == 5 and domain: domain.close()
            elif action == 6 and domain: domain.state(), domain.info(), hash(domain)
            elif action == 7 and domain: shared.append(stats(conn, [domain]))
            elif action == 8 and frame: frame.to_dicts(), frame.domains.names, frame.domains.uuids
            elif action == 9 and frame: list(frame.tables["domain"]["state.state"].values)
            elif action == 10: gc.collect(0)
            while len(shared) > 60:
                gone = shared.pop(chance.randrange(30))
                if isinstance(gone, pyvirt.Connection): gone.close()
        except (pyvirt.Error, KeyError):
            pass
        except BaseException as error:
            surprises.append(repr(error))

threads = [threading.Thread(target=rummage, args=(seed,)) for seed in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for thing in shared:
    if isinstance(thing, pyvirt.Connection): thing.close()
print(surprises[:3])
"""
    assert output_of(program) == "[]\n"


# ---- fork ----

FORK = """
import gc, os, sys, pyvirt
from tests.support.any_stats import stats
conn = pyvirt.connect("test:///default")
domain, frame, listed = conn.domains["test"], stats(conn), conn.domains.list()
expected = frame.to_dicts()

def refused(call):
    try:
        call()
    except pyvirt.errors.ClosedError as error:
        assert "fork" in str(error), error
    else:
        raise AssertionError("the child used a connection of its parent")

def child():
    refused(lambda: conn.domains["test"])
    refused(lambda: conn.alive())
    refused(lambda: domain.state())
    refused(lambda: listed[0].name)
    refused(lambda: conn.domains.stats())
    refused(conn.__enter__)
    assert conn.closed and domain.closed
    assert frame.to_dicts() == expected
    with pyvirt.connect("test:///default") as own:
        own.domains["test"].destroy()
        refused(lambda: own.domains.stats(domains=[domain]))
    {in_child}

pid = os.fork()
if pid == 0:
    {leave}
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == {code}
for _ in range(100):
    assert domain.state().state == pyvirt.DomainState.RUNNING
    assert conn.domains.list() == listed
assert frame.to_dicts() == expected
conn.close()
"""


@pytest.mark.parametrize(
    "in_child",
    [
        "pass",
        "conn.close(); domain.close(); domain.close(); conn.close()",
        "globals().update(conn=None, domain=None, frame=None, listed=None); gc.collect()",
        "repr(conn), repr(domain), repr(frame)",
    ],
)
@pytest.mark.parametrize(
    ("leave", "code"), [("child(); os._exit(5)", 5), ("child(); sys.exit(6)", 6), ("child(); raise SystemExit", 0)]
)
def test_a_forked_child_may_close_and_exit_in_any_way(in_child: str, leave: str, code: int) -> None:
    assert output_of(FORK.format(in_child=in_child, leave=leave, code=code)) == ""


def test_grandchildren_of_a_fork_open_connections_of_their_own() -> None:
    program = """
import os, pyvirt
parents = []
for generation in range(3):
    parents.append(pyvirt.connect("test:///default"))
    if os.fork():
        os.wait()
        assert parents[-1].domains["test"].state()
        parents[-1].close()
        break
    assert all(conn.closed for conn in parents)
    for conn in parents: conn.close()
"""
    assert output_of(program) == ""


def test_fork_while_other_threads_call_and_close() -> None:
    program = """
import os, sys, threading, pyvirt
sys.setswitchinterval(1e-5)
stop = False
conn = pyvirt.connect("test:///default")

def use():
    while not stop:
        conn.domains.list()
        conn.domains["test"].state()

def open_and_close():
    while not stop:
        with pyvirt.connect("test:///default") as other:
            other.domains.list()

threads = [threading.Thread(target=call) for call in (use, use, open_and_close)]
for thread in threads: thread.start()
children = []
for _ in range(100):
    pid = os.fork()
    if pid == 0:
        try:
            conn.domains["test"]
        except pyvirt.errors.ClosedError:
            conn.close()
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
stop = True
for thread in threads: thread.join()
conn.close()
"""
    # Python 3.12 warns about forks of a process with threads.
    done = run("-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program)
    assert (done.returncode, done.stderr) == (0, "")


def test_fork_while_another_thread_is_connecting() -> None:
    """The fork happens in the same thread, at each line of connecting."""
    program = """
import os, sys, pyvirt
children = []
def trace(frame, event, argument):
    if frame.f_code is pyvirt.Connection.__init__.__code__ and event == "line":
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        children.append(os.waitpid(pid, 0)[1])
    return trace
sys.settrace(trace)
conn = pyvirt.connect("test:///default")
sys.settrace(None)
conn.close()
print(len(children) > 5, set(children))
"""
    assert output_of(program) == "True {0}\n"


def test_fork_while_other_threads_collect(tmp_path: Path) -> None:
    """The child must not wait for a lock that a thread of its parent held."""
    program = """
import gc, os, signal, sys, threading, pyvirt
from tests.support.any_stats import stats
sys.setswitchinterval(1e-5)
stop = False
conn = pyvirt.connect(sys.argv[1])

def collect():
    while not stop:
        stats(conn).to_dicts()

threads = [threading.Thread(target=collect) for _ in range(3)]
for thread in threads: thread.start()
frame, named = stats(conn), stats(conn)
assert len(named.domains.names) == 500
for _ in range(100):
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        assert len(named.domains.names) == 500
        del frame, named
        conn.close()
        gc.collect()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
assert len(frame.domains.names) == 500
stop = True
for thread in threads: thread.join()
conn.close()
"""
    uri = write_host(tmp_path / "host.xml", domains=500)
    done = run("-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program, uri)
    assert (done.returncode, done.stderr) == (0, "")


def test_fork_while_a_connection_is_being_opened(silent: str) -> None:
    program = """
import os, sys, threading, pyvirt
def attempt():
    try:
        pyvirt.connect(sys.argv[1], timeout=0.2)
    except pyvirt.OperationTimeoutError:
        pass
thread = threading.Thread(target=attempt)
thread.start()
pid = os.fork()
if pid == 0:
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
thread.join()
"""
    done = run("-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program, silent)
    assert (done.returncode, done.stderr) == (0, "")


# ---- the end ----

ALIVE = """
import atexit, gc, sys, threading, pyvirt
from tests.support.any_stats import stats
conn = pyvirt.connect("test:///default")
domain, listed, frame = conn.domains["test"], conn.domains.list(), stats(conn)
tables, columns, values = frame.tables, frame.columns, frame.tables["domain"]["state.state"].values
host = conn.host
iterator = iter(conn.domains)
block = pyvirt.connect("test:///default").__enter__()
try:
    conn.domains["nobody"]
except pyvirt.Error as caught:
    error = caught

class Cycle:
    pass

cycle = Cycle()
cycle.itself, cycle.conn, cycle.frame = cycle, pyvirt.connect("test:///default"), frame
cycle.domains = cycle.conn.domains.list()
sys.modules["kept"] = cycle
"""

ENDINGS = {
    "falls off the end": "",
    "garbage in cycles": "del cycle, sys.modules['kept']",
    "collector off": "gc.disable(); del cycle",
    "threads that loop": """
def loop():
    while True:
        domain.state(), conn.domains.list(), stats(conn).to_dicts()
        with pyvirt.connect("test:///default") as other:
            other.domains["test"]
for _ in range(4):
    threading.Thread(target=loop, daemon=True).start()
""",
    "threads that fail": """
def fail():
    while True:
        try:
            conn.domains["nobody"]
        except pyvirt.DomainNotFoundError:
            pass
for _ in range(4):
    threading.Thread(target=fail, daemon=True).start()
""",
    "threads in a call": """
for _ in range(3):
    threading.Thread(target=pyvirt.connect, args=(sys.argv[1],), daemon=True).start()
""",
    "attempts given up": """
for _ in range(3):
    try:
        pyvirt.connect(sys.argv[1], timeout=0.01)
    except TimeoutError:
        pass
""",
    "a thread that outlives the main one": """
import time
def work():
    threading.main_thread().join()
    for _ in range(100):
        assert domain.state() and stats(conn).to_dicts()
    conn.close()
threading.Thread(target=work).start()
""",
    "used at exit": "atexit.register(lambda: (domain.state(), stats(conn).to_dicts()))",
    "closed at exit": "atexit.register(conn.close)",
    "many": "more = [pyvirt.connect('test:///default') for _ in range(300)]; all = [m.domains['test'] for m in more]",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_exits_with_everything_open(ending: str, silent: str) -> None:
    for options in (STRICT, ()):
        done = run(*options, "-c", ALIVE + ENDINGS[ending], silent, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("statement", "code"), [("sys.exit(3)", 3), ("raise SystemExit('bye')", 1), ("1 / 0", 1)])
def test_the_exit_code_of_the_program_is_kept(statement: str, code: int) -> None:
    done = run(*STRICT, "-c", ALIVE + statement)
    assert done.returncode == code
    assert done.stdout == ""
    if "sys.exit" in statement:
        assert done.stderr == ""
    elif "bye" in statement:
        assert done.stderr == "bye\n"
    else:
        assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_a_connection_used_at_exit_raises_closed_error() -> None:
    """An exit function registered before the import of pyvirt runs after pyvirt has closed its connections."""
    program = """
import atexit
@atexit.register
def late():
    try:
        conn.domains["test"]
    except pyvirt.errors.ClosedError as error:
        print(error)
import pyvirt
conn = pyvirt.connect("test:///default")
"""
    assert output_of(program) == "the connection is closed, as the interpreter exits\n"
