# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all collections of a connection have in common: iteration, ``len``, ``in``, look-ups."""

from __future__ import annotations

from pyvirt._handle import Handle
from pyvirt._lib import ffi, lib
from pyvirt.errors import InvalidArgumentError, NotFoundError, check, last_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import ClassVar, Generic, TypeVar
    from uuid import UUID

    from pyvirt._lib import CData
    from pyvirt.connection import Connection

    T = TypeVar("T", bound=Handle)

    class _Generic(Generic[T]): ...

else:

    class _Generic:
        __slots__ = ()

        def __class_getitem__(cls, item):
            return cls

    T = None

_free = lib.free
_unpack = ffi.unpack


def as_uuid(uuid: UUID | str | bytes) -> UUID:
    """Return a UUID given in any of its forms.

    :raises InvalidArgumentError: this is no UUID
    """
    from uuid import UUID

    if isinstance(uuid, UUID):
        return uuid
    if isinstance(uuid, str):
        try:
            return UUID(uuid)
        except ValueError:
            raise InvalidArgumentError(f"{uuid[:64]!r} is no UUID") from None
    if not isinstance(uuid, bytes | bytearray):
        raise TypeError(f"a UUID is a uuid.UUID, its text, or its 16 bytes, not {type(uuid).__name__}")
    if len(uuid) != 16:
        raise InvalidArgumentError(f"a UUID has 16 bytes, not {len(uuid)}")
    return UUID(bytes=bytes(uuid))


class Collection(_Generic[T]):
    """Objects of one kind.  Each use asks libvirt; nothing is remembered."""

    __slots__ = ("_conn",)

    _kind: ClassVar[type[Handle]]
    _pointer: ClassVar[str]  # the C type, "virDomainPtr"

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._conn!r}>"

    def _wrap(self, pointer: CData, wanted: object = None) -> T:
        """Make an object of what a call returned; NULL is that call's error.

        Some drivers only say that something was not found: *wanted* tells what.
        """
        if not pointer:
            error = last_error()
            if wanted is not None and isinstance(error, NotFoundError) and ": " not in error.message:
                error.message += f": {str(wanted)[:80]!r}"
                error.args = (error.message,)
            raise error
        return self._kind(self._conn, pointer)  # type: ignore[return-value]

    def _wrap_list(self, call: Callable[[CData, CData, int], int], flags: int) -> list[T]:
        """Make objects of what a ``virConnectListAll…`` function returns."""
        conn = self._conn
        out = ffi.new(f"{self._pointer} **")
        count = check(call(conn._ptr, out, flags))
        array = out[0]
        try:
            pointers = _unpack(array, count)
        finally:
            _free(array)
        return self._kind._many(conn, pointers)  # type: ignore[return-value]

    def _list(self, flags: int) -> list[T]:
        raise NotImplementedError

    def _count(self) -> int:
        raise NotImplementedError

    def _by_name(self, name: str) -> T:
        raise NotImplementedError

    def __iter__(self) -> Iterator[T]:
        return iter(self._list(0))

    def __len__(self) -> int:
        return self._count()

    def __getitem__(self, name: str) -> T:
        """Return the object called *name*, or raise a :class:`NotFoundError`."""
        return self._by_name(name)

    def __contains__(self, item: object) -> bool:
        """Whether an object of that name, or that very object, is there."""
        if isinstance(item, str):
            try:
                self._by_name(item)
            except (NotFoundError, InvalidArgumentError):
                return False
            return True
        return isinstance(item, Handle) and item in self._list(0)
