# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base classes of the asynchronous objects.  Each wraps an object of the synchronous model and adds no state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar, cast, overload

from pyvirt._core.handle import Handle
from pyvirt._core.root import Root
from pyvirt.aio._runtime import Runtime

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

S = TypeVar("S", covariant=True)  # a class of the synchronous model
A = TypeVar("A")  # its asynchronous counterpart
T = TypeVar("T")
D = TypeVar("D")
R = TypeVar("R", bound=Root, covariant=True)
H = TypeVar("H", bound=Handle, covariant=True)


class Async(Generic[S]):
    """An object of the model whose methods are awaited."""

    __slots__ = ("__weakref__", "_runtime", "_sync")

    def __init__(self, runtime: Runtime, sync: S) -> None:
        self._runtime = runtime
        self._sync = sync

    @property
    def sync(self) -> S:
        """The object of the synchronous model, whose calls block.

        Use it in :meth:`Connection.run <pyvirt.aio.Connection.run>`, and in code that runs in a thread.
        """
        return self._sync

    def __repr__(self) -> str:
        return f"<pyvirt.aio.{repr(self._sync).removeprefix('<').removeprefix('pyvirt.')}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Async) and self._sync == other._sync

    def __hash__(self) -> int:
        return hash(self._sync)


class AsyncHandle(Async[H]):
    """An asynchronous object whose synchronous object owns a C object."""

    __slots__ = ()

    def __del__(self) -> None:
        try:
            self._runtime.workers.release_soon(self._sync)
        except AttributeError:
            pass  # __init__ did not get that far

    @property
    def closed(self) -> bool:
        """Whether the object or its connection was closed."""
        return self._sync.closed

    def close(self) -> None:
        """Release the C object now, not when Python collects this object.  No request is made, so do not await it."""
        self._sync.close()


class AsyncRoot(Async[R]):
    """A connection.  ``async with`` closes it."""

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Whether the connection was closed, or is being closed."""
        return self._runtime.workers.closing or self._sync.closed

    @property
    def max_requests(self) -> int:
        """How many requests may be in flight at a time."""
        return self._runtime.workers.limit

    @property
    def in_flight(self) -> int:
        """How many requests are in flight, including abandoned ones, which no task waits for."""
        return self._runtime.workers.in_flight

    async def run(self, function: Callable[[R], T], *, timeout: float | None = None) -> T:
        """Call *function* with the synchronous connection, in a thread; it counts as one request in flight.

        Use it for several calls in one go, and for features that only the synchronous model has.

        :raises OperationTimeoutError: *function* did not end within *timeout* seconds; it continues in the background
        """
        return await self._runtime.call(timeout, lambda: function(self._sync))

    async def close(self) -> None:
        """Close the connection and its socket, even if its objects are still in use.  Calling it again has no effect.

        Calls that have not begun raise :class:`ClosedError`.  Calls under way may end within ``close_timeout`` seconds.
        Cancelling the task does not make this faster: a cancelled task closes its connection before it ends.
        """
        await self._runtime.close(self._sync.close)

    async def __aenter__(self) -> Self:
        if self.closed:
            self._sync.__enter__()  # raises ClosedError with the reason
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class LazyIterator(AsyncIterator[T]):
    """An asynchronous iterator over a list that it fetches at the first step."""

    __slots__ = ("_fetch", "_reversed_items")

    def __init__(self, fetch: Callable[[], Awaitable[list[T]]]) -> None:
        self._fetch: Callable[[], Awaitable[list[T]]] | None = fetch
        self._reversed_items: list[T] = []

    async def __anext__(self) -> T:
        if self._fetch is not None:
            fetch, self._fetch = self._fetch, None
            self._reversed_items = (await fetch())[::-1]
        if not self._reversed_items:
            raise StopAsyncIteration
        return self._reversed_items.pop()


# ---- wrapping and unwrapping, for generated code ----


@overload
def unwrap(value: Async[S]) -> S: ...
@overload
def unwrap(value: T) -> T: ...
def unwrap(value: object) -> object:
    """Return the synchronous object of an asynchronous one; return any other value unchanged."""
    return value._sync if isinstance(value, Async) else value


def unwrap_each(values: Iterable[Async[S]]) -> list[S]:
    """Return the synchronous objects of several asynchronous ones."""
    return [unwrap(value) for value in values]


def wrap_or_none(make: Callable[[Runtime, S], A], runtime: Runtime, found: S | None) -> A | None:
    """Return the asynchronous object for *found*, or ``None`` for ``None``."""
    return None if found is None else make(runtime, found)


def wrap_or_default(make: Callable[[Runtime, S], A], runtime: Runtime, found: object, default: D) -> A | D:
    """Return the asynchronous object for *found*, or *default* if *found* is the default."""
    return default if found is default else make(runtime, cast(S, found))


def dispose(result: object) -> None:
    """Close the objects in the result of an abandoned call."""
    if isinstance(result, Async):
        if isinstance(result._sync, Root | Handle):
            result._sync.close()
    elif isinstance(result, list | tuple):
        for one in result:
            dispose(one)
    elif isinstance(result, dict):
        for one in result.values():
            dispose(one)


def close_files(result: int | list[int] | tuple[str, list[int]]) -> None:
    """Close the file descriptors in the result of an abandoned call."""
    import os

    if isinstance(result, int):
        os.close(result)
    else:
        numbers = result[1] if isinstance(result, tuple) else result
        for number in numbers:
            os.close(number)
