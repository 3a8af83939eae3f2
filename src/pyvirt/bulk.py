# SPDX-License-Identifier: LGPL-2.1-or-later
"""One function over thousands of objects: ``bulk.map(pyvirt.Domain.shutdown, conn.domains)``.

Each item has a result, and an exception is one too: nothing that happens to one item keeps the others from their turn.
:func:`map` returns the results in the order of the items, :func:`imap` yields each as it is there.

The items of each connection have threads of their own, four unless told otherwise: libvirtd serves five requests of a
client at a time, and one of those should be left for whoever else uses the connection.  The threads are daemon threads,
made here and not by :mod:`concurrent.futures`, since nobody can interrupt a call that libvirt does not return from: its
item is given up after *timeout*, another thread takes the place, and the interpreter exits without waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from pyvirt._core.handle import Handle
from pyvirt._core.root import Root
from pyvirt.domain._part import Part
from pyvirt.errors import Error, InvalidArgumentError, NotFoundError, OperationAbortedError, OperationTimeoutError

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import TypeAlias

    from typing_extensions import Self

    Report: TypeAlias = Callable[[int, int, "Result[T, R]"], object]

__all__ = ["Cancel", "Coming", "Result", "Results", "imap", "map"]

T = TypeVar("T")
R = TypeVar("R")

_WORKERS = 4
# Of one connection: with that many calls that do not return, its daemon answers no more, and new ones only pile up.
_MOST_STUCK = 16


@dataclass(frozen=True, slots=True)
class Result(Generic[T, R]):
    """What became of one item."""

    item: T
    #: What the function returned, ``None`` if it raised.
    value: R | None
    #: What it raised, or why it has not returned.
    error: Exception | None = None
    #: The item is gone: it was not found when the function wanted it.  Neither a success nor a failure.
    vanished: bool = False

    @property
    def ok(self) -> bool:
        """Whether the function returned."""
        return self.error is None

    def unwrap(self) -> R:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Results(list[Result[T, R]]):
    """The results of all items, in their order."""

    __slots__ = ()

    @property
    def succeeded(self) -> list[Result[T, R]]:
        """Those of which the function returned."""
        return [result for result in self if result.ok]

    @property
    def failed(self) -> list[Result[T, R]]:
        """Those with an error, but for items that vanished."""
        return [result for result in self if not (result.ok or result.vanished)]

    @property
    def vanished(self) -> list[Result[T, R]]:
        """Those whose item was gone before its turn came or ended."""
        return [result for result in self if result.vanished]

    def values(self) -> list[R]:
        """Return what the function returned, in the order of the items; raise the first error, if any failed."""
        for result in self.failed:
            result.unwrap()
        return [result.unwrap() for result in self.succeeded]


class Cancel:
    """Ends what it was given to, from any thread or signal handler: no further item is begun.

    Items under way are waited for, as long as their *timeout* allows.
    """

    def __init__(self) -> None:
        self._cancelled = False
        self._wake: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called; a function that takes long may look at it."""
        return self._cancelled

    def cancel(self) -> None:
        """Begin no further item.  Harmless when repeated."""
        self._cancelled = True
        for wake in self._wake[:]:
            wake()


class _Task(Generic[T, R]):
    """One item on its way."""

    __slots__ = ("begun", "error", "given_up", "item", "lane", "place", "value", "vanished")

    def __init__(self, place: int, item: T, lane: _Lane[T, R]) -> None:
        self.place = place
        self.item = item
        self.lane = lane
        self.begun = 0.0
        self.value: R | None = None
        self.error: BaseException | None = None
        self.vanished = False
        self.given_up = False

    def result(self) -> Result[T, R]:
        if self.error is not None and not isinstance(self.error, Exception):
            raise self.error  # KeyboardInterrupt and SystemExit mean the program, not the item
        return Result(self.item, self.value, self.error, self.vanished)


