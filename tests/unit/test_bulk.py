# SPDX-License-Identifier: LGPL-2.1-or-later
"""One function over many objects, with the results as data.

Functions that wait, wait for an event of the test; a call that a deadline must end never ends by itself.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

import pyvirt
from pyvirt import bulk
from pyvirt.testing.pytest_plugin import HostFactory
from tests.support.processes import output_of

LONG = 60  # seconds until a test that hangs fails


@pytest.fixture
def conn(libvirt_host: HostFactory) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(libvirt_host(domains=12, running=1.0)) as conn:
        yield conn


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """An event that is not set before the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def settled() -> None:
    """Wait until the remaining threads have ended."""
    for thread in threading.enumerate():
        if thread.name == "pyvirt-bulk":
            thread.join(LONG)
            assert not thread.is_alive()


class Work:
    """Items begin in it; all but the first wait until they are released."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.release = threading.Event()

    def __call__(self, number: int) -> None:
        self.begun.append(number)
        if number:
            assert self.release.wait(LONG)


# ---- results ----


def test_results_are_in_the_order_of_the_items() -> None:
    gates = [threading.Event() for _ in range(4)]

    def backwards(number: int) -> int:
        if number < 3:
            assert gates[number + 1].wait(LONG)
        gates[number].set()
        return number * number

    results = bulk.map(backwards, range(4))

    assert [result.item for result in results] == [0, 1, 2, 3]
    assert [result.value for result in results] == [0, 1, 4, 9]
    assert results.values() == [0, 1, 4, 9]
    assert results.succeeded == results
    assert results.failed == results.vanished == []
    assert isinstance(results, bulk.Results)


def test_imap_yields_results_in_the_order_of_completion() -> None:
    first = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert first.wait(LONG)
        return number

    coming = bulk.imap(work, range(2))
    assert next(coming) == bulk.Result(1, 1)
    first.set()
    assert next(coming) == bulk.Result(0, 0)
    assert list(coming) == []


def test_an_exception_becomes_a_result_and_stops_no_other_item(conn: pyvirt.Connection) -> None:
    domains = list(conn.domains)
    domains[3].destroy()

    results = bulk.map(pyvirt.Domain.destroy, domains)

    assert len(results) == 12
    [failed] = results.failed
    assert failed.item == domains[3]
    assert isinstance(failed.error, pyvirt.OperationInvalidError)
    assert not failed.ok
    with pytest.raises(pyvirt.OperationInvalidError):
        failed.unwrap()
    with pytest.raises(pyvirt.OperationInvalidError):
        results.values()
    assert len(results.succeeded) == 11
    assert {domain.state().state for domain in domains} == {pyvirt.DomainState.SHUTOFF}


def test_a_result_is_immutable() -> None:
    [result] = bulk.map(str, [5])
    assert result.unwrap() == "5"
    with pytest.raises(AttributeError):
        result.value = "6"  # type: ignore[misc]


@pytest.mark.parametrize("items", [[], (), iter(())])
def test_an_empty_list_gives_empty_results(items: Iterable[object]) -> None:
    assert bulk.map(str, items) == []
    assert list(bulk.imap(str, items)) == []


def test_volumes_snapshots_and_tuples_are_accepted_as_items(conn: pyvirt.Connection) -> None:
    domain = next(iter(conn.domains))
    for name in ("a", "b", "c"):
        domain.snapshots.create(name=name)
    assert bulk.map(pyvirt.Snapshot.delete, domain.snapshots).failed == []
    assert list(domain.snapshots) == []

    def title(pair: tuple[pyvirt.Domain, str]) -> str:
        pair[0].metadata.set_title(pair[1])
        return pair[0].metadata.title()

    pairs = [(domain, f"number {number}") for number, domain in enumerate(conn.domains)]
    assert bulk.map(title, pairs).values() == [text for _, text in pairs]


# ---- objects that disappear ----


def test_a_vanished_object_counts_neither_as_success_nor_as_failure(conn: pyvirt.Connection) -> None:
    domains = list(conn.domains)
    domains[5].destroy()
    domains[5].undefine()

    results = bulk.map(pyvirt.Domain.suspend, domains)

    [gone] = results.vanished
    assert gone is results[5]
    assert gone.item == domains[5]
    assert isinstance(gone.error, pyvirt.DomainNotFoundError)
    assert not gone.ok
    assert results.failed == []
    assert len(results.succeeded) == 11
    assert len(results.values()) == 11


def test_a_missing_object_other_than_the_item_counts_as_failure(conn: pyvirt.Connection) -> None:
    def look(domain: pyvirt.Domain) -> pyvirt.Domain:
        return domain.connection.domains["somebody else"]

    results = bulk.map(look, conn.domains)

    assert len(results.failed) == 12
    assert results.vanished == []
    assert bulk.map(lambda name: conn.domains[name], ["nobody"]).vanished == []


def test_parts_and_tuples_count_as_vanished_with_their_domain(conn: pyvirt.Connection) -> None:
    domain = next(iter(conn.domains))
    disk = domain.disks["vda"]
    domain.destroy()
    domain.undefine()

    assert bulk.map(lambda disk: disk.info(), [disk]).failed == []
    assert len(bulk.map(lambda pair: pair[0].suspend(), [(domain, 1)]).vanished) == 1


# ---- workers ----


def test_workers_are_counted_by_connection(libvirt_host: HostFactory) -> None:
    """With two workers for each of two connections, four calls run at a time and never five."""
    meeting = threading.Barrier(4, timeout=LONG)
    inside: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock = threading.Lock()

    def meet(domain: pyvirt.Domain) -> None:
        where = repr(domain.connection)
        with lock:
            inside[where] += 1
            most[where] = max(most[where], inside[where])
        meeting.wait()
        with lock:
            inside[where] -= 1
        meeting.wait()

    with pyvirt.connect(libvirt_host(domains=4)) as one, pyvirt.connect(libvirt_host(domains=4)) as two:
        results = bulk.map(meet, [*one.domains, *two.domains], workers=2)

        assert results.failed == []
        assert most == {repr(one): 2, repr(two): 2}


def test_each_connection_has_four_workers_by_default(conn: pyvirt.Connection) -> None:
    meeting = threading.Barrier(4, timeout=LONG)
    threads: set[int] = set()

    def meet(domain: pyvirt.Domain) -> None:
        threads.add(threading.get_ident())
        meeting.wait()

    assert bulk.map(meet, conn.domains).failed == []
    assert len(threads) == 4


def test_one_worker_processes_the_items_in_order() -> None:
    seen: list[int] = []
    bulk.map(seen.append, range(50), workers=1)
    assert seen == list(range(50))


@pytest.mark.parametrize(
    "bad",
    [{"workers": 0}, {"workers": -1}, {"timeout": 0}, {"timeout": -1.0}, {"deadline": 0}, {"timeout": float("nan")}],
)
def test_invalid_numbers_are_refused(bad: dict[str, float]) -> None:
    called: list[int] = []
    with pytest.raises(pyvirt.InvalidArgumentError):
        bulk.map(called.append, [1], **bad)  # type: ignore[arg-type]
    with pytest.raises(pyvirt.InvalidArgumentError):
        bulk.imap(called.append, [1], **bad)  # type: ignore[arg-type]
    assert called == []


# ---- time ----


def test_a_call_that_does_not_return_times_out(never: threading.Event) -> None:
    """The only worker hangs, and another one replaces it."""

    def work(number: int) -> int:
        if number == 1:
            never.wait()
        return number

    results = bulk.map(work, range(5), workers=1, timeout=1.5)

    assert [result.item for result in results.failed] == [1]
    assert isinstance(results[1].error, pyvirt.OperationTimeoutError)
    assert isinstance(results[1].error, TimeoutError)
    assert "within 1.5 s" in str(results[1].error)
    assert [result.value for result in results.succeeded] == [0, 2, 3, 4]


def test_a_late_call_changes_no_result_and_its_worker_continues() -> None:
    late = threading.Event()
    threads: list[int] = []

    def work(number: int) -> int:
        threads.append(threading.get_ident())
        if number == 0:
            assert late.wait(LONG)
        return number

    coming = bulk.imap(work, range(3), workers=1, timeout=1.5)
    first = next(coming)
    late.set()
    rest = list(coming)

    assert isinstance(first.error, pyvirt.OperationTimeoutError)
    assert [result.value for result in rest] == [1, 2]
    settled()


def test_a_deadline_ends_all_calls(never: threading.Event) -> None:
    def work(number: int) -> int:
        if number:
            never.wait()
        return number

    results = bulk.map(work, range(6), workers=2, deadline=1.5)

    assert results[0].value == 0
    assert all(isinstance(result.error, pyvirt.OperationTimeoutError) for result in results[1:])
    messages = [str(result.error) for result in results[1:]]
    assert [message.startswith("not finished") for message in messages] == [True, True, False, False, False]
    assert all("1.5 s" in message for message in messages)


def test_a_deadline_applies_to_a_slow_loop() -> None:
    late = threading.Event()
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        late.wait(0.02)  # until then one after the other, too slow for all of them

    coming = bulk.imap(work, range(1000), workers=1, deadline=0.1)
    next(coming)
    settled()  # the worker stops by itself
    assert len(begun) < 1000
    late.set()
    rest = list(coming)
    assert len(rest) == 999
    assert all(isinstance(result.error, pyvirt.OperationTimeoutError) for result in rest[len(begun) - 1 :])


def test_an_unresponsive_connection_gets_no_further_calls(never: threading.Event) -> None:
    results = bulk.map(lambda number: never.wait(), range(200), workers=8, timeout=0.05)

    messages = [str(result.error).partition(" ")[2].partition(" ")[0] for result in results.failed]
    assert messages == ["finished"] * messages.count("finished") + ["started:"] * messages.count("started:")
    assert len(messages) == 200
    assert 16 <= messages.count("finished") < 30


# ---- leaving early ----


def test_cancelling_begins_no_further_item_and_keeps_results() -> None:
    cancel = bulk.Cancel()
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 2:
            cancel.cancel()
        return number

    results = bulk.map(work, range(10), workers=1, cancel=cancel)

    assert cancel.cancelled
    assert results[2].value == 2  # it was in flight
    assert [result.item for result in results.succeeded] == begun == [0, 1, 2]
    assert all(isinstance(result.error, pyvirt.OperationAbortedError) for result in results.failed)
    assert len(results) == 10


def test_cancelling_wakes_a_waiting_loop() -> None:
    cancel = bulk.Cancel()
    begun, release = threading.Event(), threading.Event()

    def work(number: int) -> int:
        begun.set()
        assert release.wait(LONG)
        return number

    def cancel_later() -> None:
        assert begun.wait(LONG)
        cancel.cancel()

    waker = threading.Thread(target=cancel_later)
    waker.start()
    coming = bulk.imap(work, range(3), workers=1, cancel=cancel)
    first, second = next(coming), next(coming)
    release.set()
    [last] = coming

    assert {first.item, second.item} == {1, 2}
    assert isinstance(first.error, pyvirt.OperationAbortedError)
    assert last == bulk.Result(0, 0)
    waker.join()


def test_a_cancel_before_the_start_calls_nothing() -> None:
    cancel = bulk.Cancel()
    cancel.cancel()
    called: list[int] = []
    results = bulk.map(called.append, [1, 2], cancel=cancel)
    assert [type(result.error) for result in results.failed] == [pyvirt.OperationAbortedError] * len(results.failed)
    assert len(results) == 2
    assert called == []


def test_leaving_the_loop_begins_no_further_item() -> None:
    work = Work()

    with bulk.imap(work, range(100), workers=1) as coming:
        assert next(coming).item == 0
    work.release.set()
    settled()

    assert len(work.begun) <= 2
    assert list(coming) == []


def test_an_exception_in_the_loop_begins_no_further_item() -> None:
    work = Work()

    def leave() -> None:
        with bulk.imap(work, range(100), workers=1) as coming:
            next(coming)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        leave()
    work.release.set()
    settled()

    assert len(work.begun) <= 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exceptions_that_end_the_program_are_raised(error: type[BaseException]) -> None:
    begun: list[int] = []
    release = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise error
        assert release.wait(LONG)

    with pytest.raises(error):
        bulk.map(work, range(100), workers=1)
    release.set()
    assert len(begun) <= 2


INTERRUPTED = """
import os, signal, threading
from pyvirt import bulk

