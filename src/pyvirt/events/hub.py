# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.events``: who listens to what."""

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

#: how many events a listener holds for a program that is busy
BUFFER = 65_536


class Source:
    """One registration with libvirt, shared by all who want the same."""

    __slots__ = ("error", "gone", "key", "leaving", "pointer", "ready", "users")

    def __init__(self, key: Key) -> None:
        self.key = key
        pointer = lib.pv_source_new(*key[:2])
        if not pointer:
            raise MemoryError
        self.pointer = ffi.gc(pointer, lib.pv_source_free)
        self.users = 0
        self.ready = Signal()  # registered, or failed to
        self.error: BaseException | None = None
        self.leaving = False  # nobody wants it any more
        self.gone = Signal()


def _monitor_functions() -> tuple[CData, CData]:
    from pyvirt._core.lib import load_extension

    try:
        qemu, types = load_extension("qemu")
    except ImportError:
        raise NotSupportedError("this build of pyvirt was made without libvirt-qemu") from None
    return (
        types.addressof(qemu, "virConnectDomainQemuMonitorEventRegister"),
        types.addressof(qemu, "virConnectDomainQemuMonitorEventDeregister"),
    )


class Events:
    """The events of a connection.

    Nothing is registered before somebody subscribes or listens, and everything shared among those who want the same.
    From then on the connection also notices by itself when its link is lost.
    """

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        # Reentrant, as a signal handler may close the connection.  Never held while libvirt is called.
        self._lock = RLock()
        self._sources: dict[Key, Source] = {}
        self._listeners: WeakSet[Listener[Event]] = WeakSet()
        self._abandoned: list[tuple[list[Source], CData]] = []
        self._decoder = Decoder(conn)
        self._dispatch: Dispatch | None = None
        self._ended = False
        #: Called with the subscription, the event and the exception when a callback raises; what this raises is logged.
        self.on_error: ErrorHook | None = None

    def __repr__(self) -> str:
        return f"<pyvirt.Events of {self._conn!r}>"

    @property
    def connection(self) -> Connection:
        """The connection whose events these are."""
        return self._conn

    # ---- for programs ----

    def _loop_is_own(self) -> bool:
        """Return whether pyvirt's own event loop waits for libvirt, which always runs."""
        return is_own()

    def subscribe(
        self, kind: type[E], callback: Callable[[E], object], *, domain: Domain | None = None
    ) -> Subscription[E]:
        """Call *callback* with each event of a kind from here on, until cancelled or the connection is closed.

        (virConnectDomainEventRegisterAny, virConnectNetworkEventRegisterAny, virConnectStoragePoolEventRegisterAny,
        virConnectNodeDeviceEventRegisterAny, virConnectSecretEventRegisterAny,
        virConnectDomainQemuMonitorEventRegister, virConnectRegisterCloseCallback)

        All callbacks, of all connections, are called by one thread, and while one runs others wait.  An exception goes
        to the log ``pyvirt.events`` and to :attr:`on_error`, and ends nothing.

        :param kind: a class of :mod:`pyvirt.events`, or one that several derive from: ``DomainEvent``
        :param domain: only events about this one; *kind* must be of domains
        :raises NotSupportedError: the driver, or the libvirt at either end, has no such events
        :raises ConnectionLostError: the link is gone
        """
        if not callable(callback):
            raise TypeError(f"the callback of a subscription is called, and a {type(callback).__name__} cannot be")
        kinds = self._kinds((kind,), domain)
        with self._lock:
            self._refuse_if_ended()
            if self._dispatch is None:
                self._dispatch = Dispatch(self)
            dispatch = self._dispatch
        self._sweep()
        made: Subscription[E] = Subscription(dispatch, kind, callback)
        dispatch.add(made, self._acquire(kinds, domain, bool(kind._kind), dispatch.queue, dispatch.tag_of))
        return made

    if TYPE_CHECKING:
        # One kind, or a union of some; a type checker by itself would only find what all of them derive from.

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
        """Take in events from here on, for a loop to have: ``for event in conn.events.listen(DomainLifecycle): …``

        What is registered with libvirt is the same as in :meth:`subscribe`.

        :param kinds: classes of :mod:`pyvirt.events`, also such as others derive from; without any all that there are
        :param timeout: seconds after which the loop ends if nothing came; ``None`` waits without end
        :param domain: only events about this one; *kinds* must be of domains, which is also the default
        :param buffer: how many events wait for the loop at most; the rest is counted, see :class:`EventsLost`
        :raises NotSupportedError: the driver, or the libvirt at either end, has no such events
        :raises ConnectionLostError: the link is gone
        """
        if buffer < 1:
            raise InvalidArgumentError(f"a buffer for {buffer} events holds none")
        wanted = self._kinds(kinds, domain)
        exact = bool(kinds) and all(kind._kind for kind in kinds)
        self._sweep()
        queue = new_queue(buffer)
        tells = any(kind is ConnectionClosed for kind in wanted)
        sources = self._acquire(wanted, domain, exact, queue, lambda _: 0)
        listener: Listener[Event] = Listener(self, queue, sources, timeout, tells)
        with self._lock:
            self._listeners.add(listener)
            ended = self._ended
        if ended:
            listener._end()
            self._refuse_if_ended()
        return listener

    # ---- who listens to what ----

    def _refuse_if_ended(self) -> None:
        if self._ended:
            raise ClosedError(self._conn._why_closed or "the connection is closed")

    def _kinds(self, kinds: Iterable[type[Event]], domain: Domain | None) -> list[type[Event]]:
        self._refuse_if_ended()
        if domain is not None and domain._conn is not self._conn:
            raise InvalidArgumentError("that domain is of another connection")
        found: dict[type[Event], None] = {}
        for kind in kinds or (Event if domain is None else DomainEvent,):
            if not (isinstance(kind, type) and issubclass(kind, Event)):
                raise TypeError(f"events are asked for by their class, and {kind!r} is none of those")
            if domain is not None and not issubclass(kind, DomainEvent | ConnectionClosed | EventsLost):
                raise InvalidArgumentError(f"a {kind.__name__} is about no domain")
            found.update(dict.fromkeys(kinds_of(kind)))
        return list(found)

    def _acquire(
        self,
        kinds: list[type[Event]],
        domain: Domain | None,
        exact: bool,
        queue: CData,
        tag_of: Callable[[Key], int],
    ) -> list[Source]:
        """Let events of *kinds*, and news of the link, go to *queue*; *exact*: all of them or none."""
        acquired: list[Source] = []
        refusal: Error | None = None
        which = None if domain is None else domain._identity()
        try:
            self._join((CLOSE, 0, None), None, queue, tag_of, acquired)
        except NotSupportedError:
            pass  # a driver without a link that could be lost
        joined = 0
        try:
            for kind in kinds:
                assert kind._kind is not None
                if kind is ConnectionClosed:
                    continue
                try:
                    self._join((*kind._kind, which), domain, queue, tag_of, acquired)
                    joined += 1
                except NotSupportedError as error:
                    if exact:
                        raise
                    refusal = error
            if refusal is not None and not joined:
                raise refusal
            # Whoever comes after the link was lost is not told by a callback.
            if not self._conn._link_stands():
                self._conn._require_open()
                raise ConnectionLostError("the connection is lost")
        except BaseException:
            for source in acquired:
                self._release(source, queue, tag_of(source.key))
            raise
        return acquired

    def _join(
        self, key: Key, domain: Domain | None, queue: CData, tag_of: Callable[[Key], int], acquired: list[Source]
    ) -> None:
        """Let what *key* stands for go to *queue*."""
        source, first = self._enter(key)
        if first:
            self._register(source, domain)
        else:
            source.ready.wait()
        if source.error is not None:
            self._leave(source)
            raise source.error
        acquired.append(source)
        if lib.pv_source_attach(source.pointer, queue, tag_of(key)) < 0:
            raise MemoryError

    def _enter(self, key: Key) -> tuple[Source, bool]:
        """Be one user more of a source; return it, and whether it is new."""
        while True:
            with self._lock:
                self._refuse_if_ended()
                source = self._sources.get(key)
                if source is None:
                    source = self._sources[key] = Source(key)
                    source.users = 1
                    return source, True
                if not source.leaving:
                    source.users += 1
                    return source, False
            # libvirt registers a callback once, and has not yet forgotten the one before.
            source.gone.wait()

    def _leave(self, source: Source) -> bool:
        """Be one user less; return whether that was the last one, who has to deregister it."""
        with self._lock:
            source.users -= 1
            if source.users or source.error is not None:
                return False
            source.leaving = True
            return True

    def _forget(self, source: Source) -> None:
        with self._lock:
            if self._sources.get(source.key) is source:
                del self._sources[source.key]
        source.gone.set()

    def _register(self, source: Source, domain: Domain | None) -> None:
        pointer = None  # to deregister with if the connection is closed meanwhile
        try:
            pointer = self._conn._ptr
            self._register_with(source, domain)
            with self._lock:
                ended = self._ended
                if not ended:
                    source.ready.set()  # from here on closing deregisters it
            if ended:
                self._deregister(source, pointer)
                self._refuse_if_ended()
        except BaseException as error:
            source.error = error
            self._forget(source)  # whoever comes next tries anew
        finally:
            source.ready.set()
            del pointer  # which in a traceback would keep the connection open

    def _register_with(self, source: Source, domain: Domain | None) -> None:
        # No pointer in a variable, for the same reason.
        if source.key[0] == QEMU_MONITOR:
            functions = _monitor_functions()
            result = lib.pv_source_register_monitor(
                source.pointer,
                self._conn._ptr,
                ffi.NULL if domain is None else domain._ptr,
                ffi.NULL,
                0,
                *functions,
            )
            check(result, "virConnectDomainQemuMonitorEventRegister", self._conn)
        elif lib.pv_source_register(source.pointer, self._conn._ptr, ffi.NULL if domain is None else domain._ptr) < 0:
            error = last_error("vir…EventRegisterAny", self._conn)
            # What libvirt says of a number that it does not know.
            raise error.recast(NotSupportedError) if isinstance(error, InvalidArgumentError) else error

    def _deregister(self, source: Source, conn: CData) -> None:
        """Tell libvirt.

        (virConnectDomainEventDeregisterAny, virConnectNetworkEventDeregisterAny,
        virConnectStoragePoolEventDeregisterAny, virConnectNodeDeviceEventDeregisterAny,
        virConnectSecretEventDeregisterAny, virConnectDomainQemuMonitorEventDeregister,
        virConnectUnregisterCloseCallback)
        """
        lib.pv_source_deregister(source.pointer, conn)
        forget()

    def _release(self, source: Source, queue: CData, tag: int) -> None:
        lib.pv_source_detach(source.pointer, queue, tag)
        if not self._leave(source):
            return
        try:
            self._deregister(source, self._conn._ptr)
        except ClosedError:
            pass  # then that was done at closing
        finally:
            self._forget(source)

    def _sweep(self) -> None:
        """Do what finalisers of listeners left to do."""
        while self._abandoned:
            try:
                sources, queue = self._abandoned.pop()
            except IndexError:  # another thread does the same
                return
            for source in sources:
                self._release(source, queue, 0)

    # ---- the end of the connection ----

    def _stop(self) -> list[Source]:
        """End all listening; return what is to be deregistered."""
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
        """Let handles find out who they are, while they can: whoever has an event wants to know that later too."""
        for child in [child() for child in self._conn._children]:
            if isinstance(child, Handle):
                try:
                    child._remember()
                except Error:
                    pass  # closed, perhaps, by another thread

    def _take_sources(self) -> list[CData]:
        """End all listening; return what is registered, which the caller deregisters and frees."""
        pointers = [source.pointer for source in self._stop()]
        for pointer in pointers:
            ffi.gc(pointer, None)
        return pointers

    def _disown(self) -> None:
        """Forget everything, in the child of a fork: no lock of the parent's may be waited for."""
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
