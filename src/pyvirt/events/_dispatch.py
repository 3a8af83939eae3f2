# SPDX-License-Identifier: LGPL-2.1-or-later
"""Subscriptions, and the single thread that calls their callbacks."""

from __future__ import annotations

import logging
import os
import select
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Generic, TypeVar, cast
from weakref import ref

from pyvirt._core.lib import ffi, lib
from pyvirt._core.process import add_participant
from pyvirt._core.slot import Slot
from pyvirt.errors import ClosedError
from pyvirt.events.kinds import KINDS, Event, EventsLost
from pyvirt.events.listener import new_queue

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from pyvirt.events.hub import Events, Key, Source

E = TypeVar("E", bound=Event)

_log = logging.getLogger("pyvirt.events")

#: how many events of a connection wait for slow callbacks at most
_QUEUE_LIMIT = 1 << 20
_CHUNK = 256
_LOST_TAG = -1  # what pv_queue_take returns for EventsLost


def wants(kind: type[Event], key: Key) -> bool:
    """Return whether a subscription to *kind* receives the events of *key*, not only the loss of the connection."""
    return issubclass(KINDS[key[:2]], kind)


class Subscription(Generic[E]):
    """A callback that receives events until :meth:`cancel`.  A context manager."""

    def __init__(self, dispatch: Dispatch, kind: type[E], callback: Callable[[E], object]) -> None:
        self._dispatch = dispatch
        self._kind = kind
        self._callback = callback
        self._sources: list[Source] = []
        self._active = True

    def __repr__(self) -> str:
        return f"<pyvirt.Subscription to {self._kind.__name__}{'' if self._active else ' cancelled'}>"

    @property
    def kind(self) -> type[E]:
        """The kind of events that it was made for."""
        return self._kind

    @property
    def callback(self) -> Callable[[E], object]:
        """The function that is called."""
        return self._callback

    @property
    def active(self) -> bool:
        """Whether it still receives events: it was not cancelled, and the connection was not closed."""
        return self._active

    def cancel(self) -> None:
        """Stop receiving events: after this returns, no call begins; a running call continues.

        Calling it again has no effect.
        """
        self._dispatch.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.cancel()


class Dispatch:
    """The subscriptions of one connection, and the queue that they share: it keeps the order of the events."""

    def __init__(self, hub: Events) -> None:
        self.hub = hub
        self.queue = new_queue(_QUEUE_LIMIT)
        self._lock = hub._lock
        self._room = ffi.new("uintptr_t[]", _CHUNK)
        self._tags = ffi.new("int64_t[]", _CHUNK)
        self._tag_of: dict[Key, int] = {}
        self._routes: dict[int, tuple[Subscription[Event], ...]] = {}
        self._ended = False

    def tag_of(self, key: Key) -> int:
        """Return the tag that events of *key* have in the queue."""
        with self._lock:
            return self._tag_of.setdefault(key, len(self._tag_of))

    def add(self, subscription: Subscription[E], sources: list[Source]) -> None:
        """Let *subscription* receive the events of *sources*; the first may be that of the connection's loss."""
        made = cast("Subscription[Event]", subscription)
        made._sources = sources
        tags = [self.tag_of(source.key) for source in sources if wants(subscription.kind, source.key)]
        if issubclass(EventsLost, subscription.kind):
            tags.append(_LOST_TAG)
        with self._lock:
            for tag in tags:
                self._routes[tag] = (*self._routes.get(tag, ()), made)
            ended = self._ended
        if ended:
            made._active = False
            self.hub._require_open()
        _dispatcher().serve(self)

    def remove(self, subscription: Subscription[E]) -> None:
        """Let *subscription* receive nothing more."""
        made = cast("Subscription[Event]", subscription)
        with self._lock:
            if not made._active:
                return
            made._active = False
            for tag, route in self._routes.items():
                if made in route:
                    self._routes[tag] = tuple(one for one in route if one is not made)
        for source in made._sources:
            self.hub._release(source, self.queue, self.tag_of(source.key))

    def end(self) -> None:
        """Call no callback any more."""
        with self._lock:
            self._ended = True
            for route in self._routes.values():
                for subscription in route:
                    subscription._active = False
            self._routes.clear()
        lib.pv_queue_end(self.queue)
        _wait_for_dispatcher()

    def disown(self) -> None:
        """Forget the queue in the child of a fork."""
        self._ended = True
        self._lock = self.hub._lock
        for route in self._routes.values():
            for subscription in route:
                subscription._active = False
        self._routes = {}
        ffi.gc(self.queue, None)
        lib.pv_queue_abandon(self.queue)

    def run(self) -> None:
        """Take some events and call the callbacks for them, in the thread of the dispatcher."""
        with _in_libvirt:
            events = self._take()
        routes = self._routes
        for event, tag in events:
            if tag == _LOST_TAG:
                _log.warning("%r: %d events were lost because callbacks take too long", self.hub, event.count)  # type: ignore[attr-defined]
            for subscription in routes.get(tag, ()):
                if subscription._active:
                    try:
                        subscription._callback(event)
                    except BaseException as error:
                        self._report(subscription, event, error)
        with _in_libvirt:
            events.clear()

    def _take(self) -> list[tuple[Event, int]]:
        room, tags = self._room, self._tags
        count = lib.pv_queue_take(self.queue, room, tags, _CHUNK)
        if count <= 0:
            return []
        try:
            return list(zip(self.hub._decoder.read(room, count), ffi.unpack(tags, count), strict=True))
        except ClosedError:  # the connection was closed in between
            return []
        finally:
            lib.pv_events_release(room, count)

    def _report(self, subscription: Subscription[Event], event: Event, error: BaseException) -> None:
        _log.error("%r: the callback %r failed on %r", self.hub, subscription.callback, event, exc_info=error)
        if self.hub.on_error is not None:
            try:
                self.hub.on_error(subscription, event, error)
            except BaseException:
                _log.exception("%r: on_error failed", self.hub)


