# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events that are awaited: ``async for event in conn.events.listen(DomainLifecycle)``.

Written by hand, as hardly anything of it is a request: events lie in a queue of C, whose file descriptor the event
loop waits for.  A task that waits for events holds no request and no thread.

Events are those of :mod:`pyvirt.events`, with handles of the synchronous model: names and UUIDs are there to be read,
and ``conn.awaited(event.domain)`` is what calls can be made with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from threading import Event as Flag
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

import anyio
from anyio.lowlevel import checkpoint

from pyvirt.aio._base import Async, Each, unwrap
from pyvirt.aio._runtime import Runtime, poster
from pyvirt.errors import ClosedError, ConnectionLostError
from pyvirt.events import DomainWatch as SyncDomainWatch
from pyvirt.events import Event, EventsLost, WatchedDomain
from pyvirt.events import Subscription as SyncSubscription
from pyvirt.events.hub import BUFFER
from pyvirt.events.hub import Events as SyncEvents
from pyvirt.events.watch import AGAIN

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

_CHUNK = 256  # events that are taken at once, which is less than a millisecond


class Events(Async[SyncEvents]):
    """The events of a connection."""

    __slots__ = ()

    @property
    def connection(self) -> Connection:
        """The connection whose events these are."""
        from pyvirt.aio._generated.connection import Connection

        return Connection(self._runtime, self._sync.connection)

    @property
    def on_error(self) -> ErrorHook | None:
        """Called with the subscription, the event and the exception when a callback raises."""
        return self._sync.on_error

    @on_error.setter
    def on_error(self, hook: ErrorHook | None) -> None:
        """Have *hook* called when a callback raises."""
        self._sync.on_error = hook

    if TYPE_CHECKING:
        # As the model has them.

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
        """Take in events, for a loop to have: ``async for event in conn.events.listen(DomainLifecycle): …``

        It begins with the first step of the loop, or with a block, that also ends it:
        ``async with conn.events.listen(DomainLifecycle) as events: …``

        :param kinds: classes of :mod:`pyvirt.events`, also such as others derive from; without any all that there are
        :param timeout: seconds after which the loop ends if nothing came; ``None`` waits without end
        :param domain: only events about this one; *kinds* must be of domains, which is also the default
        :param buffer: how many events wait for the loop at most; the rest is counted, see :class:`EventsLost`
        :raises NotSupportedError: the driver, or the libvirt at either end, has no such events
        :raises ConnectionLostError: the link is gone
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
        """Call *callback* with each event of a kind from here on, until cancelled or the connection is closed.

        It is called in the event loop that runs here, so it must not block.  Nothing bounds how many calls wait for a
        loop that is busy, as :meth:`listen` does.

        :param kind: a class of :mod:`pyvirt.events`, or one that several derive from: ``DomainEvent``
        :param domain: only events about this one; *kind* must be of domains
        """
        post = poster()
        made: list[SyncSubscription[E]] = []
        begun = Flag()  # the first event may be faster than the thread that subscribes

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
                    post(lambda: call(sync, event))  # noqa: B023  # there is one at most
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
    """A callback that gets events until :meth:`cancel`.  ``async with`` cancels it as well."""

    __slots__ = ("_callback", "_runtime", "sync")

    def __init__(self, runtime: Runtime, sync: SyncSubscription[E], callback: Callable[[E], object]) -> None:
        self._runtime = runtime
        self._callback = callback
        #: That of the synchronous model.
        self.sync = sync

    @property
    def kind(self) -> type[E]:
        """What it is subscribed to."""
        return self.sync.kind

    @property
    def callback(self) -> Callable[[E], object]:
        """What is called."""
        return self._callback

    @property
    def active(self) -> bool:
        """Whether it still gets events: neither cancelled, nor the connection closed."""
        return self.sync.active

    async def cancel(self) -> None:
        """Get no more events.  Harmless when repeated."""
        await self._runtime.call(None, self.sync.cancel, essential=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _leave(self._runtime, error, self.sync.cancel)


class Listener(AsyncIterator["K | EventsLost"], Generic[K]):
    """Events one after the other, or as many as there are; see :meth:`Events.listen`.

    The loop ends when nothing came for the ``timeout`` it was made with, and when the listener or the connection is
    closed.  When the link is lost, whatever came before is handed out first; then a listener for ``ConnectionClosed``
    hands that out and ends, any other raises :class:`ConnectionLostError`.
    """

    __slots__ = ("_listen", "_runtime", "_sync", "_taken")

    def __init__(self, runtime: Runtime, listen: Callable[[], SyncListener[K]]) -> None:
        self._runtime = runtime
        self._listen: Callable[[], SyncListener[K]] | None = listen
        self._sync: SyncListener[K] | None = None
        self._taken: deque[K | EventsLost] = deque()

    async def _begun(self) -> SyncListener[K]:
        if self._sync is None:
            if self._listen is None:
                raise ClosedError("this listener is closed")
            self._sync = await self._runtime.call(None, self._listen, dispose=lambda found: found.close())
        return self._sync

    @property
    def closed(self) -> bool:
        """Whether it, or the connection, was closed."""
        return self._listen is None or (self._sync is not None and self._sync.closed)

    async def take(self, most: int = 1024) -> list[K | EventsLost]:
        """Return what has come, up to *most* events, oldest first, and wait until that is something.

        Returns nothing where the loop would end.

        :raises ConnectionLostError: the link is gone, and everything else has been handed out
        """
        taken = self._taken
        if not taken:
            taken.extend(await self._more(most))
        return [taken.popleft() for _ in range(min(most, len(taken)))]

    async def _more(self, most: int) -> list[K | EventsLost]:
        """Wait for the next events; none at the end."""
        if self.closed:
            return []
        sync = await self._begun()
        await checkpoint()  # before anything is taken: what a cancelled task had would be lost
        while True:
            try:
                if events := sync.take(most):
                    return events
                with anyio.move_on_after(sync._timeout) as waiting:
                    await anyio.wait_readable(sync)
            except ClosedError:
                return []
            except ConnectionLostError:
                if sync._tells:
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
        """Return an iterator over lists of up to *most* events, as they come: that costs far less than one by one.

        Ends as the loop over the events does.
        """
        return _Chunks(self, most)

    async def close(self) -> None:
        """Stop listening.  Harmless when repeated."""
        self._listen = None
        self._taken.clear()
        if self._sync is not None:
            await self._runtime.call(None, self._sync.close, essential=True)

    async def __aenter__(self) -> Self:
        await self._begun()
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
        await runtime.last_words(error, leave)


class _Chunks(AsyncIterator["list[K | EventsLost]"], Generic[K]):
    """No asynchronous generator, which trio wants to be closed."""

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
    """Domains by name, UUID or handle, and their states, kept current by events.

    ``async with await conn.domains.watch() as watch``.  Each use takes in the events that have come since the last one,
    and asks for the states of the domains that they are about: on a host where nothing happens nothing is asked.
    """

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Whether it, or the connection, was closed."""
        return self._sync.closed

    async def get(self, key: str | UUID | Domain, *, timeout: float | None = None) -> WatchedDomain | None:
        """Return the domain of that name or UUID, ``None`` if there is none."""
        return await self._runtime.call(timeout, lambda: self._sync.get(unwrap(key)))

    async def contains(self, key: object, *, timeout: float | None = None) -> bool:
        """Return whether there is a domain of that name or UUID, or that very one."""
        return await self._runtime.call(timeout, lambda: unwrap(key) in self._sync)

    async def count(self, *, timeout: float | None = None) -> int:
        """Return how many domains there are."""
        return await self._runtime.call(timeout, lambda: len(self._sync))

    def __aiter__(self) -> AsyncIterator[str]:
        return Each(lambda: self._runtime.call(None, lambda: list(self._sync.snapshot())))

    async def snapshot(self, *, timeout: float | None = None) -> dict[str, WatchedDomain]:
        """Return all of them by their names, as they are now: one state of affairs, where a loop would see many."""
        return await self._runtime.call(timeout, self._sync.snapshot)

    async def update(self, *, timeout: float | None = None) -> None:
        """Take in what has happened; every other method does so by itself."""
        await self._runtime.call(timeout, self._sync.update)

    async def wait(self, timeout: float | None = None) -> set[UUID]:
        """Wait until something has changed since the last call of this, and return of which domains.

        Those that are gone are among them.

        :param timeout: seconds, after which nothing is returned; ``None`` waits without end
        """
        with anyio.move_on_after(timeout):
            while True:
                changed = await self._runtime.call(None, lambda: self._sync.wait(0), dispose=self._see_again)
                if changed:
                    return changed
                with anyio.move_on_after(AGAIN):
                    await anyio.wait_readable(self._sync)
        return set()

    def _see_again(self, changed: set[UUID]) -> None:
        """Keep for the next time what a cancelled task was about to return."""
        with self._sync._lock:
            self._sync._changed |= changed

    async def close(self) -> None:
        """Watch no more.  Harmless when repeated."""
        await self._runtime.call(None, self._sync.close, essential=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _leave(self._runtime, error, self._sync.close)


async def watch(domains: Domains, *, buffer: int, timeout: float | None) -> DomainWatch:
    """Begin to watch the domains of a connection."""
    runtime, sync = domains._runtime, domains._sync

    def call() -> DomainWatch:
        return DomainWatch(runtime, sync.watch(buffer=buffer))

    return await runtime.call(timeout, call, dispose=lambda found: found._sync.close())
