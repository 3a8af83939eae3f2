# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base classes of snapshots and checkpoints: named states of a domain that form a tree."""

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
    """A state of a domain that libvirt stores under a name."""

    __slots__ = ()

    _get_domain: ClassVar[CFunction[[CData], CData]]

    @property
    def domain(self) -> Domain:
        """The domain that it belongs to.  (virDomainSnapshotGetDomain, virDomainCheckpointGetDomain)"""
        pointer = self._call_nonzero(type(self)._get_domain)
        check(lib.virDomainRef(pointer), "virDomainRef")  # the returned reference belongs to the snapshot
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
            self._check_exists()  # libvirt reports the same for one that has no parent and for one that was deleted
            return None

    def _check_exists(self) -> object:
        """Make a call that fails if this was deleted."""
        raise NotImplementedError


M = TypeVar("M", bound=SavedPoint)


class SavedPoints(WhereNamed[M]):
    """All snapshots, or all checkpoints, of a domain."""

    __slots__ = ()

    _owner: Domain
    _root: ClassVar[str]  # the root element of their documents

    @property
    def domain(self) -> Domain:
        """The domain that they belong to."""
        return self._owner

    def _by_name(self, name: str) -> M:
        return self._look_up(name, type(self)._look_up_by_name, encode(name), 0)

    def get(self, name: str, *, default: D = RAISE) -> M | D:
        """Return the one with that name.  (virDomainSnapshotLookupByName, virDomainCheckpointLookupByName)

        :param default: returned instead of raising when the domain has none of that name
        :raises NotFoundError: the domain has none of that name
        """
        return self._get(default, "a name", (self._by_name, name))

    def _document(self, xml: XML | None, **texts: str | None) -> bytes:
        """Return *xml*, or a document with nothing but *texts*."""
        given = {tag: text for tag, text in texts.items() if text is not None}
        if xml is not None:
            if given:
                raise TypeError("expected xml, or name and description, but not both")
            return encode_xml(xml)
        for text in given.values():
            encode(text)  # raises if C cannot hold it
        inner = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in given.items())
        return encode(f"<{self._root}>{inner}</{self._root}>")
