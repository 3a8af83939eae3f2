# SPDX-License-Identifier: LGPL-2.1-or-later
"""Listening: events one by one, or all that have arrived."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pyvirt._core.lib import ffi, lib
from pyvirt._core.poll import wait_readable
from pyvirt.errors import ClosedError, ConnectionLostError
from pyvirt.events.kinds import ConnectionClosed, Event, EventsLost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

    from pyvirt._core.lib import CData
    from pyvirt.events.hub import Events, Source

E = TypeVar("E", bound=Event, covariant=True)

_CHUNK = 256


def new_queue(limit: int) -> CData:
    """Return a queue for at most *limit* events; it is freed together with the returned object.

    :raises OSError: no memory or no file descriptor is left
    """
    queue = lib.pv_queue_new(limit)
    if not queue:
        number = ffi.errno
        raise OSError(number, "cannot create a queue for events")
    return ffi.gc(queue, lib.pv_queue_free)


class Listener(Generic[E]):
    """Collects events from the moment it is created, and returns them in the order in which they happened.

    An iterator and a context manager.  Iteration ends when no event arrives for ``timeout`` seconds, and when the
    listener or the connection is closed.  When the connection is lost, events from before that are returned first.
    Then a listener for :class:`ConnectionClosed` returns that event and ends; any other listener raises
    :class:`ConnectionLostError`.

    Events that do not fit into the buffer are lost.  An :class:`EventsLost` with their number stands at the place where
    they are missing.
    """

    def __init__(
        self, hub: Events, queue: CData, sources: list[Source], timeout: float | None, delivers_closed: bool
    ) -> None:
        """Listen to *queue*; *delivers_closed*: whether :class:`ConnectionClosed` is returned like other events."""
        self._hub = hub
        self._queue = queue
        self._sources = sources
        self._timeout = timeout
        self._delivers_closed = delivers_closed
        self._lock = Lock()
        self._room = ffi.new("uintptr_t[]", _CHUNK)
        self._taken: deque[Event] = deque()
        self._lost: ConnectionClosed | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<pyvirt.Listener of {self._hub.connection!r}{' closed' if self._closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether the listener or its connection was closed."""
        return self._closed

    def fileno(self) -> int:
        """Return a file descriptor that is readable while :meth:`take` would return an event, or raise."""
        number: int = lib.pv_queue_fd(self._open_queue())
        return number

    def _open_queue(self) -> CData:
        if self._closed:
            raise ClosedError("the listener is closed") from None
        return self._queue

    def take(self, most: int = 1024) -> list[E | EventsLost]:
        """Return the events that have arrived, at most *most*, oldest first.  It never waits.

        :raises ConnectionLostError: the connection is lost, and all earlier events have been returned
        :raises ClosedError: the listener or its connection was closed
        """
        events: list[Event] = []
        try:
            while self._taken and len(events) < most:
                events.append(self._taken.popleft())
        except IndexError:  # another thread has taken the last one
            pass
        while len(events) < most:
            chunk = self._take_chunk(min(most - len(events), _CHUNK), bool(events))
            events += chunk
            if len(chunk) < _CHUNK:
                break
        return cast("list[E | EventsLost]", events)

    def _take_chunk(self, most: int, quiet: bool) -> list[Event]:
        """Return at most *most* events.

        :param quiet: return none instead of raising: the caller already holds events, which an exception would lose
        """
        with self._lock:
            if self._closed or self._lost is not None:
                if quiet:
                    return []
                self._open_queue()
                raise self._lost_error()
            room = self._room
            count = lib.pv_queue_take(self._queue, room, ffi.NULL, most)
            if count <= 0:
                return []
            try:
                events = self._hub._decoder.read(room, count)
            finally:
                lib.pv_events_release(room, count)
            if type(events[-1]) is ConnectionClosed:
                self._lost = events[-1]
                lib.pv_queue_end(self._queue)  # the descriptor stays readable
                if not self._delivers_closed:
                    events.pop()
                    if not events and not quiet:
                        raise self._lost_error()
            return events

    def _lost_error(self) -> ConnectionLostError:
        assert self._lost is not None
        return ConnectionLostError(f"the connection is lost: {self._lost.reason.name}")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until :meth:`take` would return an event, or raise; return whether it would.

        :param timeout: seconds; ``None`` waits indefinitely
        """
        if self._taken or self._closed:
            return True
        return wait_readable(self.fileno(), timeout)

    def _more(self) -> list[E | EventsLost] | None:
        """Wait for the next events and return them, or ``None`` at the end."""
        while not self._closed:
            try:
                if events := self.take(_CHUNK):
                    return events
                if not self.wait(self._timeout):
                    return None
            except ConnectionLostError:
                if not self._delivers_closed:
                    raise
                return None
            except ClosedError:
                break
        return None

    def __iter__(self) -> Iterator[E | EventsLost]:
        taken = cast("deque[E | EventsLost]", self._taken)
        while True:
            while taken:
                try:
                    yield taken.popleft()
                except IndexError:  # another thread has taken the last one
                    break
            events = self._more()
            if events is None:
                return
            taken.extend(events)

    def __next__(self) -> E | EventsLost:
        return next(iter(self))

    def chunks(self, most: int = 1024) -> Iterator[list[E | EventsLost]]:
        """Yield lists of at most *most* events as they arrive; this costs far less than one event at a time.

        It ends when iterating over the events would end.
        """
        while True:
            events = self._more()
            if events is None:
                return
            while len(events) < most:
                try:
                    if not (further := self.take(most - len(events))):
                        break
                except (ConnectionLostError, ClosedError):  # raised again by the next call
                    break
                events += further
            yield events

    def close(self) -> None:
        """Stop listening.  Calling it again has no effect."""
        if not self._end():
            return
        for source in self._sources:
            self._hub._release(source, self._queue, 0)

    def _end(self) -> bool:
        """Close the queue and wake all waiting threads; return whether the listener was open."""
        if self._closed:
            return False
        self._closed = True
        lib.pv_queue_end(self._queue)
        self._taken.clear()
        return True

    def _disown(self) -> None:
        """Forget the queue in the child of a fork."""
        self._closed = True
        ffi.gc(self._queue, None)
        lib.pv_queue_abandon(self._queue)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Deregistering takes a lock and may wait for the daemon: a finaliser must do neither.
        if not getattr(self, "_closed", True):
            lib.pv_queue_end(self._queue)
            self._hub._abandoned.append((self._sources, self._queue))
