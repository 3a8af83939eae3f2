# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exceptions by meaning.  How a failed call becomes one: ``_core/call.py``."""

from __future__ import annotations

from pyvirt._core import codes

TYPE_CHECKING = False  # importing typing takes longer than all of this; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Mapping


class Error(Exception):
    """The base class of all errors that libvirt, or pyvirt itself, reports.

    ``code``, ``domain`` and ``level`` compare with :class:`~pyvirt.enums.ErrorNumber`,
    :class:`~pyvirt.enums.ErrorDomain` and :class:`~pyvirt.enums.ErrorLevel`; ``function`` names the C function where
    it is known.
    """

    default_code = 0

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        domain: int = 0,
        level: int = 2,
        function: str | None = None,
        str1: str | None = None,
        str2: str | None = None,
        str3: str | None = None,
        int1: int = -1,
        int2: int = -1,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.default_code if code is None else code
        self.domain = domain
        self.level = level
        self.function = function
        self.str1 = str1
        self.str2 = str2
        self.str3 = str3
        self.int1 = int1
        self.int2 = int2

    def __str__(self) -> str:
        return self.message

    def recast(self, cls: type[Error]) -> Error:
        """Return the same error as an instance of *cls*."""
        return _rebuild(cls, self.message, self.__dict__)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(cls: type[Error], message: str, state: Mapping[str, object]) -> Error:
    error = cls(message)
    error.__dict__.update(state)
    return error


class NotFoundError(Error, LookupError):
    """The requested object does not exist."""


class DomainNotFoundError(NotFoundError):
    """No such domain."""

    default_code = codes.NO_DOMAIN


class DomainSnapshotNotFoundError(NotFoundError):
    """No such snapshot of that domain."""

    default_code = codes.NO_DOMAIN_SNAPSHOT


class DomainCheckpointNotFoundError(NotFoundError):
    """No such checkpoint of that domain."""

    default_code = codes.NO_DOMAIN_CHECKPOINT


class DomainBackupNotFoundError(NotFoundError):
    """That domain has no backup job."""

    default_code = codes.NO_DOMAIN_BACKUP


class MetadataNotFoundError(NotFoundError):
    """No such metadata element."""

    default_code = codes.NO_DOMAIN_METADATA


class NetworkNotFoundError(NotFoundError):
    """No such network."""

    default_code = codes.NO_NETWORK


class NetworkPortNotFoundError(NotFoundError):
    """No such port of that network."""

    default_code = codes.NO_NETWORK_PORT


class StoragePoolNotFoundError(NotFoundError):
    """No such storage pool."""

    default_code = codes.NO_STORAGE_POOL


class StorageVolumeNotFoundError(NotFoundError):
    """No such storage volume."""

    default_code = codes.NO_STORAGE_VOL


class NodeDeviceNotFoundError(NotFoundError):
    """No such device of the host."""

    default_code = codes.NO_NODE_DEVICE


class DeviceNotFoundError(NotFoundError):
    """No such device of that domain."""

    default_code = codes.DEVICE_MISSING


class InterfaceNotFoundError(NotFoundError):
    """No such interface of the host."""

    default_code = codes.NO_INTERFACE


class SecretNotFoundError(NotFoundError):
    """No such secret, or it has no value."""

    default_code = codes.NO_SECRET


class NWFilterNotFoundError(NotFoundError):
    """No such network filter."""

    default_code = codes.NO_NWFILTER


class NWFilterBindingNotFoundError(NotFoundError):
    """No such network filter binding."""

    default_code = codes.NO_NWFILTER_BINDING


class ServerNotFoundError(NotFoundError):
    """No such server in that daemon."""

    default_code = codes.NO_SERVER


class ClientNotFoundError(NotFoundError):
    """No such client of that server."""

    default_code = codes.NO_CLIENT


class AlreadyExistsError(Error):
    """An object of that name already exists."""


class OperationFailedError(Error):
    """The hypervisor tried the operation and failed."""


class OperationInvalidError(Error):
    """The object is not in a state that allows this."""


class MigrationUnsafeError(OperationInvalidError):
    """libvirt considers the migration a risk to data."""


class ResourceBusyError(Error):
    """Another operation or client holds a resource that this needs."""


class OperationAbortedError(Error):
    """The operation was aborted."""


class OperationTimeoutError(Error, TimeoutError):
    """The operation was not done within its timeout."""

    default_code = codes.OPERATION_TIMEOUT


class NotSupportedError(Error, NotImplementedError):
    """The installed libvirt, the driver or the configuration does not support the operation."""

    default_code = codes.NO_SUPPORT


class OperationUnsupportedError(NotSupportedError):
    """The driver, or the hypervisor behind it, does not support the operation."""


class ConnectionFailedError(Error, ConnectionError):
    """The connection could not be established."""


class ConnectionLostError(Error, ConnectionError):
    """The link to the daemon was lost; this connection cannot be used again."""


class ClosedError(Error):
    """The object, or its connection, was closed; or it belongs to the parent process of a fork."""


class AuthenticationError(Error, PermissionError):
    """The daemon rejected the credentials."""

    default_code = codes.AUTH_FAILED


class AccessDeniedError(Error, PermissionError):
    """The authenticated user is not allowed to do that."""


class AgentError(Error):
    """The guest agent refused or failed a command."""


class AgentUnresponsiveError(AgentError):
    """The guest agent is not running, or does not answer."""


class InvalidArgumentError(Error, ValueError):
    """An argument has an invalid value."""

    default_code = codes.INVALID_ARG


class XMLError(Error, ValueError):
    """A document is not well-formed XML, or not valid for libvirt."""

    default_code = codes.XML_ERROR


class NoMemoryError(Error, MemoryError):
    """Memory ran out, here or in the daemon."""

    default_code = codes.NO_MEMORY
