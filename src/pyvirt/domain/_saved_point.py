# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a domain's snapshots and checkpoints have in common: names, and a place in a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from xml.sax.saxutils import escape

from pyvirt._core.call import check, last_error
from pyvirt._core.document import encode_xml
from pyvirt._core.lib import lib
from pyvirt._core.text import encode
from pyvirt._model.collection import RAISE
from pyvirt._model.object import Named
from pyvirt._model.where import WhereNamed
from pyvirt.domain.domain import Domain
from pyvirt.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from typing_extensions import Self

    from pyvirt._core.lib import CData
    from pyvirt._model.collection import D
    from pyvirt.xmldesc import XML


class Moment(Named[tuple[bytes, str]]):
    """A state of a domain that libvirt remembers by a name."""

    __slots__ = ()

    _get_domain: ClassVar[Callable[[CData], CData]]

    @property
    def domain(self) -> Domain:
        """The domain it is of.  (virDomainSnapshotGetDomain, virDomainCheckpointGetDomain)"""
        pointer = type(self)._get_domain(self._ptr)
        check(lib.virDomainRef(pointer))  # it has lent us its own reference
        return Domain(self._conn, pointer)

    def _ask_identity(self) -> tuple[bytes, str]:
        return self.domain._identity(), self.name

    def _label(self) -> str:
        return f"{self.name!r} of {self.domain!r}"

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


class Moments(WhereNamed[M]):
    """All of a kind that a domain has."""

    __slots__ = ()

    _owner: Domain
    _root: ClassVar[str]  # of their documents

    @property
    def domain(self) -> Domain:
        """The domain they are of."""
        return self._owner

    def _by_name(self, name: str) -> M:
        call = type(self)._look_up_by_name
        return self._wrap(call(self._owner._ptr, encode(name), 0), name, call)

    def get(self, name: str, *, default: D = RAISE) -> M | D:
        """Return one by its name.  (virDomainSnapshotLookupByName, virDomainCheckpointLookupByName)

        :param default: returned instead of raising when the domain has none of that name
        :raises NotFoundError: no such one
        """
        return self._get(default, "a name", (self._by_name, name))

    def _document(self, xml: XML | None, **texts: str | None) -> bytes:
        """Return *xml*, or the document that says no more than *texts*."""
        given = {tag: text for tag, text in texts.items() if text is not None}
        if xml is not None:
            if given:
                raise TypeError("give xml, or name and description")
            return encode_xml(xml)
        for text in given.values():
            encode(text)  # or say what is wrong with it
        inner = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in given.items())
        return encode(f"<{self._root}>{inner}</{self._root}>")
