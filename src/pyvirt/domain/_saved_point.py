# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a domain's snapshots and checkpoints have in common: names, and a place in a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from xml.sax.saxutils import escape

from pyvirt._core.call import check
from pyvirt._core.document import encode_xml
from pyvirt._core.lib import lib
from pyvirt._core.text import encode
from pyvirt._model.collection import RAISE
from pyvirt._model.object import Named
from pyvirt._model.where import WhereNamed
from pyvirt.domain.domain import Domain
from pyvirt.errors import NotFoundError

if TYPE_CHECKING:
    from typing import ClassVar

    from typing_extensions import Self

    from pyvirt._core.lib import CData, CFunction
    from pyvirt._model.collection import D
    from pyvirt.xmldesc import XML


class SavedPoint(Named[tuple[bytes, str]]):
    """A state of a domain that libvirt remembers by a name."""

    __slots__ = ()

    _get_domain: ClassVar[CFunction[[CData], CData]]

    @property
    def domain(self) -> Domain:
        """The domain it is of.  (virDomainSnapshotGetDomain, virDomainCheckpointGetDomain)"""
        pointer = self._call_nonzero(type(self)._get_domain)
        check(lib.virDomainRef(pointer), "virDomainRef")  # what is returned is the snapshot's own reference
        return Domain(self._conn, pointer)

    def _ask_identity(self) -> tuple[bytes, str]:
        return self.domain._identity(), self.name

    def _label(self) -> str:
        return f"{self.name!r} of {self.domain!r}"

    def _parent_by(self, function: CFunction[[CData, int], CData]) -> Self | None:
        """Return the parent that *function* finds, or ``None``."""
        try:
            return self._call_object(type(self), function, 0)
        except NotFoundError:
            self._look()  # libvirt reports the same for one that has no parent and for one that was deleted
            return None

    def _look(self) -> object:
        """Make any call that fails if this is gone."""
        raise NotImplementedError


M = TypeVar("M", bound=SavedPoint)


class SavedPoints(WhereNamed[M]):
    """All of a kind that a domain has."""

    __slots__ = ()

    _owner: Domain
    _root: ClassVar[str]  # of their documents

    @property
    def domain(self) -> Domain:
        """The domain they are of."""
        return self._owner

    def _by_name(self, name: str) -> M:
        return self._look_up(name, type(self)._look_up_by_name, encode(name), 0)

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
