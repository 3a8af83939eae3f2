# SPDX-License-Identifier: LGPL-2.1-or-later
"""Handles: objects that own a C pointer.

A handle holds one pointer in its ``_ptr`` slot, as a cffi object that drops the reference when it dies.  Closing
empties the slot and turns the handle into its closed form, where reading the pointer raises :class:`ClosedError`; a
call in progress in another thread holds the cffi object itself, and the pointer lives until that call returns.
"""

from __future__ import annotations

from itertools import repeat

from pyvirt._core.caller import Caller
from pyvirt._core.lib import ffi
from pyvirt.errors import ClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from typing import ClassVar, NoReturn, TypeVar

    from typing_extensions import Self

    from pyvirt._core.lib import CData, CFunction
    from pyvirt._core.root import Root

    T = TypeVar("T", bound="Owner")


_gc = ffi.gc


class Owner(Caller):
    """An object that holds one C pointer until it is closed."""

    __slots__ = ("__weakref__", "_ptr")

    if TYPE_CHECKING:
        _ptr: CData
    _release: ClassVar[CFunction[[CData], object]]

    def _refuse(self) -> NoReturn:
        """Raise :class:`ClosedError` with the reason."""
        raise NotImplementedError

    def _drop(self) -> None:
        """Release the pointer, which calls in progress keep.  Calling it again has no effect."""
        self.__class__ = _closed_form(type(self))
        try:
            _slot.__delete__(self)
        except AttributeError:
            pass  # already closed, perhaps by another thread

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} objects belong to one process and cannot be pickled or copied")


_slot = Owner.__dict__["_ptr"]
_closed_forms: dict[type[Owner], type[Owner]] = {}


def _closed_form(cls: type[T]) -> type[T]:
    """Return the class of closed objects of *cls*: the same, but reading the pointer raises.

    A ``__getattr__`` would have the same effect, but makes Python look up every attribute of the class in a slow way:
    that costs a tenth of a call to libvirt's test driver.
    """
    closed = _closed_forms.get(cls)
    if closed is None:
        body = {"__slots__": (), "__module__": cls.__module__, "__doc__": cls.__doc__, "_ptr": property(cls._refuse)}
        closed = type(cls.__name__, (cls,), body)
        _closed_forms[cls] = _closed_forms[closed] = closed
    return closed  # type: ignore[return-value]


class Handle(Owner):
    """One C object and its connection."""

    __slots__ = ("_conn",)

    _conn: Root

    def __init__(self, conn: Root, ptr: CData) -> None:
        """Own the reference *ptr*, which must not be NULL."""
        self._conn = conn
        self._ptr = _gc(ptr, self._release)
        conn._adopt(self)

    @classmethod
    def _many(cls, conn: Root, pointers: Iterable[CData]) -> list[Self]:
        """Own many references at once, so that a listing of 10,000 costs little more than libvirt's part."""
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
            self._require_open()
        except ClosedError:
            return True
        return False

    def close(self) -> None:
        """Release the C object now, not only when Python deletes this one.  Calling it again has no effect."""
        self._drop()

    def _disown(self) -> None:
        """Forget the pointer without releasing it: it belongs to the parent process of a fork."""
        try:
            _gc(_slot.__get__(self), None)
        except AttributeError:
            return
        self._drop()

    def _identity(self) -> Hashable:
        raise NotImplementedError

    def _remember(self) -> None:
        """Read the identity from C now, so that it is known when the handle is closed."""
        self._identity()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        # Not by type, which changes when a handle is closed.
        if not isinstance(other, Handle) or self._release is not other._release:
            return NotImplemented
        return self._conn is other._conn and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self._release, id(self._conn), self._identity()))
