# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who owns the C pointers, and what becomes of them.

A handle holds one pointer in its ``_ptr`` slot, as a cffi object that drops the reference when it dies.  Closing
empties the slot, so a later use finds none and raises :class:`ClosedError`; a call under way in another thread holds
the cffi object itself, and the pointer lives until that call returns.

libvirt keeps a socket open while any object of it is alive.  So a connection knows its handles (weakly) and empties
them all when it closes.
"""

from __future__ import annotations

import atexit
import os
import warnings
from _thread import _count as count_threads
from threading import Lock
from weakref import WeakValueDictionary, ref

from pyvirt._lib import ffi, lib
from pyvirt.errors import ClosedError, forget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from typing import ClassVar, NoReturn, Protocol

    from typing_extensions import Self

    from pyvirt._lib import CData

    class Child(Protocol):
        """What a connection has to empty when it closes."""

        def close(self) -> None: ...
        def _disown(self) -> None: ...


_gc = ffi.gc


class Handle:
    """One C object, and the connection it came from."""

    __slots__ = ("__weakref__", "_conn", "_ptr")

    _ptr: CData
    _conn: Root
    _release: ClassVar[Callable[[CData], None]]

    def __init__(self, conn: Root, ptr: CData) -> None:
        """Own the reference *ptr*, which must not be NULL."""
        self._conn = conn
        self._ptr = _gc(ptr, self._release)
        conn._adopt(self)

    @classmethod
    def _many(cls, conn: Root, pointers: Iterable[CData]) -> list[Self]:
        """Own many references at once: a listing of 10,000 should cost little more than libvirt's part."""
        new = cls.__new__
        release = cls._release
        made: list[Self] = []
        add = made.append
        for ptr in pointers:
            handle = new(cls)
            handle._conn = conn
            handle._ptr = _gc(ptr, release)
            add(handle)
        conn._adopt_all(made)
        return made

    if not TYPE_CHECKING:  # or a type checker would take every name for an attribute

        def __getattr__(self, name: str) -> object:
            # Python asks here only for what is not there, so a live handle pays nothing for the check.
            if name == "_ptr":
                self._refuse()
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

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
        try:
            del self._ptr
        except AttributeError:
            pass  # closed before, or by another thread meanwhile

    def _disown(self) -> None:
        """Forget the pointer without releasing it: it belongs to the process before a fork."""
        try:
            _gc(self._ptr, None)
            del self._ptr
        except (AttributeError, ClosedError):
            pass

    def _identity(self) -> Hashable:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Handle) or type(self) is not type(other):
            return NotImplemented
        return self._conn is other._conn and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self), id(self._conn), self._identity()))

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} lives in one process and cannot be pickled or copied")


class Root:
    """A connection: owns its own C pointer and knows the handles that came from it."""

    __slots__ = ("__weakref__", "_children", "_children_limit", "_ptr", "_purging", "_why_closed")

    _ptr: CData
    _release: ClassVar[Callable[[CData], None]]
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

    if not TYPE_CHECKING:  # as in Handle

        def __getattr__(self, name: str) -> object:
            if name == "_ptr":
                raise self._closed_error() or ClosedError("the connection was not opened")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

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
        try:
            del self._ptr
        except AttributeError:
            pass

    def _disown(self, why: str) -> CData | None:
        """Close it without releasing anything: that is up to somebody else.  Return the pointer."""
        self._why_closed = why
        for child in self._take_children():
            child._disown()
        try:
            pointer = self._ptr
            _gc(pointer, None)
            del self._ptr
        except (AttributeError, ClosedError):
            return None
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

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} lives in one process and cannot be pickled or copied")


_roots: WeakValueDictionary[int, Root] = WeakValueDictionary()


def _open_roots() -> list[Root]:
    # Not by iterating over the dictionary, to which another thread may add.
    roots = [root() for root in _roots.valuerefs()]
    return [root for root in roots if root is not None and root._why_closed is None]


def _after_fork() -> None:
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
        return
    for root in roots:
        root._close_children()
    pointers = [root._disown("the connection is closed, as the interpreter exits") for root in roots]
    pointers = [pointer for pointer in pointers if pointer is not None]
    if pointers:
        lib.pv_close_within(ffi.new("virConnectPtr[]", pointers), len(pointers), _FAREWELL)


_FAREWELL = 1000  # milliseconds

os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
