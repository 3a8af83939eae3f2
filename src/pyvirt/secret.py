# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.secrets``: keys and passwords that a hypervisor keeps for volumes, storage servers and the like.

A value appears where it is asked for and nowhere else: in no repr, no message, and no variable of a traceback.
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
    """What a hypervisor knows under a UUID, and under what it is for."""

    __slots__ = ()

    _release = lib.pv_release_secret
    _get_uuid = lib.virSecretGetUUID

    @property
    def usage_type(self) -> SecretUsageType:
        """What kind of thing it is for, as far as this handle has heard.  (virSecretGetUsageType)"""
        return SecretUsageType(self._call(lib.virSecretGetUsageType))

    @property
    def usage_id(self) -> str:
        """Which one: of a volume its path; ``""`` where the type is ``NONE``.  (virSecretGetUsageID)"""
        return self._call_text(lib.virSecretGetUsageID)

    # ---- the value ----

    def value(self) -> bytes:
        """Return the value.  (virSecretGetValue)

        What libvirt hands over is overwritten; what is returned stays in memory as long as Python pleases.

        :raises SecretNotFoundError: it has none
        :raises AccessDeniedError: it is private, or the connection read-only
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

        No copy is made on this side: a ``bytearray`` can be overwritten afterwards.

        :param value: a daemon takes 1 to 65,536 bytes
        :raises InvalidArgumentError: it is empty
        :raises TypeError: text has no bytes before somebody encodes it
        """
        try:
            data = ffi.from_buffer("unsigned char[]", value)
        except TypeError:
            raise TypeError(f"the value of a secret is bytes, not {type(value).__name__}") from None
        finally:
            del value  # or a traceback that shows variables would show it
        with data:  # a bytearray cannot be resized while it is borrowed
            self._call(lib.virSecretSetValue, data, len(data), 0)

    # ---- life ----

    def xml_desc(self) -> str:
        """Return what it is for, without the value.  (virSecretGetXMLDesc)"""
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
        """Return them as columns: UUIDs, what they are for, what they are, in three round trips.

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
        """Return one secret by its UUID, or by what it is for: ``usage_type=SecretUsageType.CEPH, usage_id="client"``.

        (virSecretLookupByUUID, virSecretLookupByUsage)

        :param default: returned instead of raising when there is no such secret
        :raises SecretNotFoundError: no such secret
        :raises TypeError: neither a UUID nor both others were given, or too much
        """
        what = "a uuid, or usage_type and usage_id"
        return self._get(default, what, (self._by_uuid, uuid), (self._by_usage, usage_type, usage_id))

    def define(self, xml: XML, *, flags: SecretDefineFlags = SecretDefineFlags(0)) -> Secret:
        """Store a secret without a value, or change what is known of the one with that UUID.  (virSecretDefineXML)

        :raises XMLError: *xml* is no XML
        :raises NotSupportedError: nobody knows that type of usage
        :raises Error: another secret is for the same thing already
        """
        return self._new(lib.virSecretDefineXML, encode_xml(xml), flags)
