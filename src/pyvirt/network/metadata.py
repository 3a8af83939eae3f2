# SPDX-License-Identifier: LGPL-2.1-or-later
"""``net.metadata``: notes of programs in a network's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt._model.metadata import MetadataMixin
from pyvirt.enums.network import NetworkUpdateFlags

if TYPE_CHECKING:
    from pyvirt._core.lib import CData
    from pyvirt.connection import Connection
    from pyvirt.network.network import Network


class NetworkMetadata(MetadataMixin[NetworkUpdateFlags]):
    """Title, description and XML elements, one for each namespace; as ``dom.metadata``.

    ``flags`` choose the configuration: the running one, the stored one or both.  Before libvirt 9.7 all of it raises
    :class:`~pyvirt.errors.NotSupportedError`.
    """

    __slots__ = ("_network",)

    _get_metadata = lib.virNetworkGetMetadata
    _set_metadata = lib.virNetworkSetMetadata

    def __init__(self, network: Network) -> None:
        self._network = network

    def __repr__(self) -> str:
        return f"<pyvirt.NetworkMetadata of {self._network!r}>"

    @property
    def _conn(self) -> Connection:
        return self._network._conn

    @property
    def _ptr(self) -> CData:
        return self._network._ptr
