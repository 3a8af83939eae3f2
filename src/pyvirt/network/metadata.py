# SPDX-License-Identifier: LGPL-2.1-or-later
"""``net.metadata``: what programs note about a network, in its own configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._convert import encode_or_null, take_string
from pyvirt._lib import lib
from pyvirt.enums.network import NetworkMetadataType, NetworkUpdateFlags
from pyvirt.errors import check

if TYPE_CHECKING:
    from pyvirt.network.network import Network

_CURRENT = NetworkUpdateFlags.CURRENT
_DESCRIPTION, _TITLE, _ELEMENT = NetworkMetadataType.DESCRIPTION, NetworkMetadataType.TITLE, NetworkMetadataType.ELEMENT


class NetworkMetadata:
    """Title, description and XML elements, one for each namespace; as ``dom.metadata``.

    ``flags`` choose the configuration: the running one, the stored one or both.  Before libvirt 9.7 all of it raises
    :class:`~pyvirt.errors.NotSupportedError`.
    """

    __slots__ = ("_network",)

    def __init__(self, network: Network) -> None:
        self._network = network

    def __repr__(self) -> str:
        return f"<pyvirt.NetworkMetadata of {self._network!r}>"

    def get(self, uri: str, *, flags: NetworkUpdateFlags = _CURRENT) -> str:
        """Return the element of a namespace as text.  (virNetworkGetMetadata)

        :param uri: the namespace, ``"http://example.com/backup"``
        :raises MetadataNotFoundError: there is none
        """
        return self._get(_ELEMENT, uri, flags)

    def set(self, uri: str, xml: str, *, key: str, flags: NetworkUpdateFlags = _CURRENT) -> None:
        """Store an element, in place of the one that namespace has.  (virNetworkSetMetadata)

        :param uri: the namespace
        :param xml: the element, without the namespace
        :param key: the prefix that the namespace gets: ``<key:…>``
        :raises XMLError: *xml* is no XML
        """
        self._set(_ELEMENT, xml, key, uri, flags)

    def delete(self, uri: str, *, flags: NetworkUpdateFlags = _CURRENT) -> None:
        """Remove the element of a namespace, if there is one.  (virNetworkSetMetadata)"""
        # libvirt wants a key and does not look at it.
        self._set(_ELEMENT, None, "x", uri, flags)

    def title(self, *, flags: NetworkUpdateFlags = _CURRENT) -> str:
        """Return the title.  (virNetworkGetMetadata)

        :raises MetadataNotFoundError: there is none
        """
        return self._get(_TITLE, None, flags)

    def set_title(self, title: str | None, *, flags: NetworkUpdateFlags = _CURRENT) -> None:
        """Store a title, ``None`` for no more.  (virNetworkSetMetadata)

        :param title: one line
        """
        self._set(_TITLE, title, None, None, flags)

    def description(self, *, flags: NetworkUpdateFlags = _CURRENT) -> str:
        """Return the description.  (virNetworkGetMetadata)

        :raises MetadataNotFoundError: there is none
        """
        return self._get(_DESCRIPTION, None, flags)

    def set_description(self, description: str | None, *, flags: NetworkUpdateFlags = _CURRENT) -> None:
        """Store a description of as many lines as you like, ``None`` for no more.  (virNetworkSetMetadata)"""
        self._set(_DESCRIPTION, description, None, None, flags)

    def _get(self, kind: NetworkMetadataType, uri: str | None, flags: int) -> str:
        return take_string(lib.virNetworkGetMetadata(self._network._ptr, kind, encode_or_null(uri), flags))

    def _set(self, kind: NetworkMetadataType, value: str | None, key: str | None, uri: str | None, flags: int) -> None:
        texts = map(encode_or_null, (value, key, uri))
        check(lib.virNetworkSetMetadata(self._network._ptr, kind, *texts, flags))
