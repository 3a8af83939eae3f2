# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.metadata``: what programs note about a domain, in its own configuration."""

from __future__ import annotations

from pyvirt._convert import encode_or_null, take_string
from pyvirt._lib import lib
from pyvirt.domain._part import Part
from pyvirt.enums.domain import DomainModificationImpact
from pyvirt.enums.domain_guest import DomainMetadataType
from pyvirt.errors import check

_CURRENT = DomainModificationImpact.CURRENT
_DESCRIPTION, _TITLE, _ELEMENT = DomainMetadataType.DESCRIPTION, DomainMetadataType.TITLE, DomainMetadataType.ELEMENT


class Metadata(Part):
    """Title, description and XML elements, one for each namespace.

    ``flags`` choose the configuration, as in ``dom.devices``.
    """

    __slots__ = ()

    def get(self, uri: str, *, flags: DomainModificationImpact = _CURRENT) -> str:
        """Return the element of a namespace as text.  (virDomainGetMetadata)

        :param uri: the namespace, ``"http://example.com/backup"``
        :raises MetadataNotFoundError: there is none
        """
        return self._get(_ELEMENT, uri, flags)

    def set(self, uri: str, xml: str, *, key: str, flags: DomainModificationImpact = _CURRENT) -> None:
        """Store an element, in place of the one that namespace has.  (virDomainSetMetadata)

        :param uri: the namespace
        :param xml: the element, without the namespace
        :param key: the prefix that the namespace gets: ``<key:…>``
        :raises XMLError: *xml* is no XML
        """
        self._set(_ELEMENT, xml, key, uri, flags)

    def delete(self, uri: str, *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Remove the element of a namespace, if there is one.  (virDomainSetMetadata)"""
        # libvirt wants a key and does not look at it.
        self._set(_ELEMENT, None, "x", uri, flags)

    def title(self, *, flags: DomainModificationImpact = _CURRENT) -> str:
        """Return the title.  (virDomainGetMetadata)

        :raises MetadataNotFoundError: there is none
        """
        return self._get(_TITLE, None, flags)

    def set_title(self, title: str | None, *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Store a title, ``None`` for no more.  (virDomainSetMetadata)

        :param title: one line
        """
        self._set(_TITLE, title, None, None, flags)

    def description(self, *, flags: DomainModificationImpact = _CURRENT) -> str:
        """Return the description.  (virDomainGetMetadata)

        :raises MetadataNotFoundError: there is none
        """
        return self._get(_DESCRIPTION, None, flags)

    def set_description(self, description: str | None, *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Store a description of as many lines as you like, ``None`` for no more.  (virDomainSetMetadata)"""
        self._set(_DESCRIPTION, description, None, None, flags)

    def _get(self, kind: DomainMetadataType, uri: str | None, flags: int) -> str:
        return take_string(lib.virDomainGetMetadata(self._ptr, kind, encode_or_null(uri), flags))

    def _set(self, kind: DomainMetadataType, value: str | None, key: str | None, uri: str | None, flags: int) -> None:
        texts = map(encode_or_null, (value, key, uri))
        check(lib.virDomainSetMetadata(self._ptr, kind, *texts, flags))
