# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base classes of objects: identity, name, repr, autostart.

Identity and name need no round trip: libvirt's handle has them, and they are cached when they are first read.  A class
names the C functions that return them.
"""

from __future__ import annotations

from pyvirt._core.handle import Handle
from pyvirt._core.typed import Typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import ClassVar
    from uuid import UUID

    from typing_extensions import TypeVar

    from pyvirt._core.lib import CData, CFunction
    from pyvirt.connection import Connection

    K = TypeVar("K", bound=Hashable, default=Hashable, covariant=True)
else:
    K = None


class Object(Handle, Typed[K]):
    """An object of a connection."""

    __slots__ = ("_key",)

    _conn: Connection
    _key: K

    def __repr__(self) -> str:
        kind = f"pyvirt.{type(self).__name__}"
        try:
            return f"<{kind} {self._label()}>"
        except Exception:  # closed before the name was read: a repr must not raise
            return f"<{kind} closed>"

    @property
    def connection(self) -> Connection:
        """The connection it belongs to.

        (virInterfaceGetConnect, virSecretGetConnect, virDomainSnapshotGetConnect, virDomainCheckpointGetConnect)
        """
        return self._conn

    def _identity(self) -> K:
        try:
            return self._key
        except AttributeError:
            self._key = self._ask_identity()
            return self._key

    def _ask_identity(self) -> K:
        """Read the value that identifies it among objects of its kind."""
        raise NotImplementedError

    def _label(self) -> str:
        """Return the text that identifies it in a repr."""
        raise NotImplementedError


class Named(Object[K]):
    """An object with a name."""

    __slots__ = ("_name",)

    _name: str
    _get_name: ClassVar[CFunction[[CData], CData]]

    @property
    def name(self) -> str:
        """The name when this handle was looked up, or the one that its own ``rename`` set.

        (virDomainGetName, virDomainSnapshotGetName, virDomainCheckpointGetName, virNetworkGetName,
        virStoragePoolGetName, virStorageVolGetName, virNodeDeviceGetName, virInterfaceGetName, virNWFilterGetName)
        """
        try:
            return self._name
        except AttributeError:
            self._name = self._call_text(type(self)._get_name)
            return self._name

    def _label(self) -> str:
        return repr(self.name)


class KnownByName(Named[str]):
    """An object that its name identifies."""

    __slots__ = ()

    def _ask_identity(self) -> str:
        return self.name


class KnownByUUID(Object[bytes]):
    """An object that its UUID identifies."""

    __slots__ = ()

    _get_uuid: ClassVar[CFunction[[CData, CData], int]]

    @property
    def uuid(self) -> UUID:
        """The UUID.

        (virDomainGetUUID, virNetworkGetUUID, virStoragePoolGetUUID, virSecretGetUUID, virNWFilterGetUUID)
        """
        from uuid import UUID

        return UUID(bytes=self._identity())

    def _ask_identity(self) -> bytes:
        return self._call_uuid(type(self)._get_uuid)

    def _label(self) -> str:
        return str(self.uuid)


class NamedByUUID(KnownByUUID, Named[bytes]):
    """An object with a name that its UUID identifies."""

    __slots__ = ()

    def _label(self) -> str:
        return f"{self.name!r} {self.uuid}"

    def _remember(self) -> None:
        self._identity()
        self.name  # noqa: B018


class Autostarting(Object[K]):
    """An object that can start automatically."""

    __slots__ = ()

    _get_autostart: ClassVar[CFunction[[CData, CData], int]]
    _set_autostart: ClassVar[CFunction[[CData, int], int]]

    def autostart(self) -> bool:
        """Return whether it starts with the host, or a mediated device with its parent.

        (virDomainGetAutostart, virNetworkGetAutostart, virStoragePoolGetAutostart, virNodeDeviceGetAutostart)
        """
        return self._call_bool(type(self)._get_autostart)

    def set_autostart(self, autostart: bool) -> None:
        """Set whether it starts with the host, or a mediated device with its parent.

        (virDomainSetAutostart, virNetworkSetAutostart, virStoragePoolSetAutostart, virNodeDeviceSetAutostart)

        :raises OperationInvalidError: it is transient; for a storage pool that is an :class:`InvalidArgumentError`
        """
        self._call(type(self)._set_autostart, bool(autostart))