class _Lane(Generic[T, R]):
    """The items of one connection, and the threads at work on them."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.waiting: deque[_Task[T, R]] = deque()
        self.running: list[_Task[T, R]] = []
        self.threads = 0  # without those that are stuck
        self.stuck = 0


class _Run(Generic[T, R]):
    """All that one call of :func:`imap` has under way."""

    def __init__(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        workers: int | None,
        timeout: float | None,
        deadline: float | None,
        cancel: Cancel | None,
    ) -> None:
        if workers is None:
            workers = _WORKERS
        if workers < 1:
            raise InvalidArgumentError(f"at least one worker, not {workers}")
        for name, seconds in (("timeout", timeout), ("deadline", deadline)):
            if seconds is not None and not seconds > 0:
                raise InvalidArgumentError(f"{name} is in seconds and more than 0, not {seconds}")
        self._function = function
        self._timeout = timeout
        self._deadline = deadline
        self._ends: float | None = None
        self._cancel = cancel
        self._lock = Lock()
        self._done: SimpleQueue[_Task[T, R] | None] = SimpleQueue()
        self._lanes: dict[int, _Lane[T, R]] = {}
        self.left = 0
        for place, item in enumerate(items):
            lane = self._lanes.setdefault(id(_connection_of(item)), _Lane(workers))
            lane.waiting.append(_Task(place, item, lane))
            self.left = place + 1

    # ---- in the threads ----

    def _work(self, lane: _Lane[T, R]) -> None:
        while True:
            with self._lock:
                if not lane.waiting or lane.threads > lane.workers or self._cancelled() or self._is_late():
                    lane.threads -= 1
                    return
                task = lane.waiting.popleft()
                task.begun = monotonic()
                lane.running.append(task)
            try:
                task.value = self._function(task.item)
            except BaseException as error:
                task.error = error
                task.vanished = isinstance(error, NotFoundError) and _is_gone(task.item, error)
            with self._lock:
                if task.given_up:
                    lane.stuck -= 1
                    lane.threads += 1  # back at work, if the place is still free
                else:
                    lane.running.remove(task)
                    self._done.put(task)
            del task  # the next one may be long in coming

    # ---- in the thread of the caller ----

    def results(self) -> Generator[tuple[int, Result[T, R]], None, None]:
        """Yield each item's place and result as they come."""
        if self._deadline is not None:
            self._ends = monotonic() + self._deadline
        if self._cancel is not None:
            self._cancel._wake.append(self._wake)
        try:
            for lane in self._lanes.values():
                self._staff(lane)
            while self.left:
                for task in self._next():
                    self.left -= 1
                    yield task.place, task.result()
        finally:
            self._withdraw()
            if self._cancel is not None:
                self._cancel._wake.remove(self._wake)

    def _wake(self) -> None:
        self._done.put(None)

    def _is_late(self) -> bool:
        """Whether the deadline has passed, which the caller may notice only when it has had all that is done."""
        return self._ends is not None and monotonic() >= self._ends

    def _cancelled(self) -> bool:
        return self._cancel is not None and self._cancel.cancelled

    def _staff(self, lane: _Lane[T, R]) -> None:
        """Let as many threads work on a lane as it should have, and has items for."""
        while True:
            with self._lock:
                missing = min(lane.workers - lane.threads, len(lane.waiting))
                if missing <= 0 or lane.stuck >= _MOST_STUCK or self._cancelled():
                    return
                lane.threads += 1
            try:
                Thread(target=self._work, args=(lane,), name="pyvirt-bulk", daemon=True).start()
            except BaseException:
                with self._lock:
                    lane.threads -= 1
                raise

    def _next(self) -> list[_Task[T, R]]:
        """Wait until something happens, and return what has an end by it."""
        if self._cancelled():
            dropped = self._withdraw()
            if dropped:
                return _fail(dropped, lambda: OperationAbortedError("cancelled before its turn"))
        try:
            task = self._done.get(timeout=self._patience())
        except Empty:
            return self._give_up()
        return [task] if task is not None else []

    def _patience(self) -> float:
        """Return how long nobody's time is up."""
        with self._lock:
            ends = [self._ends] if self._ends is not None else []
            if self._timeout is not None:
                ends += [task.begun + self._timeout for lane in self._lanes.values() for task in lane.running]
        return min(max(min(ends) - monotonic(), 0.0), TIMEOUT_MAX) if ends else TIMEOUT_MAX

    def _give_up(self) -> list[_Task[T, R]]:
        """Take from the threads what has had its time."""
        now = monotonic()
        over = self._is_late()
        late: list[_Task[T, R]] = []
        with self._lock:
            for lane in self._lanes.values():
                for task in lane.running[:]:
                    if over or (self._timeout is not None and now >= task.begun + self._timeout):
                        task.given_up = True
                        lane.running.remove(task)
                        lane.threads -= 1
                        lane.stuck += 1
                        late.append(task)
        # The thread may still write into a task that was given up: what counts is a new one.
        late = [_Task(task.place, task.item, task.lane) for task in late]
        if over:
            _fail(late, lambda: OperationTimeoutError(f"not done when the {self._deadline:g} s for all were over"))
            rest = self._withdraw()
            return late + _fail(
                rest, lambda: OperationTimeoutError(f"its turn did not come within the {self._deadline:g} s for all")
            )
        _fail(late, lambda: OperationTimeoutError(f"not done within {self._timeout:g} s"))
        for lane in {id(task.lane): task.lane for task in late}.values():
            self._staff(lane)
            with self._lock:
                dead = lane.stuck >= _MOST_STUCK and not lane.threads
                rest = list(lane.waiting) if dead else []
                if dead:
                    lane.waiting.clear()
            late += _fail(
                rest,
                lambda: OperationTimeoutError(
                    f"not begun: {_MOST_STUCK} calls before it on the same connection have not returned"
                ),
            )
        return late

    def _withdraw(self) -> list[_Task[T, R]]:
        """Take back what no thread has begun."""
        with self._lock:
            rest = [task for lane in self._lanes.values() for task in lane.waiting]
            for lane in self._lanes.values():
                lane.waiting.clear()
        return rest


