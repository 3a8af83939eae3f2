# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.secrets``: keys and passwords that a hypervisor stores for volumes, storage servers and similar uses.

A value is returned only by ``value()``: it is not part of a repr, a message, or a variable in a traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from pyvirt._core import codes
from pyvirt._core.document import encode_xml
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import encode
from pyvirt._model.collection import RAISE, UUIDCollection
from pyvirt._model.object import KnownByUUID
from pyvirt._model.where import WhereUsed
from pyvirt.enums.secret import ConnectListAllSecretsFlags, SecretDefineFlags, SecretUsageType
from pyvirt.errors import AccessDeniedError, Error, SecretNotFoundError

if TYPE_CHECKING:
    from typing import TypeAlias

    from pyvirt._model.collection import D
    from pyvirt.inventory import SecretInventory
    from pyvirt.xmldesc import XML

    SecretList: TypeAlias = list["Secret"]  # in the collection below, list is a method
    UUIDList: TypeAlias = list[UUID]


class Secret(KnownByUUID):
    """A secret, identified by a UUID, and by its use."""

    __slots__ = ()

    _release = lib.pv_release_secret
    _get_uuid = lib.virSecretGetUUID

    @property
    def usage_type(self) -> SecretUsageType:
        """The kind of object that uses it, when this handle was looked up.  (virSecretGetUsageType)"""
        return SecretUsageType(self._call(lib.virSecretGetUsageType))

    @property
    def usage_id(self) -> str:
        """The object that uses it, for a volume its path; ``""`` if the type is ``NONE``.  (virSecretGetUsageID)"""
        return self._call_text(lib.virSecretGetUsageID)

    # ---- the value ----

    def value(self) -> bytes:
        """Return the value.  (virSecretGetValue)

        libvirt's copy is overwritten; the returned object stays in memory until Python releases it.

        :raises SecretNotFoundError: it has no value
        :raises AccessDeniedError: it is private, or the connection is read-only
        """
        size = ffi.new("size_t *")
        try:
            pointer = self._call_nonzero(lib.virSecretGetValue, size, 0)
        except Error as error:
            if error.code != codes.INVALID_SECRET:
                raise
            raise error.recast(AccessDeniedError) from None  # the driver's code for a private secret
        room = ffi.buffer(pointer, size[0])
        try:
            return bytes(room)
        finally:
            room[:] = bytes(len(room))
            lib.free(pointer)

    def set_value(self, value: bytes | bytearray | memoryview) -> None:
        """Set the value.  (virSecretSetValue)

        pyvirt makes no copy: a ``bytearray`` can be overwritten afterwards.

        :param value: 1 to 65,536 bytes
        :raises InvalidArgumentError: *value* is empty
        :raises TypeError: *value* is text, which must be encoded first
        """
        try:
            data = ffi.from_buffer("unsigned char[]", value)
        except TypeError:
            raise TypeError(f"expected the value of a secret as bytes, got {type(value).__name__}") from None
        finally:
            del value  # a traceback that shows variables must not show it
        with data:  # a bytearray cannot be resized while a view exists
            self._call(lib.virSecretSetValue, data, len(data), 0)

    # ---- life ----

    def xml_desc(self) -> str:
        """Return its description, without the value.  (virSecretGetXMLDesc)"""
        return self._call_string(lib.virSecretGetXMLDesc, 0)

    def undefine(self) -> None:
        """Remove it and its value.  (virSecretUndefine)"""
        self._call(lib.virSecretUndefine)


class Secrets(WhereUsed[Secret], UUIDCollection[Secret]):
    """The secrets of a connection, by their UUIDs.

    ``for secret in conn.secrets``, ``len(conn.secrets)``, ``uuid in conn.secrets``, ``conn.secrets[uuid]``.
    """

    __slots__ = ()
    _kind = Secret
    _not_found = SecretNotFoundError
    _pointer = "virSecretPtr"
    _flags = ConnectListAllSecretsFlags
    _list_all = lib.virConnectListAllSecrets
    _look_up_by_uuid = lib.virSecretLookupByUUID

    def list(self, flags: ConnectListAllSecretsFlags = ConnectListAllSecretsFlags(0)) -> SecretList:
        """Return the secrets that match *flags*, all without any.  (virConnectListAllSecrets)

        Flags of one group (ephemeral or not; private or not) widen, groups narrow.
        """
        return self._list(flags)

    def inventory(self) -> SecretInventory:
        """Return them as columns: UUIDs, uses and properties, in three round trips.

        (virConnectListAllSecrets)
        """
        from pyvirt.inventory import secrets_of

        return secrets_of(self._conn)

    def _by_usage(self, usage_type: SecretUsageType, usage_id: str) -> Secret:
        return self._look_up(usage_id, lib.virSecretLookupByUsage, usage_type, encode(usage_id))

    def uuids(self) -> UUIDList:
        """Return the UUIDs of all of them.  (virConnectNumOfSecrets, virConnectListSecrets)"""
        names = self._conn._call_names(lib.virConnectNumOfSecrets, lib.virConnectListSecrets)
        return [UUID(name) for name in names]

    def get(
        self,
        uuid: UUID | str | bytes | None = None,
        *,
        usage_type: SecretUsageType | None = None,
        usage_id: str | None = None,
        default: D = RAISE,
    ) -> Secret | D:
        """Return one secret by its UUID, or by its use: ``usage_type=SecretUsageType.CEPH, usage_id="client"``.

        (virSecretLookupByUUID, virSecretLookupByUsage)

        :param default: returned instead of raising when there is no such secret
        :raises SecretNotFoundError: no such secret
        :raises TypeError: not exactly a UUID, or both others, were given
        """
        what = "a uuid, or usage_type and usage_id"
        return self._get(default, what, (self._by_uuid, uuid), (self._by_usage, usage_type, usage_id))

    def define(self, xml: XML, *, flags: SecretDefineFlags = SecretDefineFlags(0)) -> Secret:
        """Store a secret without a value, or change the description of the one with that UUID.  (virSecretDefineXML)

        :raises XMLError: *xml* is not well-formed
        :raises NotSupportedError: the type of use is unknown
        :raises Error: another secret with the same use exists
        """
        return self._new(lib.virSecretDefineXML, encode_xml(xml), flags)
