# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call a function with each of thousands of objects: ``bulk.map(pyvirt.Domain.shutdown, conn.domains)``.

Each item has a result, and an exception is stored in it: a failure of one item never prevents the call for another one.
:func:`map` returns the results in the order of the items, :func:`imap` yields them as they arrive.

The items of each connection have threads of their own, four by default: libvirtd serves five requests of a client at a
time, and one is left for other users of the connection.

A call from which libvirt does not return cannot be interrupted.  So the threads are daemon threads, started here and
not by :mod:`concurrent.futures`: an item is given up after *timeout*, another thread takes the place of its thread, and
the interpreter exits without waiting for it.
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
# If this many calls of one connection do not return, its daemon no longer reads requests: no further calls are made.
_MAX_STUCK = 16


@dataclass(frozen=True, slots=True)
class Result(Generic[T, R]):
    """The result of the call for one item."""

    item: T
    #: The return value of the function, ``None`` if it raised an exception.
    value: R | None
    #: The exception of the function, or the reason why it has not returned.
    error: Exception | None = None
    #: The item no longer existed when the function was called.  This is neither a success nor a failure.
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
        """The results of the items for which the function returned."""
        return [result for result in self if result.ok]

    @property
    def failed(self) -> list[Result[T, R]]:
        """The results with an error, except those of items that vanished."""
        return [result for result in self if not (result.ok or result.vanished)]

    @property
    def vanished(self) -> list[Result[T, R]]:
        """The results of items that no longer existed."""
        return [result for result in self if result.vanished]

    def values(self) -> list[R]:
        """Return the values in the order of the items, or raise the first error.  Vanished items are left out."""
        for result in self.failed:
            result.unwrap()
        return [result.unwrap() for result in self.succeeded]


class Cancel:
    """Stops a call of :func:`map` or :func:`imap` from any thread or signal handler: no further item is started.

    The call then waits for the items under way, as long as their *timeout* allows.
    """

    def __init__(self) -> None:
        self._cancelled = False
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called; a long-running function can check it."""
        return self._cancelled

    def cancel(self) -> None:
        """Start no further item.  Calling it again has no effect."""
        self._cancelled = True
        for callback in self._callbacks[:]:
            callback()


class _Task(Generic[T, R]):
    """The call for one item."""

    __slots__ = ("error", "given_up", "index", "item", "queue", "started", "value", "vanished")

    def __init__(self, index: int, item: T, queue: _Queue[T, R]) -> None:
        self.index = index
        self.item = item
        self.queue = queue
        self.started = 0.0
        self.value: R | None = None
        self.error: BaseException | None = None
        self.vanished = False
        self.given_up = False

    def result(self) -> Result[T, R]:
        if self.error is not None and not isinstance(self.error, Exception):
            raise self.error  # KeyboardInterrupt and SystemExit concern the program, not the item
        return Result(self.item, self.value, self.error, self.vanished)


class _Queue(Generic[T, R]):
    """The items of one connection, and the number of threads that process them."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.waiting: deque[_Task[T, R]] = deque()
        self.running: list[_Task[T, R]] = []
        self.threads = 0  # without the stuck ones
        self.stuck = 0  # threads whose task was given up


