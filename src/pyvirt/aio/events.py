# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events for asyncio and trio: ``async for event in conn.events.listen(DomainLifecycle)``.

This module is not generated, because hardly any of its methods makes a request: events wait in a queue in C, and the
event loop watches the file descriptor of that queue.  A task that waits for events holds no request and no thread.

Events are those of :mod:`pyvirt.events`.  Their handles belong to the synchronous model: read names and UUIDs from
them, and get a handle for calls with ``conn.awaited(event.domain)``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from threading import Event as Flag
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

import anyio
from anyio.lowlevel import checkpoint

from pyvirt.aio._base import Async, LazyIterator, unwrap
from pyvirt.aio._runtime import Runtime, loop_scheduler
from pyvirt.errors import ClosedError, ConnectionLostError
from pyvirt.events import DomainWatch as SyncDomainWatch
from pyvirt.events import Event, EventsLost, WatchedDomain
from pyvirt.events import Subscription as SyncSubscription
from pyvirt.events.hub import BUFFER
from pyvirt.events.hub import Events as SyncEvents
from pyvirt.events.watch import RECHECK_SECONDS

if TYPE_CHECKING:
    from types import TracebackType
    from typing import overload

    from typing_extensions import Self

    from pyvirt.aio._generated.connection import Connection
    from pyvirt.aio._generated.domain.collection import Domains
    from pyvirt.aio._generated.domain.domain import Domain
    from pyvirt.events import Listener as SyncListener
    from pyvirt.events.hub import ErrorHook

E = TypeVar("E", bound=Event)
F = TypeVar("F", bound=Event)
G = TypeVar("G", bound=Event)
K = TypeVar("K", bound=Event, covariant=True)

_CHUNK = 256  # events that a loop takes at once: this takes less than a millisecond


class Events(Async[SyncEvents]):
    """The events of a connection."""

    __slots__ = ()

    @property
    def connection(self) -> Connection:
        """The connection that the events come from."""
        from pyvirt.aio._generated.connection import Connection

        return Connection(self._runtime, self._sync.connection)

    @property
    def on_error(self) -> ErrorHook | None:
        """Called with the subscription, the event and the exception when a callback raises."""
        return self._sync.on_error

    @on_error.setter
    def on_error(self, hook: ErrorHook | None) -> None:
        """Set the function that is called when a callback raises."""
        self._sync.on_error = hook

    if TYPE_CHECKING:
        # Those of pyvirt.events.hub, written again, because Listener and Domain are other classes here.

        @overload
        def listen(
            self,
            *,
            timeout: float | None = None,
            domain: Domain | None = None,
            buffer: int = BUFFER,
        ) -> Listener[Event]: ...

        @overload
        def listen(
            self,
            one: type[E],
            /,
            *,
            timeout: float | None = None,
            domain: Domain | None = None,
            buffer: int = BUFFER,
        ) -> Listener[E]: ...

        @overload
        def listen(
            self,
            one: type[E],
            two: type[F],
            /,
            *,
            timeout: float | None = None,
            domain: Domain | None = None,
            buffer: int = BUFFER,
        ) -> Listener[E | F]: ...

        @overload
        def listen(
            self,
            one: type[E],
            two: type[F],
            three: type[G],
            /,
            *,
            timeout: float | None = None,
            domain: Domain | None = None,
            buffer: int = BUFFER,
        ) -> Listener[E | F | G]: ...

        @overload
        def listen(
            self,
            *kinds: type[E],
            timeout: float | None = None,
            domain: Domain | None = None,
            buffer: int = BUFFER,
        ) -> Listener[E]: ...

    def listen(
        self, *kinds: type[Event], timeout: float | None = None, domain: Domain | None = None, buffer: int = BUFFER
    ) -> Listener[Event]:
        """Collect events for a loop: ``async for event in conn.events.listen(DomainLifecycle): …``

        Listening starts with the first step of the loop, or with a block, which also ends it:
        ``async with conn.events.listen(DomainLifecycle) as events: …``

        :param kinds: classes of :mod:`pyvirt.events`, or bases of several; without any, all kinds
        :param timeout: seconds without an event after which the loop ends; ``None`` waits indefinitely
        :param domain: only events about this domain; *kinds* must be kinds of domain events, and default to all of them
        :param buffer: how many events wait for the loop at most; more are lost and counted, see :class:`EventsLost`
        :raises NotSupportedError: the driver, or libvirt at either end, does not support such events
        :raises ConnectionLostError: the connection is lost
        """
        sync, about = self._sync, unwrap(domain)
        return Listener(self._runtime, lambda: sync.listen(*kinds, timeout=timeout, domain=about, buffer=buffer))

    async def subscribe(
        self,
        kind: type[E],
        callback: Callable[[E], object],
        *,
        domain: Domain | None = None,
        timeout: float | None = None,
    ) -> Subscription[E]:
        """Call *callback* with each event of a kind from now on, until cancelled or the connection is closed.

        The callback is called in the event loop of this task, so it must not block.  The number of calls that wait for
        a busy loop is not limited; :meth:`listen` has a limit.

        :param kind: a class of :mod:`pyvirt.events`, or a base of several, such as ``DomainEvent``
        :param domain: only events about this domain; *kind* must be a kind of domain event
        """
        schedule = loop_scheduler()
        made: list[SyncSubscription[E]] = []
        begun = Flag()  # the first event may arrive before the subscription is in *made*

        def call(sync: SyncSubscription[E], event: E) -> None:
            if sync.active:
                try:
                    callback(event)
                except Exception as error:
                    sync._dispatch._report(sync, event, error)  # type: ignore[arg-type]

        def deliver(event: E) -> None:
            begun.wait()
            for sync in made:
                try:
                    schedule(lambda: call(sync, event))  # noqa: B023  # made has at most one item
                except RuntimeError:  # the loop has ended
                    pass

        def subscribe() -> SyncSubscription[E]:
            try:
                made.append(self._sync.subscribe(kind, deliver, domain=unwrap(domain)))
            finally:
                begun.set()
            return made[0]

        found = await self._runtime.call(timeout, subscribe, dispose=SyncSubscription.cancel)
        return Subscription(self._runtime, found, callback)


