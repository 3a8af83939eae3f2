# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base classes of the parts of a domain, ``domain.disks`` and others.

They are made on access, hold the domain and perhaps a name, and ask libvirt only when a method is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from pyvirt._core.caller import Caller
from pyvirt._core.lib import lib
from pyvirt.enums.domain import DomainXMLFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import ClassVar

    from lxml.etree import _Element

    from pyvirt._core.lib import CData
    from pyvirt.connection import Connection
    from pyvirt.domain.domain import Domain

R = TypeVar("R")


def known(values: Iterable[int]) -> Iterator[int | None]:
    """Yield the numbers of a struct, ``None`` for -1, by which drivers report an unknown value."""
    return (None if value == -1 else value for value in values)


def take_array(array: CData, count: int, convert: Callable[[CData], R], free: Callable[[CData], object]) -> list[R]:
    """Return the converted items of an array that a call has allocated, and free the items and the array."""
    try:
        return [convert(array[i]) for i in range(count)]
    finally:
        for i in range(count):
            free(array[i])
        lib.free(array)


class Part(Caller):
    """A part of a domain: an object with methods of one subject."""

    __slots__ = ("_domain",)

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def __repr__(self) -> str:
        return f"<pyvirt.{type(self).__name__} of {self._domain!r}>"

    @property
    def domain(self) -> Domain:
        """The domain it belongs to."""
        return self._domain

    @property
    def _conn(self) -> Connection:
        return self._domain._conn

    @property
    def _ptr(self) -> CData:
        return self._domain._ptr

    def _identity(self) -> tuple[object, ...]:
        return (self._domain,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and type(self) is type(other) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self), self._identity()))


class NamedPart(Part):
    """One of several parts of a kind."""

    __slots__ = ("_name",)

    def __init__(self, domain: Domain, name: str) -> None:
        super().__init__(domain)
        self._name = name

    def __repr__(self) -> str:
        return f"<pyvirt.{type(self).__name__} {self._name!r} of {self._domain!r}>"

    @property
    def name(self) -> str:
        """The name that this object was made with."""
        return self._name

    def _identity(self) -> tuple[object, ...]:
        return self._domain, self._name


T = TypeVar("T", bound=NamedPart)


class Parts(Part, Generic[T]):
    """All parts of a kind.

    Indexing makes an object for any name without a call: if there is no such part, its first call raises.
    Iterating, ``len`` and ``in`` read the domain's configuration.
    """

    __slots__ = ()

    _kind: ClassVar[type[NamedPart]]
    _elements: ClassVar[str]  # their path in the domain's document

    def _name_of(self, element: _Element) -> str | None:
        raise NotImplementedError

    def list(self, *, flags: DomainXMLFlags = DomainXMLFlags(0)) -> list[T]:
        """Return those in the running configuration, or with ``INACTIVE`` in the stored one.  (virDomainGetXMLDesc)"""
        from pyvirt.xmldesc import parse

        names = map(self._name_of, parse(self._domain.xml_desc(flags=flags)).iterfind(self._elements))
        return [self[name] for name in names if name is not None]

    def __getitem__(self, name: str) -> T:
        return self._kind(self._domain, name)  # type: ignore[return-value]

    def __iter__(self) -> Iterator[T]:
        return iter(self.list())

    def __len__(self) -> int:
        return len(self.list())

    def __contains__(self, item: object) -> bool:
        """Return whether there is a part with that name, or that part."""
        return any(item in (part, part.name) for part in self.list())