def _fail(tasks: list[_Task[T, R]], error: Callable[[], Error]) -> list[_Task[T, R]]:
    for task in tasks:
        task.error = error()
    return tasks


def _connection_of(item: object) -> Root | None:
    """Return the connection that an item will be asked through, as far as that can be seen."""
    if isinstance(item, tuple):  # (domain, what to do with it)
        return next((found for found in (_connection_of(part) for part in item) if found is not None), None)
    if isinstance(item, Handle | Part):
        return item._conn
    return item if isinstance(item, Root) else None


def _is_gone(item: object, error: NotFoundError) -> bool:
    """Whether it is the item itself that was not found, and not something else that the function looked for."""
    if isinstance(item, tuple):
        return any(_is_gone(part, error) for part in item)
    if isinstance(item, Part):
        item = item.domain
    if not isinstance(item, Handle):
        return False
    try:
        item.xml_desc()  # type: ignore[attr-defined]  # each has it
    except type(error):
        return True
    except Exception:
        pass  # whatever that is, it does not say so
    return False


class Coming(Iterator[Result[T, R]]):
    """Results as they come, from :func:`imap`.  A context manager: closing it begins no further item.

    It is closed too when nobody holds it any more; an exception that left the loop holds it.
    """

    __slots__ = ("_results",)

    def __init__(self, results: Generator[tuple[int, Result[T, R]], None, None]) -> None:
        self._results = results

    def __next__(self) -> Result[T, R]:
        return next(self._results)[1]

    def close(self) -> None:
        """Begin no further item; those under way go on in their threads, and nobody hears of them."""
        self._results.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def imap(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    cancel: Cancel | None = None,
) -> Coming[T, R]:
    """Call *function* with each of *items*, in threads, and yield the results as they come.

    ``with bulk.imap(…) as coming: for result in coming: …`` begins no further item however the block is left, by
    Ctrl-C too.  The first item is begun when the first result is asked for.  For the arguments see :func:`map`.
    """
    return Coming(_Run(function, items, workers, timeout, deadline, cancel).results())


def map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    progress: bool | Report[T, R] = False,
    cancel: Cancel | None = None,
) -> Results[T, R]:
    """Call *function* with each of *items*, in threads, and return the results in the order of the items.

    :param items: domains, volumes, snapshots, connections, tuples with one of these in them, or anything else
    :param workers: how many items of one connection are worked on at a time, 4 if not given; what belongs to no
        connection shares that many
    :param timeout: seconds for each item from when it is begun.  Then its error is an :class:`OperationTimeoutError`,
        and its thread is left behind: a call that libvirt does not return from cannot be interrupted
    :param deadline: seconds for everything; what is not done then has the same error
    :param progress: ``True`` for a bar on stderr, by rich; or what is called after each item with how many are done,
        how many there are, and the result
    :param cancel: begins no further item when told so; these get an :class:`OperationAbortedError`
    :raises ImportError: a bar needs the extra ``cli``
    """
    run = _Run(function, items, workers, timeout, deadline, cancel)
    total = run.left
    ordered: list[Result[T, R] | None] = [None] * total
    results = run.results()
    with _reporter(progress, total) as report:
        try:
            for done, (place, result) in enumerate(results, 1):
                ordered[place] = result
                report(done, total, result)
        finally:
            results.close()
    return Results(result for result in ordered if result is not None)


def _reporter(progress: bool | Report[T, R], total: int) -> AbstractContextManager[Report[T, R]]:
    from contextlib import nullcontext

    if progress is True:
        return _bar(total)
    return nullcontext(progress or (lambda done, total, result: None))


def _bar(total: int) -> AbstractContextManager[Report[T, R]]:
    from contextlib import contextmanager

    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError as error:
        raise ImportError("a progress bar needs rich: install pyvirt[cli], or pass a function") from error

    @contextmanager
    def bar() -> Iterator[Report[T, R]]:
        failed = TextColumn("[red]{task.fields[failed]}")
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), failed)
        with Progress(*columns, console=Console(stderr=True)) as shown:
            task = shown.add_task("", total=total, failed="")
            failures = 0

            def report(done: int, total: int, result: Result[T, R]) -> None:
                nonlocal failures
                failures += not (result.ok or result.vanished)
                shown.update(task, completed=done, failed=f"{failures} failed" if failures else "")

            yield report

    return bar()
