# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who owns the C pointers, and what becomes of them.

A handle holds one pointer in its ``_ptr`` slot, as a cffi object that drops the reference when it dies.  Closing
empties the slot and turns the handle into its closed form, where asking for the pointer raises :class:`ClosedError`; a
call under way in another thread holds the cffi object itself, and the pointer lives until that call returns.

libvirt keeps a socket open while any object of it is alive.  So a connection knows its handles (weakly) and empties
them all when it closes.
"""

from __future__ import annotations

import atexit
import os
import warnings
from _thread import _count as count_threads
from itertools import repeat
from threading import Lock
from weakref import WeakValueDictionary, ref

from pyvirt._lib import ffi, lib
from pyvirt.errors import ClosedError, NotSupportedError, forget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from typing import ClassVar, NoReturn, Protocol, TypeVar

    from typing_extensions import Self

    from pyvirt._lib import CData

    class Child(Protocol):
        """What a connection has to empty when it closes."""

        def close(self) -> None: ...
        def _disown(self) -> None: ...

    T = TypeVar("T", bound="Owner")


_gc = ffi.gc


class Owner:
    """Something that holds one C pointer until it is closed."""

    __slots__ = ("__weakref__", "_ptr")

    _ptr: CData
    _release: ClassVar[Callable[[CData], None]]

    def _refuse(self) -> NoReturn:
        """Say that it is closed, and why."""
        raise NotImplementedError

    def _drop(self) -> None:
        """Let go of the pointer, which lives on in calls under way.  Harmless when repeated."""
        self.__class__ = _closed_form(type(self))
        try:
            _slot.__delete__(self)
        except AttributeError:
            pass  # closed before, or by another thread meanwhile

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} lives in one process and cannot be pickled or copied")


_slot = Owner.__dict__["_ptr"]
_closed_forms: dict[type[Owner], type[Owner]] = {}


def _closed_form(cls: type[T]) -> type[T]:
    """Return what objects of *cls* turn into when they are closed: the same, but to ask for the pointer raises.

    A ``__getattr__`` would do, but Python looks up every attribute of a class that has one the slow way: that takes a
    tenth as long as the whole of a call to libvirt's test driver.
    """
    closed = _closed_forms.get(cls)
    if closed is None:
        body = {"__slots__": (), "__module__": cls.__module__, "__doc__": cls.__doc__, "_ptr": property(cls._refuse)}
        closed = type(cls.__name__, (cls,), body)
        _closed_forms[cls] = _closed_forms[closed] = closed
    return closed  # type: ignore[return-value]


class Handle(Owner):
    """One C object, and the connection it came from."""

    __slots__ = ("_conn",)

    _conn: Root

    def __init__(self, conn: Root, ptr: CData) -> None:
        """Own the reference *ptr*, which must not be NULL."""
        self._conn = conn
        self._ptr = _gc(ptr, self._release)
        conn._adopt(self)

    @classmethod
    def _many(cls, conn: Root, pointers: Iterable[CData]) -> list[Self]:
        """Own many references at once: a listing of 10,000 should cost little more than libvirt's part."""
        owned = list(map(_gc, pointers, repeat(cls._release)))
        made: list[Self] = list(map(cls.__new__, repeat(cls, len(owned))))
        for handle, ptr in zip(made, owned, strict=True):
            handle._conn = conn
            handle._ptr = ptr
        conn._adopt_all(made)
        return made

    def _refuse(self) -> NoReturn:
        raise self._conn._closed_error() or ClosedError(f"this {type(self).__name__} is closed")

    @property
    def closed(self) -> bool:
        """Whether the object, or its connection, was closed."""
        try:
            self._ptr  # noqa: B018
        except ClosedError:
            return True
        return False

    def close(self) -> None:
        """Let go of the C object now rather than when Python collects this one.  Harmless when repeated."""
        self._drop()

    def _disown(self) -> None:
        """Forget the pointer without releasing it: it belongs to the process before a fork."""
        try:
            _gc(_slot.__get__(self), None)
        except AttributeError:
            return
        self._drop()

    def _identity(self) -> Hashable:
        raise NotImplementedError

    def _remember(self) -> None:
        """Ask C who it is, so that it can still be told when the handle is closed."""
        self._identity()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Handle) or self._release is not other._release:  # of another kind; types change
            return NotImplemented
        return self._conn is other._conn and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self._release, id(self._conn), self._identity()))


_in_use: list[str] = []


def use_library(name: str) -> None:
    """Say that a connection through the library *name* is about to be opened.

    libvirt and libvirt-admin each bring the same classes and register them with GLib, which knows them by name: the
    second to do so crashes the process (libvirt 9.0 to 11.3 at least, in C too).

    :raises NotSupportedError: this process uses the other one
    """
    if not _in_use:
        _in_use.append(name)
    elif _in_use[0] != name:
        raise NotSupportedError(
            f"{name} cannot be used in a process that uses {_in_use[0]}, or libvirt crashes: use another process"
        )