class _Dispatcher:
    """The thread, and the queues that it waits for."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wake, self._waker = os.pipe()
        self._epoll.register(self._wake, select.EPOLLIN)
        self._served: dict[int, ref[Dispatch]] = {}
        self._stopping = False
        self._thread = Thread(target=self._run, name="pyvirt-dispatcher", daemon=True)
        self._thread.start()

    def serve(self, dispatch: Dispatch) -> None:
        """Wait for *dispatch* too.  Calling it again has no effect."""
        number = lib.pv_queue_fd(dispatch.queue)
        known = self._served.get(number)
        if known is not None and known() is dispatch:
            return
        self._served[number] = ref(dispatch)
        try:
            self._epoll.register(number, select.EPOLLIN)
        except FileExistsError:  # another thread has just registered it
            pass

    def _run(self) -> None:
        while not self._stopping:
            for number, _ in self._epoll.poll():
                served = self._served.get(number)
                dispatch = None if served is None else served()
                if dispatch is None:
                    continue
                if dispatch._ended:
                    self._forget(number)
                else:
                    dispatch.run()
                del dispatch  # keep no connection alive while waiting

    def _forget(self, number: int) -> None:
        self._served.pop(number, None)
        try:
            self._epoll.unregister(number)
        except OSError:  # the descriptor was closed, which has removed it
            pass

    def is_current(self) -> bool:
        """Return whether the caller runs in this thread."""
        return current_thread() is self._thread

    def stop(self) -> None:
        """Stop the thread, and wait at most a second: a callback may take longer."""
        self._stopping = True
        os.write(self._waker, b"\0")
        if not self.is_current():
            self._thread.join(1)


#: Held by the dispatcher while it is in C: a fork then would copy locks of GLib that stay locked in the child.
_in_libvirt = Lock()
_running: Slot[_Dispatcher] = Slot()
_making = Lock()


def _dispatcher() -> _Dispatcher:
    with _making:
        return _running.get() or _running.put(_Dispatcher())


def _wait_for_dispatcher() -> None:
    """Wait until the dispatcher has released the events that it has taken: they keep a connection open."""
    running = _running.get()
    if not (running is not None and running.is_current()) and _in_libvirt.acquire(timeout=1):
        _in_libvirt.release()


class _ForkAndExit:
    """What the dispatcher does when the process forks or ends."""

    def __init__(self) -> None:
        self._held: list[bool] = []  # whether each fork under way holds _in_libvirt

    def before_fork(self) -> None:
        """Keep the dispatcher out of C, for a second at most."""
        self._held.append(_in_libvirt.acquire(timeout=1))

    def after_fork_in_parent(self) -> None:
        """Let the dispatcher go on."""
        if self._held.pop():
            _in_libvirt.release()

    def after_fork_in_child(self) -> None:
        """Forget the thread, which does not exist here, and the locks that it may have held."""
        global _in_libvirt, _making
        _in_libvirt, _making = Lock(), Lock()
        self._held.clear()
        _running.take()

    def at_exit(self) -> None:
        """Stop the thread."""
        running = _running.get()
        if running is not None:
            running.stop()


add_participant(_ForkAndExit())