class Subscription(Generic[E]):
    """A callback that receives events until :meth:`cancel`.  ``async with`` cancels it at the end of its block."""

    __slots__ = ("_callback", "_runtime", "sync")

    def __init__(self, runtime: Runtime, sync: SyncSubscription[E], callback: Callable[[E], object]) -> None:
        self._runtime = runtime
        self._callback = callback
        #: The subscription of the synchronous model.
        self.sync = sync

    @property
    def kind(self) -> type[E]:
        """The kind of events that the callback receives."""
        return self.sync.kind

    @property
    def callback(self) -> Callable[[E], object]:
        """The function that is called with each event."""
        return self._callback

    @property
    def active(self) -> bool:
        """Whether the callback still receives events: not after :meth:`cancel`, or when the connection is closed."""
        return self.sync.active

    async def cancel(self) -> None:
        """Stop receiving events.  Calling it again has no effect."""
        await self._runtime.call(None, self.sync.cancel, essential=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _leave(self._runtime, error, self.sync.cancel)


class Listener(AsyncIterator["K | EventsLost"], Generic[K]):
    """Events one by one, or all that have arrived; see :meth:`Events.listen`.

    The loop ends when no event arrives for ``timeout`` seconds, and when the listener or the connection is closed.
    When the connection is lost, events from before that are returned first.  Then a listener for ``ConnectionClosed``
    returns that event and ends; any other listener raises :class:`ConnectionLostError`.
    """

    __slots__ = ("_listen", "_runtime", "_sync", "_taken")

    def __init__(self, runtime: Runtime, listen: Callable[[], SyncListener[K]]) -> None:
        self._runtime = runtime
        self._listen: Callable[[], SyncListener[K]] | None = listen
        self._sync: SyncListener[K] | None = None
        self._taken: deque[K | EventsLost] = deque()

    async def _start(self) -> SyncListener[K]:
        """Return the synchronous listener, which starts listening when it is created."""
        if self._sync is None:
            if self._listen is None:
                raise ClosedError("the listener is closed")
            self._sync = await self._runtime.call(None, self._listen, dispose=lambda found: found.close())
        return self._sync

    @property
    def closed(self) -> bool:
        """Whether the listener or its connection was closed."""
        return self._listen is None or (self._sync is not None and self._sync.closed)

    async def take(self, most: int = 1024) -> list[K | EventsLost]:
        """Wait for at least one event, and return all that have arrived, at most *most*, oldest first.

        Returns an empty list where the loop would end.

        :raises ConnectionLostError: the connection is lost, and all earlier events have been returned
        """
        taken = self._taken
        if not taken:
            taken.extend(await self._more(most))
        return [taken.popleft() for _ in range(min(most, len(taken)))]

    async def _more(self, most: int) -> list[K | EventsLost]:
        """Wait for the next events; return an empty list at the end."""
        if self.closed:
            return []
        sync = await self._start()
        await checkpoint()  # before events are taken, because a task that is cancelled later would lose them
        while True:
            try:
                if events := sync.take(most):
                    return events
                with anyio.move_on_after(sync._timeout) as waiting:
                    await anyio.wait_readable(sync)
            except ClosedError:
                return []
            except ConnectionLostError:
                if sync._delivers_closed:
                    return []
                raise
            if waiting.cancelled_caught:
                return []

    async def __anext__(self) -> K | EventsLost:
        if not self._taken:
            self._taken.extend(await self._more(_CHUNK))
            if not self._taken:
                raise StopAsyncIteration
        return self._taken.popleft()

    def chunks(self, most: int = 1024) -> AsyncIterator[list[K | EventsLost]]:
        """Return an iterator over lists of up to *most* events, which costs far less than one by one.

        It ends as the loop over the events does.
        """
        return _Chunks(self, most)

    async def close(self) -> None:
        """Stop listening.  Calling it again has no effect."""
        self._listen = None
        self._taken.clear()
        if self._sync is not None:
            await self._runtime.call(None, self._sync.close, essential=True)

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listen = None
        if self._sync is not None:
            await _leave(self._runtime, error, self._sync.close)


async def _leave(runtime: Runtime, error: BaseException | None, leave: Callable[[], None]) -> None:
    if error is None:
        await runtime.call(None, leave, essential=True)
    else:
        await runtime.call_after_error(error, leave)


class _Chunks(AsyncIterator["list[K | EventsLost]"], Generic[K]):
    """An iterator, because trio requires that asynchronous generators are closed."""

    __slots__ = ("_listener", "_most")

    def __init__(self, listener: Listener[K], most: int) -> None:
        self._listener = listener
        self._most = most

    async def __anext__(self) -> list[K | EventsLost]:
        events = await self._listener.take(self._most)
        if not events:
            raise StopAsyncIteration
        return events


class DomainWatch(Async[SyncDomainWatch]):
    """Domains by name, UUID or handle, and their states, which events keep current.

    ``async with await conn.domains.watch() as watch``.  Each use first takes the events since the previous use, and
    asks for the states of the domains that these are about: on a host where nothing happens, the daemon is not asked.
    """

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Whether the watch or its connection was closed."""
        return self._sync.closed

    async def get(self, key: str | UUID | Domain, *, timeout: float | None = None) -> WatchedDomain | None:
        """Return the domain with this name, UUID or handle, or ``None``."""
        return await self._runtime.call(timeout, lambda: self._sync.get(unwrap(key)))

    async def contains(self, key: object, *, timeout: float | None = None) -> bool:
        """Return whether there is a domain with this name, UUID or handle."""
        return await self._runtime.call(timeout, lambda: unwrap(key) in self._sync)

    async def count(self, *, timeout: float | None = None) -> int:
        """Return the number of domains."""
        return await self._runtime.call(timeout, lambda: len(self._sync))

    def __aiter__(self) -> AsyncIterator[str]:
        return LazyIterator(lambda: self._runtime.call(None, lambda: list(self._sync.snapshot())))

    async def snapshot(self, *, timeout: float | None = None) -> dict[str, WatchedDomain]:
        """Return all domains by name, as of one moment; a loop over the watch would see changes in between."""
        return await self._runtime.call(timeout, self._sync.snapshot)

    async def update(self, *, timeout: float | None = None) -> None:
        """Take the events that have arrived; all other methods do this first."""
        await self._runtime.call(timeout, self._sync.update)

    async def wait(self, timeout: float | None = None) -> set[UUID]:
        """Wait until domains have changed since the last call of this method; return their UUIDs.

        They include domains that no longer exist.

        :param timeout: seconds, after which an empty set is returned; ``None`` waits indefinitely
        """
        with anyio.move_on_after(timeout):
            while True:
                changed = await self._runtime.call(None, lambda: self._sync.wait(0), dispose=self._restore_changes)
                if changed:
                    return changed
                with anyio.move_on_after(RECHECK_SECONDS):
                    await anyio.wait_readable(self._sync)
        return set()

    def _restore_changes(self, changed: set[UUID]) -> None:
        """Keep the result of an abandoned call for the next one."""
        with self._sync._lock:
            self._sync._changed |= changed

    async def close(self) -> None:
        """Stop watching.  Calling it again has no effect."""
        await self._runtime.call(None, self._sync.close, essential=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _leave(self._runtime, error, self._sync.close)


async def watch(domains: Domains, *, buffer: int, timeout: float | None) -> DomainWatch:
    """Start watching the domains of a connection."""
    runtime, sync = domains._runtime, domains._sync

    def call() -> DomainWatch:
        return DomainWatch(runtime, sync.watch(buffer=buffer))

    return await runtime.call(timeout, call, dispose=lambda found: found._sync.close())