class Root(Owner):
    """A connection: owns its own C pointer and knows the handles that came from it."""

    __slots__ = ("_children", "_children_limit", "_purging", "_why_closed")

    _is_alive: ClassVar[Callable[[CData], int]]
    _exiting: ClassVar[bool] = False  # not a global, which may be gone when the last finalisers run

    def __init__(self, ptr: CData) -> None:
        """Own the reference *ptr*, which must not be NULL."""
        self._why_closed: str | None = None
        # Has no lock: a finaliser or a signal handler may close this connection while it is at work here.  All of it
        # rests on single operations of a list, which the GIL (or the list's own lock) makes atomic.
        self._children: list[ref[Child]] = []
        self._children_limit = 256
        self._purging = Lock()
        self._ptr = _gc(ptr, self._release)
        _roots[id(self)] = self

    @property
    def _conn(self) -> Self:
        return self  # as a handle has one

    def _refuse(self) -> NoReturn:
        raise self._closed_error() or ClosedError("the connection is closed")

    def _closed_error(self) -> ClosedError | None:
        return ClosedError(self._why_closed) if self._why_closed else None

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called, or this process is a fork of the one that opened it."""
        return self._why_closed is not None

    def _link_stands(self) -> bool:
        try:
            alive = type(self)._is_alive(self._ptr)
        except ClosedError:
            return False
        if alive < 0:
            forget()
        return alive == 1

    def _adopt(self, child: Child) -> None:
        """Remember *child*, to empty it when this connection closes."""
        children = self._children
        children.append(ref(child))
        if self._why_closed:  # closed by another thread since the pointer was made
            child.close()
        elif len(children) > self._children_limit:
            self._forget_dead()

    def _adopt_all(self, made: Iterable[Child]) -> None:
        """Remember many handles at once."""
        self._children.extend(map(ref, made))
        if self._why_closed:
            self._close_children()
        elif len(self._children) > self._children_limit:
            self._forget_dead()

    def _forget_dead(self) -> None:
        """Drop the references to handles that are gone; paid for by as many handles made since the last time."""
        if not self._purging.acquire(blocking=False):
            return
        try:
            # Others only append, so what is behind `seen` stays, in one step; or they close, after which nothing in
            # this list matters.
            children = self._children
            seen = len(children)
            children[:seen] = [child for child in children[:seen] if child() is not None]
            self._children_limit = max(256, 2 * len(children))
        finally:
            self._purging.release()

    def _take_children(self) -> Iterator[Child]:
        while True:
            try:
                child = self._children.pop()()
            except IndexError:
                return
            if child is not None:
                yield child

    def _close_children(self) -> None:
        for child in self._take_children():
            child.close()

    def close(self) -> None:
        """Close the connection and its socket, even if objects of it are still referenced.

        A call under way in another thread ends undisturbed, and the socket with it.  Harmless when repeated.
        (virConnectClose)
        """
        if self._why_closed is None:
            self._why_closed = "the connection is closed"
        self._close_children()
        self._drop()

    def _take_sources(self) -> list[CData]:
        """Return the sources of events that are registered with it, for somebody else to deregister."""
        return []

    def _disown(self, why: str) -> CData | None:
        """Close it without releasing anything: that is up to somebody else.  Return the pointer."""
        self._why_closed = why
        for child in self._take_children():
            child._disown()
        try:
            pointer: CData = _slot.__get__(self)
        except AttributeError:
            return None
        _gc(pointer, None)
        self._drop()
        return pointer

    def __enter__(self) -> Self:
        self._ptr  # noqa: B018
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            if self._exiting or self._why_closed is not None or not self._ptr:
                return
        except (AttributeError, ClosedError):
            return  # __init__ did not get that far
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        finally:
            self.close()


_roots: WeakValueDictionary[int, Root] = WeakValueDictionary()


def _open_roots() -> list[Root]:
    # Not by iterating over the dictionary, to which another thread may add.
    roots = [root() for root in _roots.valuerefs()]
    return [root for root in roots if root is not None and root._why_closed is None]


def _before_fork() -> None:
    # Not in the middle of a callback, which may hold locks of libvirt's; and a process of one thread can be forked
    # without a warning.
    lib.pv_loop_pause(_FAREWELL)


def _after_fork_in_parent() -> None:
    lib.pv_loop_resume()


def _after_fork() -> None:
    lib.pv_loop_resume()
    for root in _open_roots():
        root._purging = Lock()  # the thread that held the old one does not exist here
        root._disown("the connection was opened before fork() and belongs to the parent process")


def _at_exit() -> None:
    """Close what is open: politely, so that no daemon logs a client that vanished, but not at any price."""
    Root._exiting = True
    roots = _open_roots()
    if count_threads():
        # Somebody is perhaps in a call, and would complain if the connection went away, while Python would soon have
        # stopped that thread without a word.  The connections end with the process.
        for root in roots:
            try:
                _gc(root._ptr, None)
            except ClosedError:
                pass
        lib.pv_loop_pause(_FAREWELL)
        return
    pointers: list[CData] = []
    sources: list[CData] = []
    owners: list[int] = []
    for root in roots:
        root._close_children()
        registered = root._take_sources()
        pointer = root._disown("the connection is closed, as the interpreter exits")
        if pointer is not None and ffi.typeof(pointer) is _CONNECTION:
            sources += registered
            owners += [len(pointers)] * len(registered)
            pointers.append(pointer)
    if pointers:
        connections = ffi.new("virConnectPtr[]", pointers)
        array = ffi.new("pv_source *[]", sources)
        lib.pv_close_within(connections, len(pointers), array, owners, len(sources), _FAREWELL)
    lib.pv_loop_pause(_FAREWELL)


_FAREWELL = 1000  # milliseconds
_CONNECTION = ffi.typeof("virConnectPtr")  # and not that of libvirt-admin, which only its own library can close

os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
atexit.register(_at_exit)
