# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a domain's snapshots and checkpoints have in common: names, and a place in a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from xml.sax.saxutils import escape

from pyvirt._collection import Collection
from pyvirt._convert import decode, encode
from pyvirt._handle import Handle
from pyvirt._lib import lib
from pyvirt.domain.domain import Domain
from pyvirt.errors import NotFoundError, check, last_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from typing_extensions import Self

    from pyvirt._lib import CData
    from pyvirt.connection import Connection

_RAISE = object()


class Moment(Handle):
    """A state of a domain that libvirt remembers by a name."""

    __slots__ = ("_key",)

    _conn: Connection
    _get_name: ClassVar[Callable[[CData], CData]]
    _get_domain: ClassVar[Callable[[CData], CData]]
    _key: tuple[bytes, str]

    def __repr__(self) -> str:
        kind = f"pyvirt.{type(self).__name__}"
        try:
            return f"<{kind} {self.name!r} of {self.domain!r}>"
        except Exception:  # closed: a repr never fails
            return f"<{kind} {self._key[1]!r} closed>" if hasattr(self, "_key") else f"<{kind} closed>"

    @property
    def connection(self) -> Connection:
        """The connection it belongs to.  (virDomainSnapshotGetConnect, virDomainCheckpointGetConnect)"""
        return self._conn

    @property
    def name(self) -> str:
        """The name.  (virDomainSnapshotGetName, virDomainCheckpointGetName)"""
        return self._identity()[1]

    @property
    def domain(self) -> Domain:
        """The domain it is of.  (virDomainSnapshotGetDomain, virDomainCheckpointGetDomain)"""
        pointer = type(self)._get_domain(self._ptr)
        check(lib.virDomainRef(pointer))  # it has lent us its own reference
        return Domain(self._conn, pointer)

    def _identity(self) -> tuple[bytes, str]:
        try:
            return self._key
        except AttributeError:
            self._key = self.domain._identity(), decode(type(self)._get_name(self._ptr))
            return self._key

    def _parent_at(self, pointer: CData) -> Self | None:
        """Make an object of the parent, if that was not NULL."""
        if pointer:
            return type(self)(self._conn, pointer)
        error = last_error()
        if not isinstance(error, NotFoundError):
            raise error
        self._look()  # libvirt says the same of one that has no parent and of one that is gone
        return None

    def _look(self) -> object:
        """Make any call that fails if this is gone."""
        raise NotImplementedError


M = TypeVar("M", bound=Moment)


class Moments(Collection[M]):
    """All of a kind that a domain has."""

    __slots__ = ("_domain",)

    _root: ClassVar[str]  # of their documents

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain._conn)
        self._domain = domain

    def __repr__(self) -> str:
        return f"<pyvirt.{type(self).__name__} of {self._domain!r}>"

    @property
    def domain(self) -> Domain:
        """The domain they are of."""
        return self._domain

    def get(self, name: str, *, default: object = _RAISE) -> M:
        """Return one by its name.  (virDomainSnapshotLookupByName, virDomainCheckpointLookupByName)

        :param default: returned instead of raising when the domain has none of that name
        :raises NotFoundError: no such one
        """
        try:
            return self._by_name(name)
        except NotFoundError:
            if default is _RAISE:
                raise
            return default  # type: ignore[return-value]

    def _document(self, xml: str | None, **texts: str | None) -> bytes:
        """Return *xml*, or the document that says no more than *texts*."""
        given = {tag: text for tag, text in texts.items() if text is not None}
        if xml is not None:
            if given:
                raise TypeError("give xml, or name and description")
            return encode(xml)
        for text in given.values():
            encode(text)  # or say what is wrong with it
        inner = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in given.items())
        return encode(f"<{self._root}>{inner}</{self._root}>")