class _Run(Generic[T, R]):
    """One call of :func:`map` or :func:`imap`."""

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
            raise InvalidArgumentError(f"workers must be at least 1, not {workers}")
        for name, seconds in (("timeout", timeout), ("deadline", deadline)):
            if seconds is not None and not seconds > 0:
                raise InvalidArgumentError(f"{name} must be a number of seconds above 0, not {seconds}")
        self._function = function
        self._timeout = timeout
        self._deadline = deadline
        self._end: float | None = None
        self._cancel = cancel
        self._lock = Lock()
        self._done: SimpleQueue[_Task[T, R] | None] = SimpleQueue()
        self._queues: dict[int, _Queue[T, R]] = {}
        self.left = 0  # items without a result
        for index, item in enumerate(items):
            queue = self._queues.setdefault(id(_connection_of(item)), _Queue(workers))
            queue.waiting.append(_Task(index, item, queue))
            self.left = index + 1

    # ---- in the threads ----

    def _work(self, queue: _Queue[T, R]) -> None:
        while True:
            with self._lock:
                if not queue.waiting or queue.threads > queue.workers or self._cancelled() or self._is_late():
                    queue.threads -= 1
                    return
                task = queue.waiting.popleft()
                task.started = monotonic()
                queue.running.append(task)
            try:
                task.value = self._function(task.item)
            except BaseException as error:
                task.error = error
                task.vanished = isinstance(error, NotFoundError) and _has_vanished(task.item, error)
            with self._lock:
                if task.given_up:
                    queue.stuck -= 1
                    queue.threads += 1  # continues with the next item, unless another thread has replaced it
                else:
                    queue.running.remove(task)
                    self._done.put(task)

    # ---- in the thread of the caller ----

    def results(self) -> Generator[tuple[int, Result[T, R]], None, None]:
        """Yield the index and the result of each item as the results arrive."""
        if self._deadline is not None:
            self._end = monotonic() + self._deadline
        if self._cancel is not None:
            self._cancel._callbacks.append(self._wake)
        try:
            for queue in self._queues.values():
                self._start_threads(queue)
            while self.left:
                for task in self._next_ended():
                    self.left -= 1
                    yield task.index, task.result()
        finally:
            self._withdraw()
            if self._cancel is not None:
                self._cancel._callbacks.remove(self._wake)

    def _wake(self) -> None:
        self._done.put(None)

    def _is_late(self) -> bool:
        """Return whether the deadline has passed.

        Threads check it too, because the caller checks it only after it has taken all results.
        """
        return self._end is not None and monotonic() >= self._end

    def _cancelled(self) -> bool:
        return self._cancel is not None and self._cancel.cancelled

    def _start_threads(self, queue: _Queue[T, R]) -> None:
        """Start the threads that a queue should have for its waiting items."""
        while True:
            with self._lock:
                missing = min(queue.workers - queue.threads, len(queue.waiting))
                if missing <= 0 or queue.stuck >= _MAX_STUCK or self._cancelled():
                    return
                queue.threads += 1
            try:
                Thread(target=self._work, args=(queue,), name="pyvirt-bulk", daemon=True).start()
            except BaseException:
                with self._lock:
                    queue.threads -= 1
                raise

    def _next_ended(self) -> list[_Task[T, R]]:
        """Wait, and return the tasks that have ended: by a result, a timeout, the deadline or :class:`Cancel`."""
        if self._cancelled():
            withdrawn = self._withdraw()
            if withdrawn:
                return _fail(withdrawn, lambda: OperationAbortedError("cancelled before it was started"))
        try:
            task = self._done.get(timeout=self._time_left())
        except Empty:
            return self._give_up()
        return [task] if task is not None else []

    def _time_left(self) -> float:
        """Return the seconds until the next timeout or the deadline."""
        with self._lock:
            ends = [self._end] if self._end is not None else []
            if self._timeout is not None:
                ends += [task.started + self._timeout for queue in self._queues.values() for task in queue.running]
        return min(max(min(ends) - monotonic(), 0.0), TIMEOUT_MAX) if ends else TIMEOUT_MAX

    def _give_up(self) -> list[_Task[T, R]]:
        """Return the tasks that exceeded their time, and the waiting tasks that will not be started."""
        deadline_passed = self._is_late()
        late = self._take_late(deadline_passed)
        if deadline_passed:
            total = f"within the deadline of {self._deadline:g} s"
            _fail(late, lambda: OperationTimeoutError(f"not finished {total}"))
            return late + _fail(self._withdraw(), lambda: OperationTimeoutError(f"not started {total}"))
        _fail(late, lambda: OperationTimeoutError(f"not finished within {self._timeout:g} s"))
        for queue in {id(task.queue): task.queue for task in late}.values():
            self._start_threads(queue)
            with self._lock:
                blocked = queue.stuck >= _MAX_STUCK and not queue.threads
                unstarted = list(queue.waiting) if blocked else []
                if blocked:
                    queue.waiting.clear()
            late += _fail(
                unstarted,
                lambda: OperationTimeoutError(
                    f"not started: {_MAX_STUCK} earlier calls on the same connection have not returned"
                ),
            )
        return late

    def _take_late(self, deadline_passed: bool) -> list[_Task[T, R]]:
        """Give up the running tasks that exceeded their time, and return copies of them.

        Copies, because their threads may still change the tasks.
        """
        now = monotonic()
        late: list[_Task[T, R]] = []
        with self._lock:
            for queue in self._queues.values():
                for task in queue.running[:]:
                    if deadline_passed or (self._timeout is not None and now >= task.started + self._timeout):
                        task.given_up = True
                        queue.running.remove(task)
                        queue.threads -= 1
                        queue.stuck += 1
                        late.append(_Task(task.index, task.item, queue))
        return late

    def _withdraw(self) -> list[_Task[T, R]]:
        """Remove and return the tasks that no thread has started."""
        with self._lock:
            waiting = [task for queue in self._queues.values() for task in queue.waiting]
            for queue in self._queues.values():
                queue.waiting.clear()
        return waiting


