# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all asynchronous objects have in common: each wraps one of the synchronous model, and has nothing of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar, cast, overload

from pyvirt._core.handle import Handle
from pyvirt._core.root import Root
from pyvirt.aio._runtime import Runtime

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

S = TypeVar("S", covariant=True)  # of the synchronous model
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
        """The object of the synchronous model, each of whose calls blocks.

        For :meth:`Connection.run <pyvirt.aio.Connection.run>`, and for code that runs in a thread.
        """
        return self._sync

    def __repr__(self) -> str:
        return f"<pyvirt.aio.{repr(self._sync).removeprefix('<').removeprefix('pyvirt.')}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Async) and self._sync == other._sync

    def __hash__(self) -> int:
        return hash(self._sync)


class AsyncHandle(Async[H]):
    """One that holds something of libvirt's."""

    __slots__ = ()

    def __del__(self) -> None:
        try:
            self._runtime.workers.bury(self._sync)
        except AttributeError:
            pass  # __init__ did not get that far

    @property
    def closed(self) -> bool:
        """Whether the object, or its connection, was closed."""
        return self._sync.closed

    def close(self) -> None:
        """Let go of the C object now rather than when Python collects this one.  Asks nobody, so it is not awaited."""
        self._sync.close()


class AsyncRoot(Async[R]):
    """A connection: ``async with`` closes it."""

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Whether it was closed, or is about to be."""
        return self._runtime.workers.closing or self._sync.closed

    @property
    def max_requests(self) -> int:
        """How many requests may be in flight at a time."""
        return self._runtime.workers.limit

    @property
    def in_flight(self) -> int:
        """How many requests are in flight, those included for which nobody waits any more."""
        return self._runtime.workers.in_flight

    async def run(self, function: Callable[[R], T], *, timeout: float | None = None) -> T:
        """Call *function* with the synchronous connection, in a thread, as one of the requests in flight.

        For several calls in one go, and for what only the synchronous model has.

        :raises OperationTimeoutError: it is not done within *timeout* seconds; it goes on in the background
        """
        return await self._runtime.call(timeout, lambda: function(self._sync))

    async def close(self) -> None:
        """Close it and its socket, even if objects of it are still referenced.  Harmless when repeated.

        Calls that have not begun fail with :class:`ClosedError`; those under way may end, but not for longer than
        ``close_timeout``.  Cancelling this hurries nothing: it is what a cancelled task does last.
        """
        await self._runtime.close(self._sync.close)

    async def __aenter__(self) -> Self:
        if self.closed:
            self._sync.__enter__()  # raises, and says why
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class Each(AsyncIterator[T]):
    """What ``async for`` goes through: asks once, at the first step."""

    __slots__ = ("_ask", "_rest")

    def __init__(self, ask: Callable[[], Awaitable[list[T]]]) -> None:
        self._ask: Callable[[], Awaitable[list[T]]] | None = ask
        self._rest: list[T] = []

    async def __anext__(self) -> T:
        if self._ask is not None:
            ask, self._ask = self._ask, None
            self._rest = (await ask())[::-1]
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


# ---- what generated code wraps and unwraps with ----


@overload
def unwrap(value: Async[S]) -> S: ...
@overload
def unwrap(value: T) -> T: ...
def unwrap(value: object) -> object:
    """Return what the synchronous model knows: the object behind an asynchronous one, anything else as it is."""
    return value._sync if isinstance(value, Async) else value


def unwrap_each(values: Iterable[Async[S]]) -> list[S]:
    """Return the objects behind several."""
    return [unwrap(value) for value in values]


def wrap_or_none(make: Callable[[Runtime, S], A], runtime: Runtime, found: S | None) -> A | None:
    """Wrap what was found, if anything was."""
    return None if found is None else make(runtime, found)


def wrap_or_default(make: Callable[[Runtime, S], A], runtime: Runtime, found: object, default: D) -> A | D:
    """Wrap what was found, or return the *default* that came instead."""
    return default if found is default else make(runtime, cast(S, found))


def dispose(result: object) -> None:
    """Close what a call has brought that nobody waits for any more."""
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
    """Close file descriptors that a call has brought."""
    import os

    if isinstance(result, int):
        os.close(result)
    else:
        numbers = result[1] if isinstance(result, tuple) else result
        for number in numbers:
            os.close(number)
