# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base class of collections: iteration, ``len``, ``in``, look-ups.

A class names the C functions that list and find objects.  Their first argument is the *owner*: the connection, or the
pool, network or domain that the objects belong to.
"""

from __future__ import annotations

from pyvirt._core.document import encode_xml
from pyvirt._core.handle import Handle
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import encode
from pyvirt._core.typed import Typed
from pyvirt.errors import Error, InvalidArgumentError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import ClassVar, TypeAlias
    from uuid import UUID

    from typing_extensions import Never, TypeVar

    from pyvirt._core.lib import CData, CFunction
    from pyvirt._model.object import Object
    from pyvirt.connection import Connection
    from pyvirt.xmldesc import XML

    T = TypeVar("T", bound=Handle)
    #: The type of a look-up's default; without one a look-up returns nothing else.
    D = TypeVar("D", default=Never)

    ListAll: TypeAlias = CFunction[[CData, CData, int], int]
    #: A method, and its keys; ``None`` stands for a key that was not given.
    Way: TypeAlias = tuple[Callable[..., T], object] | tuple[Callable[..., T], object, object]
else:
    T = None

#: The default of a look-up's ``default``.
RAISE: Never = object()  # type: ignore[assignment]

_free = lib.free
_unpack = ffi.unpack


def as_uuid(uuid: UUID | str | bytes) -> bytes:
    """Return the bytes of a UUID given in any of its forms.

    :raises InvalidArgumentError: it is not a valid UUID
    """
    # A uuid.UUID has bytes.  isinstance() would import its module, which takes half of the time of this function.
    given: object = getattr(uuid, "bytes", uuid)
    if isinstance(given, str):
        from uuid import UUID

        try:
            return UUID(given).bytes
        except ValueError:
            raise InvalidArgumentError(f"{given[:64]!r} is not a valid UUID") from None
    if not isinstance(given, bytes | bytearray):
        raise TypeError(f"expected a UUID as uuid.UUID, str or 16 bytes, got {type(uuid).__name__}")
    if len(given) != 16:
        raise InvalidArgumentError(f"a UUID must have 16 bytes, not {len(given)}")
    return bytes(given)


def _as_text(key: object) -> str:
    """Return the key of a look-up as text."""
    if isinstance(key, bytes):
        from uuid import UUID

        key = UUID(bytes=key)
    return str(key)


class Collection(Typed[T]):
    """Objects of one kind.  Each use calls libvirt; nothing is cached."""

    __slots__ = ("_conn", "_owner")

    _kind: ClassVar[type[Handle]]
    _not_found: ClassVar[type[NotFoundError]]
    _pointer: ClassVar[str]  # the C type, "virDomainPtr"
    _list_all: ClassVar[ListAll]
    _look_up_by_name: ClassVar[Callable[..., CData]]
    _look_up_by_uuid: ClassVar[Callable[..., CData]]

    def __init__(self, owner: Connection | Object) -> None:
        self._owner = owner
        self._conn: Connection = owner._conn

    def __repr__(self) -> str:
        return f"<pyvirt.{type(self).__name__} of {self._owner!r}>"

    # ---- from C ----

    def _new(self, function: Callable[..., CData], *args: object) -> T:
        """Call *function* for this collection's owner and return the object that it makes; NULL is an error."""
        return self._owner._call_object(self._kind, function, *args)  # type: ignore[return-value]

    def _look_up(self, key: object, function: Callable[..., CData], *args: object) -> T:
        """Call *function*, which looks up *key*, and return the object that it finds; NULL is an error."""
        pointer = function(self._owner._ptr, *args)
        if not pointer:
            raise self._missing(key, function)
        return self._kind(self._conn, pointer)  # type: ignore[return-value]

    def _missing(self, key: object, function: Callable[..., CData]) -> Error:
        """Return the error of a look-up, with *key* in its message: some drivers leave it out."""
        error = self._owner._error(function)
        if isinstance(error, NotFoundError) and ": " not in error.message:
            error.message += f": {_as_text(key)[:80]!r}"
            error.args = (error.message,)
        return error

    def _wrap_list(self, function: ListAll, flags: int, owner: Object | None = None) -> list[T]:
        """Return the objects that a ``vir…ListAll…`` function returns."""
        out = ffi.new(f"{self._pointer} **")
        pointers = (owner or self._owner)._call_array(out, function, flags)
        return self._kind._many(self._conn, pointers)  # type: ignore[return-value]

    def _from_xml(self, xml: XML, flags: int, plain: Callable[..., CData], flagged: Callable[..., CData]) -> T:
        """Make an object from its document: an old daemon knows only the function without flags."""
        return self._new(flagged, encode_xml(xml), flags) if flags else self._new(plain, encode_xml(xml))

    # ---- what a class may know better ----

    def _list(self, flags: int) -> list[T]:
        return self._wrap_list(type(self)._list_all, flags)

    def _count(self) -> int:
        return self._owner._call(type(self)._list_all, ffi.NULL, 0)

    def _by_name(self, name: str) -> T:
        return self._look_up(name, type(self)._look_up_by_name, encode(name))

    def _by_uuid(self, uuid: UUID | str | bytes) -> T:
        wanted = as_uuid(uuid)
        return self._look_up(wanted, type(self)._look_up_by_uuid, wanted)

    def _get(self, default: D, what: str, *ways: Way[T]) -> T | D:
        """Look up by the one of *ways* whose keys were given.

        :raises TypeError: the keys of none, or of several, were given; *what* describes the right ones
        """
        given = None
        for way in ways:
            if way[1] is not None or way[-1] is not None:
                if given or None in way:
                    raise TypeError(f"expected {what}")
                given = way
        if given is None:
            raise TypeError(f"expected {what}")
        try:
            return given[0](*given[1:])
        except self._not_found:
            if default is RAISE:
                raise
            return default

    # ---- to Python ----

    def __iter__(self) -> Iterator[T]:
        return iter(self._list(0))

    def __len__(self) -> int:
        return self._count()

    def __getitem__(self, name: str) -> T:
        """Return the object with that *name*, or raise a :class:`NotFoundError`."""
        return self._by_name(name)

    def __contains__(self, item: object) -> bool:
        """Return whether an object with that name, or that object, exists."""
        if isinstance(item, str):
            try:
                self[item]
            except (NotFoundError, InvalidArgumentError):
                return False
            return True
        return isinstance(item, Handle) and item in self._list(0)


class UUIDCollection(Collection[T]):
    """A collection of objects that have UUIDs, but not names."""

    __slots__ = ()

    def __getitem__(self, uuid: UUID | str | bytes) -> T:
        """Return the object with that *uuid*, or raise a :class:`NotFoundError`."""
        return self._by_uuid(uuid)

    def __contains__(self, item: object) -> bool:
        """Return whether an object with that UUID, or that object, exists."""
        from uuid import UUID

        return super().__contains__(str(item) if isinstance(item, UUID) else item)