begun, done, three, never = [], [], threading.Event(), threading.Event()

def work(number):
    begun.append(number)
    if number == 3:
        three.wait(60)
        os.kill(os.getpid(), signal.SIGINT)
        never.wait()
    return number

try:
    with bulk.imap(work, range(1000), workers=1) as coming:
        for result in coming:
            done.append(result.value)
            if len(done) == 3:
                three.set()
except KeyboardInterrupt:
    print(done, len(begun))
"""


def test_ctrl_c_keeps_the_results_so_far() -> None:
    assert output_of(INTERRUPTED) == "[0, 1, 2] 4\n"


STUCK = """
import threading
from pyvirt import bulk
print(len(bulk.map(lambda n: threading.Event().wait(), range(3), timeout=0.05).failed))
"""


def test_the_interpreter_exits_without_waiting_for_hung_calls() -> None:
    assert output_of(STUCK) == "3\n"


# ---- progress ----


def test_progress_calls_a_function_with_each_result() -> None:
    seen: list[tuple[int, int, int]] = []

    def report(done: int, total: int, result: bulk.Result[int, str]) -> None:
        seen.append((done, total, result.item))

    bulk.map(str, [7, 8, 9], workers=1, progress=report)

    assert seen == [(1, 3, 7), (2, 3, 8), (3, 3, 9)]


def test_an_error_of_the_progress_function_is_raised() -> None:
    work = Work()

    def report(done: int, total: int, result: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bulk.map(work, range(100), workers=1, progress=report)
    work.release.set()
    assert len(work.begun) <= 2


def test_progress_true_shows_a_bar_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    results = bulk.map(lambda number: 1 // number, range(3), progress=True)

    assert len(results.failed) == 1
    captured = capsys.readouterr()
    assert "3/3" in captured.err
    assert "1 failed" in captured.err
    assert captured.out == ""


def test_a_bar_without_rich_names_what_to_install() -> None:
    program = """
import sys
sys.modules["rich.console"] = sys.modules["rich.progress"] = sys.modules["rich"] = None
from pyvirt import bulk
begun = []
try:
    bulk.map(begun.append, [1], progress=True)
except ImportError as error:
    print(error, begun)
"""
    assert "pip install 'pyvirt[cli]', or pass a function []" in output_of(program)


def test_bulk_is_available_without_an_import() -> None:
    assert output_of("import pyvirt; print(pyvirt.bulk.map(str, [1]).values())") == "['1']\n"
