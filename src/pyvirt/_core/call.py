# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a failed call becomes an exception.

libvirt's "last error" is not used: any libvirt call resets it, also one that a finaliser makes between the failing call
and the code that reads the error.  A handler in C keeps a copy per thread (``_native/errors.c``), and
:func:`last_error` takes it.
"""

from __future__ import annotations

from pyvirt._core import codes
from pyvirt._core.lib import ffi, lib
from pyvirt.errors import (
    AccessDeniedError,
    AgentError,
    AgentUnresponsiveError,
    AlreadyExistsError,
    AuthenticationError,
    ClientNotFoundError,
    ConnectionFailedError,
    ConnectionLostError,
    DeviceNotFoundError,
    DomainBackupNotFoundError,
    DomainCheckpointNotFoundError,
    DomainNotFoundError,
    DomainSnapshotNotFoundError,
    Error,
    InterfaceNotFoundError,
    InvalidArgumentError,
    MetadataNotFoundError,
    MigrationUnsafeError,
    NetworkNotFoundError,
    NetworkPortNotFoundError,
    NodeDeviceNotFoundError,
    NoMemoryError,
    NotSupportedError,
    NWFilterBindingNotFoundError,
    NWFilterNotFoundError,
    OperationAbortedError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
    ResourceBusyError,
    SecretNotFoundError,
    ServerNotFoundError,
    StoragePoolNotFoundError,
    StorageVolumeNotFoundError,
    XMLError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyvirt._core.lib import CData
    from pyvirt._model.abc import HasLink

# VIR_ERR_* -> exception.
BY_CODE: Mapping[int, type[Error]] = {
    codes.NO_MEMORY: NoMemoryError,
    codes.NO_SUPPORT: OperationUnsupportedError,
    codes.NO_CONNECT: ConnectionFailedError,
    codes.INVALID_CONN: InvalidArgumentError,
    codes.INVALID_DOMAIN: InvalidArgumentError,
    codes.INVALID_ARG: InvalidArgumentError,
    codes.OPERATION_FAILED: OperationFailedError,
    codes.OS_TYPE: XMLError,
    codes.NO_KERNEL: XMLError,
    codes.NO_ROOT: XMLError,
    codes.NO_SOURCE: XMLError,
    codes.NO_TARGET: XMLError,
    codes.NO_NAME: XMLError,
    codes.NO_OS: XMLError,
    codes.NO_DEVICE: XMLError,
    codes.XML_ERROR: XMLError,
    codes.DOM_EXIST: AlreadyExistsError,
    codes.OPERATION_DENIED: AccessDeniedError,  # a read-only connection
    codes.XML_DETAIL: XMLError,
    codes.INVALID_NETWORK: InvalidArgumentError,
    codes.NETWORK_EXIST: AlreadyExistsError,
    codes.NO_DOMAIN: DomainNotFoundError,
    codes.NO_NETWORK: NetworkNotFoundError,
    codes.INVALID_MAC: InvalidArgumentError,
    codes.AUTH_FAILED: AuthenticationError,
    codes.INVALID_STORAGE_POOL: InvalidArgumentError,
    codes.INVALID_STORAGE_VOL: InvalidArgumentError,
    codes.NO_STORAGE_POOL: StoragePoolNotFoundError,
    codes.NO_STORAGE_VOL: StorageVolumeNotFoundError,
    codes.INVALID_NODE_DEVICE: InvalidArgumentError,
    codes.NO_NODE_DEVICE: NodeDeviceNotFoundError,
    codes.OPERATION_INVALID: OperationInvalidError,
    codes.NO_INTERFACE: InterfaceNotFoundError,
    codes.INVALID_INTERFACE: InvalidArgumentError,
    codes.INVALID_NWFILTER: InvalidArgumentError,
    codes.NO_NWFILTER: NWFilterNotFoundError,
    codes.NO_SECRET: SecretNotFoundError,
    codes.CONFIG_UNSUPPORTED: NotSupportedError,
    codes.OPERATION_TIMEOUT: OperationTimeoutError,
    codes.INVALID_DOMAIN_SNAPSHOT: InvalidArgumentError,
    codes.NO_DOMAIN_SNAPSHOT: DomainSnapshotNotFoundError,
    codes.INVALID_STREAM: InvalidArgumentError,
    codes.ARGUMENT_UNSUPPORTED: NotSupportedError,
    codes.STORAGE_POOL_BUILT: AlreadyExistsError,
    codes.SNAPSHOT_REVERT_RISKY: OperationInvalidError,  # without force
    codes.OPERATION_ABORTED: OperationAbortedError,
    codes.AUTH_CANCELLED: AuthenticationError,
    codes.NO_DOMAIN_METADATA: MetadataNotFoundError,
    codes.MIGRATE_UNSAFE: MigrationUnsafeError,
    codes.BLOCK_COPY_ACTIVE: OperationInvalidError,
    codes.OPERATION_UNSUPPORTED: OperationUnsupportedError,
    codes.AGENT_UNRESPONSIVE: AgentUnresponsiveError,
    codes.RESOURCE_BUSY: ResourceBusyError,
    codes.ACCESS_DENIED: AccessDeniedError,
    codes.STORAGE_VOL_EXIST: AlreadyExistsError,
    codes.XML_INVALID_SCHEMA: XMLError,
    codes.AUTH_UNAVAILABLE: AuthenticationError,
    codes.NO_SERVER: ServerNotFoundError,
    codes.NO_CLIENT: ClientNotFoundError,
    codes.AGENT_UNSYNCED: AgentUnresponsiveError,
    codes.DEVICE_MISSING: DeviceNotFoundError,
    codes.INVALID_NWFILTER_BINDING: InvalidArgumentError,
    codes.NO_NWFILTER_BINDING: NWFilterBindingNotFoundError,
    codes.INVALID_DOMAIN_CHECKPOINT: InvalidArgumentError,
    codes.NO_DOMAIN_CHECKPOINT: DomainCheckpointNotFoundError,
    codes.NO_DOMAIN_BACKUP: DomainBackupNotFoundError,
    codes.INVALID_NETWORK_PORT: InvalidArgumentError,
    codes.NETWORK_PORT_EXIST: AlreadyExistsError,
    codes.NO_NETWORK_PORT: NetworkPortNotFoundError,
    codes.NO_NETWORK_METADATA: MetadataNotFoundError,
    codes.AGENT_COMMAND_TIMEOUT: AgentUnresponsiveError,
    codes.AGENT_COMMAND_FAILED: AgentError,
}

# A dead link, by (code, error domain): the same code from the QEMU driver is one sick guest, and RPC is the code of a
# message that was too large, after which the connection still works.
_LOST_LINK = frozenset(
    {
        (codes.INTERNAL_ERROR, codes.FROM_RPC),
        (codes.SYSTEM_ERROR, codes.FROM_RPC),
        (codes.SYSTEM_ERROR, codes.FROM_REMOTE),
    }
)
_BAD_URI = (codes.INTERNAL_ERROR, codes.FROM_URI)
_STUB_DOMAIN = -1  # the error of a generated stub, see native_errors.h


def _class_for(code: int, domain: int, conn: HasLink | None) -> type[Error]:
    if domain == _STUB_DOMAIN:
        return NotSupportedError
    # libvirt's RPC layer has one code for a dead link and for an answer that is too large: the connection knows.
    if (code, domain) in _LOST_LINK and not (conn is not None and conn._link_stands()):
        return ConnectionLostError
    if (code, domain) == _BAD_URI:
        return InvalidArgumentError
    return BY_CODE.get(code, Error)


def _text(pointer: CData) -> str | None:
    # Not decode() of text.py, which may import this module.
    return ffi.string(pointer).decode("utf-8", "replace") if pointer else None


def last_error(function: str, conn: HasLink | None = None) -> Error:
    """Take this thread's error and return it as an exception.

    :param function: the C function that failed
    :param conn: the connection it was called on, which knows whether the link still stands; no round trip
    """
    taken = lib.pv_error_take()
    if not taken:
        return Error(f"{function} failed without an error message", function=function)
    try:
        cls = _class_for(taken.code, taken.domain, conn)
        return cls(
            _text(taken.message) or f"{function} failed with error {taken.code}",
            code=taken.code,
            domain=max(taken.domain, 0),
            level=taken.level,
            function=function,
            str1=_text(taken.str1),
            str2=_text(taken.str2),
            str3=_text(taken.str3),
            int1=taken.int1,
            int2=taken.int2,
        )
    finally:
        lib.pv_error_free(taken)


def forget() -> None:
    """Drop this thread's error, for code that needs only the result of a call."""
    lib.pv_error_free(lib.pv_error_take())


def check(result: int, function: str, conn: HasLink | None = None) -> int:
    """Return *result*, or raise this thread's error if it is negative; for calls without an object.

    Arguments as in :func:`last_error`.
    """
    if result < 0:
        raise last_error(function, conn)
    return result
