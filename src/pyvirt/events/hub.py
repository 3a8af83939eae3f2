# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.events``: subscriptions and listeners, and the registrations with libvirt that they share."""

from __future__ import annotations

from threading import Event as Signal
from threading import RLock
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from pyvirt._core.call import check, forget, last_error
from pyvirt._core.handle import Handle
from pyvirt._core.lib import ffi, lib
from pyvirt.errors import ClosedError, ConnectionLostError, Error, InvalidArgumentError, NotSupportedError
from pyvirt.events._decode import Decoder
from pyvirt.events._dispatch import Dispatch, Subscription
from pyvirt.events.kinds import CLOSE, QEMU_MONITOR, ConnectionClosed, DomainEvent, Event, EventsLost, kinds_of
from pyvirt.events.listener import Listener, new_queue
from pyvirt.events.loop import is_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias, overload

    from pyvirt._core.lib import CData
    from pyvirt.connection import Connection
    from pyvirt.domain import Domain

    Key: TypeAlias = tuple[int, int, bytes | None]
    ErrorHook: TypeAlias = Callable[["Subscription[Event]", Event, BaseException], object]

E = TypeVar("E", bound=Event)
F = TypeVar("F", bound=Event)
G = TypeVar("G", bound=Event)

# The C functions that register for the events of each category, from DOMAIN to CLOSE.
_REGISTER = (
    "virConnectDomainEventRegisterAny",
    "virConnectNetworkEventRegisterAny",
    "virConnectStoragePoolEventRegisterAny",
    "virConnectNodeDeviceEventRegisterAny",
    "virConnectSecretEventRegisterAny",
    "virConnectDomainQemuMonitorEventRegister",
    "virConnectRegisterCloseCallback",
)

#: how many events wait in a listener at most, by default
BUFFER = 65_536


class Source:
    """One registration with libvirt, shared by all subscriptions and listeners that need the same events."""

    __slots__ = ("closing", "deregistered", "error", "key", "pointer", "ready", "users")

    def __init__(self, key: Key) -> None:
        self.key = key
        pointer = lib.pv_source_new(*key[:2])
        if not pointer:
            raise MemoryError
        self.pointer = ffi.gc(pointer, lib.pv_source_free)
        self.users = 0
        self.ready = Signal()  # it is registered, or registering it failed
        self.error: BaseException | None = None
        self.closing = False  # its last user has left
        self.deregistered = Signal()


def _monitor_functions() -> tuple[CData, CData]:
    from pyvirt._core.lib import load_extension

    try:
        qemu, types = load_extension("qemu")
    except ImportError:
        raise NotSupportedError("this build of pyvirt has no libvirt-qemu") from None
    return (
        types.addressof(qemu, "virConnectDomainQemuMonitorEventRegister"),
        types.addressof(qemu, "virConnectDomainQemuMonitorEventDeregister"),
    )