def _fail(tasks: list[_Task[T, R]], error: Callable[[], Error]) -> list[_Task[T, R]]:
    for task in tasks:
        task.error = error()
    return tasks


def _connection_of(item: object) -> Root | None:
    """Return the connection to which an item belongs, ``None`` if it is unknown."""
    if isinstance(item, tuple):  # (domain, argument)
        return next((found for found in (_connection_of(part) for part in item) if found is not None), None)
    if isinstance(item, Handle | Part):
        return item._conn
    return item if isinstance(item, Root) else None


def _has_vanished(item: object, error: NotFoundError) -> bool:
    """Return whether the item itself was not found, and not another object that the function looked up."""
    if isinstance(item, tuple):
        return any(_has_vanished(part, error) for part in item)
    if isinstance(item, Part):
        item = item.domain
    if not isinstance(item, Handle):
        return False
    try:
        item.xml_desc()  # type: ignore[attr-defined]  # every class of items has it
    except type(error):
        return True
    except Exception:
        pass  # another error does not show that the item has vanished
    return False


class Coming(Iterator[Result[T, R]]):
    """The results of :func:`imap`, as they arrive.  A context manager: after closing, no further item is started.

    It is also closed when it is garbage collected.  The traceback of an exception in the loop delays that.
    """

    __slots__ = ("_results",)

    def __init__(self, results: Generator[tuple[int, Result[T, R]], None, None]) -> None:
        self._results = results

    def __next__(self) -> Result[T, R]:
        return next(self._results)[1]

    def close(self) -> None:
        """Start no further item; calls under way continue in their threads, and their results are discarded."""
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
    """Call *function* with each of *items*, in threads, and yield the results as they arrive.

    After the block ``with bulk.imap(…) as coming: for result in coming: …`` no further item is started, however the
    block is left, also by Ctrl-C.  The first item is started when the first result is requested.  For the arguments see
    :func:`map`.
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

    :param items: domains, volumes, snapshots, connections, tuples that contain one of these, or any other objects
    :param workers: how many items of one connection are processed at a time, 4 by default; items that belong to no
        connection share one further set of threads
    :param timeout: seconds for each item, from its start.  An item that exceeds it has an
        :class:`OperationTimeoutError`.  Its thread continues, as a call in libvirt cannot be interrupted
    :param deadline: seconds for the whole call; items that have not finished by then have the same error
    :param progress: ``True`` for a bar on stderr, drawn by rich; or a function that is called after each item with the
        number of finished items, the number of all items, and the result
    :param cancel: can stop the call; items that were not started then have an :class:`OperationAbortedError`
    :raises ImportError: a bar needs the extra ``cli``
    """
    run = _Run(function, items, workers, timeout, deadline, cancel)
    total = run.left
    ordered: list[Result[T, R] | None] = [None] * total
    results = run.results()
    with _reporter(progress, total) as report:
        try:
            for done, (index, result) in enumerate(results, 1):
                ordered[index] = result
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
        raise ImportError("a progress bar needs rich: pip install 'pyvirt[cli]', or pass a function") from error

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
