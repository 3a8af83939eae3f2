# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections own their handles: closing one closes them all.

libvirt keeps a socket open while any object of it is alive.  So a connection knows its handles (weakly) and empties
them all when it closes.
"""

from __future__ import annotations

import warnings
from threading import Lock
from weakref import WeakValueDictionary, ref

from pyvirt._core.call import forget
from pyvirt._core.handle import Owner, _gc, _slot
from pyvirt.errors import ClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import ClassVar, NoReturn, Protocol

    from typing_extensions import Self

    from pyvirt._core.lib import CData, CFunction

    class Child(Protocol):
        """An object that its connection closes."""

        def close(self) -> None: ...
        def _disown(self) -> None: ...


class Root(Owner):
    """The base class of connections: owns a C pointer and knows the handles that came from it."""

    __slots__ = ("_children", "_children_limit", "_purging", "_why_closed")

    _is_alive: ClassVar[CFunction[[CData], int]]
    _exiting: ClassVar[bool] = False  # not a global, which Python may delete before the last finalisers run

    def __init__(self, ptr: CData) -> None:
        """Own the reference *ptr*, which must not be NULL."""
        self._why_closed: str | None = None
        # There is no lock, because a finaliser or a signal handler may close this connection at any point.  Everything
        # rests on single operations of a list, which the GIL (or the list's own lock) makes atomic.
        self._children: list[ref[Child]] = []
        self._children_limit = 256
        self._purging = Lock()
        self._ptr = _gc(ptr, self._release)
        _roots[id(self)] = self

    @property
    def _conn(self) -> Self:
        return self  # handles have a _conn too

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
        """Register *child*, to close it when this connection closes."""
        children = self._children
        children.append(ref(child))
        if self._why_closed:  # another thread has closed the connection in the meantime
            child.close()
        elif len(children) > self._children_limit:
            self._forget_dead()

    def _adopt_all(self, made: Iterable[Child]) -> None:
        """Register many handles at once."""
        self._children.extend(map(ref, made))
        if self._why_closed:
            self._close_children()
        elif len(self._children) > self._children_limit:
            self._forget_dead()

    def _forget_dead(self) -> None:
        """Remove dead references; called only after as many new ones as there were, so it is cheap per handle."""
        if not self._purging.acquire(blocking=False):
            return
        try:
            # Other threads only append, so the entries after `seen` stay; or they close the connection, after which
            # this list does not matter.
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

        A call in progress in another thread is not interrupted, and the socket closes when it returns.  Calling it
        again has no effect.
        (virConnectClose)
        """
        if self._why_closed is None:
            self._why_closed = "the connection is closed"
        self._close_children()
        self._drop()

    def _take_sources(self) -> list[CData]:
        """Return the registered sources of events; the caller deregisters them."""
        return []

    def _disown(self, why: str) -> CData | None:
        """Close it without releasing anything, and return the pointer, which the caller may release."""
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
        self._require_open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            if self._exiting or self._why_closed is not None or not self._ptr:
                return
        except (AttributeError, ClosedError):
            return  # __init__ has failed
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        finally:
            self.close()


_roots: WeakValueDictionary[int, Root] = WeakValueDictionary()


def _open_roots() -> list[Root]:
    # Not by iterating over the dictionary: another thread may add to it.
    roots = [root() for root in _roots.valuerefs()]
    return [root for root in roots if root is not None and root._why_closed is None]