class Events:
    """The events of a connection.

    The first subscription or listener for a kind registers it with libvirt, and later ones share the registration.
    From then on the connection also notices without a call that it is lost.
    """

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        # Reentrant, because a signal handler may close the connection.  Never held while libvirt is called.
        self._lock = RLock()
        self._sources: dict[Key, Source] = {}
        self._listeners: WeakSet[Listener[Event]] = WeakSet()
        self._abandoned: list[tuple[list[Source], CData]] = []
        self._decoder = Decoder(conn)
        self._dispatch: Dispatch | None = None
        self._ended = False
        #: Called with subscription, event and exception when a callback raises; its own exceptions are logged.
        self.on_error: ErrorHook | None = None

    def __repr__(self) -> str:
        return f"<pyvirt.Events of {self._conn!r}>"

    @property
    def connection(self) -> Connection:
        """The connection that the events come from."""
        return self._conn

    # ---- for programs ----

    def _loop_is_own(self) -> bool:
        """Return whether pyvirt's own event loop waits for libvirt, which always runs."""
        return is_own()

    def subscribe(
        self, kind: type[E], callback: Callable[[E], object], *, domain: Domain | None = None
    ) -> Subscription[E]:
        """Call *callback* with each event of a kind from now on, until cancelled or the connection is closed.

        (virConnectDomainEventRegisterAny, virConnectNetworkEventRegisterAny, virConnectStoragePoolEventRegisterAny,
        virConnectNodeDeviceEventRegisterAny, virConnectSecretEventRegisterAny,
        virConnectDomainQemuMonitorEventRegister, virConnectRegisterCloseCallback)

        One thread calls all callbacks of all connections; while one callback runs, the others wait.  An exception in a
        callback is logged to ``pyvirt.events`` and passed to :attr:`on_error`; the subscription continues.

        :param kind: a class of :mod:`pyvirt.events`, or a base of several, such as ``DomainEvent``
        :param domain: only events about this domain; *kind* must be a kind of domain event
        :raises NotSupportedError: the driver, or libvirt at either end, does not support such events
        :raises ConnectionLostError: the connection is lost
        """
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {type(callback).__name__}")
        kinds = self._kinds((kind,), domain)
        with self._lock:
            self._require_open()
            if self._dispatch is None:
                self._dispatch = Dispatch(self)
            dispatch = self._dispatch
        self._release_abandoned()
        made: Subscription[E] = Subscription(dispatch, kind, callback)
        dispatch.add(made, self._acquire(kinds, domain, bool(kind._kind), dispatch.queue, dispatch.tag_of))
        return made

    if TYPE_CHECKING:
        # For one kind, or a union of a few.  Without these a type checker infers only the common base of the kinds.

        @overload
        def listen(
            self, *, timeout: float | None = None, domain: Domain | None = None, buffer: int = BUFFER
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
        self,
        *kinds: type[Event],
        timeout: float | None = None,
        domain: Domain | None = None,
        buffer: int = BUFFER,
    ) -> Listener[Event]:
        """Collect events from now on, for a loop: ``for event in conn.events.listen(DomainLifecycle): …``

        The registrations with libvirt are the same as for :meth:`subscribe`.

        :param kinds: classes of :mod:`pyvirt.events`, or bases of several; without any, all kinds
        :param timeout: seconds without an event after which the loop ends; ``None`` waits indefinitely
        :param domain: only events about this domain; *kinds* must be kinds of domain events, and default to all of them
        :param buffer: how many events wait for the loop at most; more are lost and counted, see :class:`EventsLost`
        :raises NotSupportedError: the driver, or libvirt at either end, does not support such events
        :raises ConnectionLostError: the connection is lost
        """
        if buffer < 1:
            raise InvalidArgumentError(f"buffer must be at least 1, not {buffer}")
        wanted = self._kinds(kinds, domain)
        all_or_none = bool(kinds) and all(kind._kind for kind in kinds)
        self._release_abandoned()
        queue = new_queue(buffer)
        delivers_closed = ConnectionClosed in wanted
        sources = self._acquire(wanted, domain, all_or_none, queue, lambda _: 0)
        listener: Listener[Event] = Listener(self, queue, sources, timeout, delivers_closed)
        with self._lock:
            self._listeners.add(listener)
            ended = self._ended
        if ended:
            listener._end()
            self._require_open()
        return listener

    # ---- registrations ----

    def _require_open(self) -> None:
        if self._ended:
            raise ClosedError(self._conn._why_closed or "the connection is closed")

    def _kinds(self, kinds: Iterable[type[Event]], domain: Domain | None) -> list[type[Event]]:
        self._require_open()
        if domain is not None and domain._conn is not self._conn:
            raise InvalidArgumentError("the domain belongs to another connection")
        found: dict[type[Event], None] = {}
        for kind in kinds or (Event if domain is None else DomainEvent,):
            if not (isinstance(kind, type) and issubclass(kind, Event)):
                raise TypeError(f"expected an Event subclass, got {kind!r}")
            if domain is not None and not issubclass(kind, DomainEvent | ConnectionClosed | EventsLost):
                raise InvalidArgumentError(f"{kind.__name__} cannot be limited to a domain: it is not a domain event")
            found.update(dict.fromkeys(kinds_of(kind)))
        return list(found)

    def _acquire(
        self,
        kinds: list[type[Event]],
        domain: Domain | None,
        all_or_none: bool,
        queue: CData,
        tag_of: Callable[[Key], int],
    ) -> list[Source]:
        """Let *queue* receive events of *kinds*, and the loss of the connection; return the sources that it uses.

        :param all_or_none: fail if one of the kinds is not supported, not only if none is
        """
        acquired: list[Source] = []
        unsupported: Error | None = None
        which = None if domain is None else domain._identity()
        try:
            self._attach((CLOSE, 0, None), None, queue, tag_of, acquired)
        except NotSupportedError:
            pass  # this driver has no connection that could be lost
        attached = 0
        try:
            for kind in kinds:
                assert kind._kind is not None
                if kind is ConnectionClosed:
                    continue
                try:
                    self._attach((*kind._kind, which), domain, queue, tag_of, acquired)
                    attached += 1
                except NotSupportedError as error:
                    if all_or_none:
                        raise
                    unsupported = error
            if unsupported is not None and not attached:
                raise unsupported
            # libvirt does not report the loss of a connection to a callback that is registered later.
            if not self._conn._link_stands():
                self._conn._require_open()
                raise ConnectionLostError("the connection is lost")
        except BaseException:
            for source in acquired:
                self._release(source, queue, tag_of(source.key))
            raise
        return acquired

    def _attach(
        self, key: Key, domain: Domain | None, queue: CData, tag_of: Callable[[Key], int], acquired: list[Source]
    ) -> None:
        """Let *queue* receive the events of *key*; add the source to *acquired*."""
        source, first = self._add_user(key)
        if first:
            self._register(source, domain)
        else:
            source.ready.wait()
        if source.error is not None:
            self._remove_user(source)
            raise source.error
        acquired.append(source)
        if lib.pv_source_attach(source.pointer, queue, tag_of(key)) < 0:
            raise MemoryError

    def _add_user(self, key: Key) -> tuple[Source, bool]:
        """Count one more user of the source for *key*; return it, and whether it is new."""
        while True:
            with self._lock:
                self._require_open()
                source = self._sources.get(key)
                if source is None:
                    source = self._sources[key] = Source(key)
                    source.users = 1
                    return source, True
                if not source.closing:
                    source.users += 1
                    return source, False
            # libvirt registers a callback only once, and the previous registration still exists.
            source.deregistered.wait()

    def _remove_user(self, source: Source) -> bool:
        """Count one user less; return whether it was the last one.  The caller then deregisters the source."""
        with self._lock:
            source.users -= 1
            if source.users or source.error is not None:
                return False
            source.closing = True
            return True

    def _forget_source(self, source: Source) -> None:
        with self._lock:
            if self._sources.get(source.key) is source:
                del self._sources[source.key]
        source.deregistered.set()

    def _register(self, source: Source, domain: Domain | None) -> None:
        pointer = None  # deregisters the source if the connection is closed during this call
        try:
            pointer = self._conn._ptr
            self._register_with(source, domain)
            with self._lock:
                ended = self._ended
                if not ended:
                    source.ready.set()  # from now on closing the connection deregisters it
            if ended:
                self._deregister(source, pointer)
                self._require_open()
        except BaseException as error:
            source.error = error
            self._forget_source(source)  # the next user tries again
        finally:
            source.ready.set()
            del pointer  # a traceback that holds it would keep the connection open

    def _register_with(self, source: Source, domain: Domain | None) -> None:
        # No variable holds the pointer of a handle: a traceback would keep the connection open.
        if source.key[0] == QEMU_MONITOR:
            register, deregister = _monitor_functions()
            result = lib.pv_source_register_monitor(
                source.pointer,
                self._conn._ptr,
                ffi.NULL if domain is None else domain._ptr,
                ffi.NULL,  # events of any name
                0,
                register,
                deregister,
            )
            check(result, _REGISTER[QEMU_MONITOR], self._conn)
        elif lib.pv_source_register(source.pointer, self._conn._ptr, ffi.NULL if domain is None else domain._ptr) < 0:
            error = last_error(_REGISTER[source.key[0]], self._conn)
            # libvirt reports an event number that it does not know as an invalid argument.
            raise error.recast(NotSupportedError) if isinstance(error, InvalidArgumentError) else error

    def _deregister(self, source: Source, conn: CData) -> None:
        """Deregister *source* with libvirt.

        (virConnectDomainEventDeregisterAny, virConnectNetworkEventDeregisterAny,
        virConnectStoragePoolEventDeregisterAny, virConnectNodeDeviceEventDeregisterAny,
        virConnectSecretEventDeregisterAny, virConnectDomainQemuMonitorEventDeregister,
        virConnectUnregisterCloseCallback)
        """
        lib.pv_source_deregister(source.pointer, conn)
        forget()

    def _release(self, source: Source, queue: CData, tag: int) -> None:
        lib.pv_source_detach(source.pointer, queue, tag)
        if not self._remove_user(source):
            return
        try:
            self._deregister(source, self._conn._ptr)
        except ClosedError:
            pass  # closing has deregistered it
        finally:
            self._forget_source(source)

    def _release_abandoned(self) -> None:
        """Release the sources of listeners that were garbage-collected without being closed."""
        while self._abandoned:
            try:
                sources, queue = self._abandoned.pop()
            except IndexError:  # another thread releases them too
                return
            for source in sources:
                self._release(source, queue, 0)

    # ---- the end of the connection ----

    def _stop(self) -> list[Source]:
        """End all subscriptions and listeners; return the sources that must be deregistered."""
        with self._lock:
            self._ended = True
            sources = [source for source in self._sources.values() if source.ready.is_set()]
            self._sources.clear()
            listeners = list(self._listeners)
            dispatch = self._dispatch
        for listener in listeners:
            listener._end()
        if dispatch is not None:
            dispatch.end()
        self._decoder.end()
        return sources

    def _close(self) -> None:
        if self._ended:
            return
        sources = self._stop()
        self._remember_names()
        try:
            conn = self._conn._ptr
        except ClosedError:
            return
        for source in sources:
            self._deregister(source, conn)

    def _remember_names(self) -> None:
        """Let handles fetch their names and UUIDs while the connection is open: an event may be read after that."""
        for child in [child() for child in self._conn._children]:
            if isinstance(child, Handle):
                try:
                    child._remember()
                except Error:
                    pass  # perhaps another thread has closed it

    def _take_sources(self) -> list[CData]:
        """End all subscriptions and listeners; return the registered sources, for the caller to deregister and free."""
        pointers = [source.pointer for source in self._stop()]
        for pointer in pointers:
            ffi.gc(pointer, None)
        return pointers

    def _disown(self) -> None:
        """Forget everything in the child of a fork, without waiting for a lock: the parent may have held it."""
        if self._ended:
            return
        self._ended = True
        self._lock = RLock()
        for source in self._sources.values():
            ffi.gc(source.pointer, None)
        self._sources = {}
        for listener in list(self._listeners):
            listener._disown()
        if self._dispatch is not None:
            self._dispatch.disown()
        self._decoder = Decoder(self._conn)
