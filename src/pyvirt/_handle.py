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
from threading import Lock
from weakref import WeakSet, ref

from pyvirt._lib import ffi
from pyvirt.errors import ClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from typing import ClassVar, NoReturn

    from typing_extensions import Self

    from pyvirt._lib import CData

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

    __slots__ = ("__weakref__", "_children", "_children_limit", "_children_lock", "_ptr", "_why_closed")

    _ptr: CData
    _release: ClassVar[Callable[[CData], None]]

    def __init__(self, ptr: CData) -> None:
        """Own the reference *ptr*, which must not be NULL."""
        self._why_closed: str | None = None
        self._children: list[ref[Handle]] = []
        self._children_limit = 256
        self._children_lock = Lock()
        self._ptr = _gc(ptr, self._release)
        _roots.add(self)

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

    def _adopt(self, child: Handle) -> None:
        """Remember *child*, to empty it when this connection closes."""
        children = self._children
        children.append(ref(child))
        if self._why_closed:  # closed by another thread since the pointer was made
            child.close()
        elif len(children) > self._children_limit:
            self._forget_dead()

    def _adopt_all(self, made: Iterable[Handle]) -> None:
        """Remember many handles at once."""
        self._children.extend(map(ref, made))
        if self._why_closed:
            self._close_children(Handle.close)
        elif len(self._children) > self._children_limit:
            self._forget_dead()

    def _forget_dead(self) -> None:
        """Drop the references to handles that are gone; paid for by as many handles made since the last time."""
        if not self._children_lock.acquire(blocking=False):
            return
        try:
            # Others only append, so what is behind `seen` stays, in one step under the GIL.
            children = self._children
            seen = len(children)
            children[:seen] = [child for child in children[:seen] if child() is not None]
            self._children_limit = max(256, 2 * len(children))
        finally:
            self._children_lock.release()

    def _close_children(self, how: Callable[[Handle], None]) -> None:
        with self._children_lock:
            children = self._children
            while children:
                child = children.pop()()
                if child is not None:
                    how(child)

    def close(self) -> None:
        """Close the connection and its socket, even if objects of it are still referenced.

        A call under way in another thread ends first.  Harmless when repeated.  (virConnectClose)
        """
        if self._why_closed is None:
            self._why_closed = "the connection is closed"
        self._close_children(Handle.close)
        try:
            del self._ptr
        except AttributeError:
            pass

    def _disown(self) -> None:
        self._why_closed = "the connection was opened before fork() and belongs to the parent process"
        self._children_lock = Lock()  # the thread that held the old one may not exist here
        self._close_children(Handle._disown)
        try:
            _gc(self._ptr, None)
            del self._ptr
        except (AttributeError, ClosedError):
            pass

    def __enter__(self) -> Self:
        self._ptr  # noqa: B018
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            if self._why_closed is not None or not self._ptr:
                return
        except (AttributeError, ClosedError):
            return  # __init__ did not get that far
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        self.close()


_roots: WeakSet[Root] = WeakSet()


def _after_fork() -> None:
    for root in list(_roots):
        root._disown()


def _at_exit() -> None:
    # Politely, so that the daemon does not log a client that vanished; and before Python takes modules apart.
    for root in list(_roots):
        root.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
