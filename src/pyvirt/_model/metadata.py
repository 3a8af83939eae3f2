# SPDX-License-Identifier: LGPL-2.1-or-later
"""Metadata: notes of programs in the configuration of a domain or a network."""

from __future__ import annotations

from pyvirt._core.caller import Caller
from pyvirt._core.document import xml_text
from pyvirt._core.text import encode_or_null
from pyvirt._core.typed import Typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar, TypeVar

    from typing_extensions import Never

    from pyvirt._core.lib import CData
    from pyvirt.xmldesc import XML

    F = TypeVar("F", bound=int)
else:
    F = None

_CURRENT: Never = 0  # type: ignore[assignment]  # in the enumeration of each kind of flags
_DESCRIPTION, _TITLE, _ELEMENT = range(3)  # the values of DomainMetadataType and NetworkMetadataType


class MetadataMixin(Caller, Typed[F]):
    """Title, description and XML elements, one for each namespace."""

    __slots__ = ()

    _get_metadata: ClassVar[Callable[..., CData]]
    _set_metadata: ClassVar[Callable[..., int]]

    def get(self, uri: str, *, flags: F = _CURRENT) -> str:
        """Return the element of a namespace as text.  (virDomainGetMetadata, virNetworkGetMetadata)

        :param uri: the namespace, ``"http://example.com/backup"``
        :raises MetadataNotFoundError: there is no such metadata
        """
        return self._get(_ELEMENT, uri, flags)

    def set(self, uri: str, xml: XML, *, key: str, flags: F = _CURRENT) -> None:
        """Set the element of a namespace.  (virDomainSetMetadata, virNetworkSetMetadata)

        :param uri: the namespace
        :param xml: the element, without the namespace
        :param key: the prefix of the namespace: ``<key:…>``
        :raises XMLError: *xml* is not well-formed
        """
        self._set(_ELEMENT, xml_text(xml), key, uri, flags)

    def delete(self, uri: str, *, flags: F = _CURRENT) -> None:
        """Remove the element of a namespace, if there is one.  (virDomainSetMetadata, virNetworkSetMetadata)"""
        # libvirt requires a key and ignores it.
        self._set(_ELEMENT, None, "x", uri, flags)

    def title(self, *, flags: F = _CURRENT) -> str:
        """Return the title.  (virDomainGetMetadata, virNetworkGetMetadata)

        :raises MetadataNotFoundError: there is no such metadata
        """
        return self._get(_TITLE, None, flags)

    def set_title(self, title: str | None, *, flags: F = _CURRENT) -> None:
        """Set the title; ``None`` removes it.  (virDomainSetMetadata, virNetworkSetMetadata)

        :param title: one line
        """
        self._set(_TITLE, title, None, None, flags)

    def description(self, *, flags: F = _CURRENT) -> str:
        """Return the description.  (virDomainGetMetadata, virNetworkGetMetadata)

        :raises MetadataNotFoundError: there is no such metadata
        """
        return self._get(_DESCRIPTION, None, flags)

    def set_description(self, description: str | None, *, flags: F = _CURRENT) -> None:
        """Set the description, which may have several lines; ``None`` removes it.

        (virDomainSetMetadata, virNetworkSetMetadata)
        """
        self._set(_DESCRIPTION, description, None, None, flags)

    def _get(self, kind: int, uri: str | None, flags: int) -> str:
        return self._call_string(type(self)._get_metadata, kind, encode_or_null(uri), flags)

    def _set(self, kind: int, value: str | None, key: str | None, uri: str | None, flags: int) -> None:
        texts = encode_or_null(value), encode_or_null(key), encode_or_null(uri)
        self._call(type(self)._set_metadata, kind, *texts, flags)
