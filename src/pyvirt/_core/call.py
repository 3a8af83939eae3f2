# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a failed call becomes an exception.

libvirt's "last error" is not asked: any libvirt call resets it, also one that a finaliser makes between the failing
call and the question.  A handler in C keeps a copy per thread (``_native/errors.c``); :func:`check` takes it.
"""

from __future__ import annotations

import sys

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
    from collections.abc import Callable, Iterator, Mapping
    from types import CodeType, FrameType
    from typing import NoReturn

# VIR_ERR_* -> exception.  Numbers, as the enumerations live on a higher floor and are slow to import; a test compares.
BY_CODE: Mapping[int, type[Error]] = {
    2: NoMemoryError,
    3: OperationUnsupportedError,  # NO_SUPPORT
    5: ConnectionFailedError,  # NO_CONNECT
    8: InvalidArgumentError,
    # INVALID_CONN, _DOMAIN, _NETWORK, _MAC, _STORAGE_POOL, _STORAGE_VOL, _NODE_DEVICE, _INTERFACE, _NWFILTER,
    # _DOMAIN_SNAPSHOT, _STREAM, _NWFILTER_BINDING, _DOMAIN_CHECKPOINT, _NETWORK_PORT
    **dict.fromkeys((6, 7, 36, 44, 46, 47, 52, 58, 61, 71, 73, 100, 102, 105), InvalidArgumentError),
    9: OperationFailedError,
    # OS_TYPE, NO_KERNEL, NO_ROOT, NO_SOURCE, NO_TARGET, NO_NAME, NO_OS, NO_DEVICE: what a document lacks
    **dict.fromkeys(range(16, 24), XMLError),
    27: XMLError,
    28: AlreadyExistsError,  # DOM_EXIST
    29: AccessDeniedError,  # OPERATION_DENIED: a read-only connection
    35: XMLError,  # XML_DETAIL
    37: AlreadyExistsError,  # NETWORK_EXIST
    42: DomainNotFoundError,
    43: NetworkNotFoundError,
    45: AuthenticationError,
    49: StoragePoolNotFoundError,
    50: StorageVolumeNotFoundError,
    53: NodeDeviceNotFoundError,
    55: OperationInvalidError,
    57: InterfaceNotFoundError,
    62: NWFilterNotFoundError,
    66: SecretNotFoundError,
    67: NotSupportedError,  # CONFIG_UNSUPPORTED
    68: OperationTimeoutError,
    72: DomainSnapshotNotFoundError,
    74: NotSupportedError,  # ARGUMENT_UNSUPPORTED
    76: AlreadyExistsError,  # STORAGE_POOL_BUILT
    77: OperationInvalidError,  # SNAPSHOT_REVERT_RISKY: without force
    78: OperationAbortedError,
    79: AuthenticationError,  # AUTH_CANCELLED
    80: MetadataNotFoundError,
    81: MigrationUnsafeError,
    83: OperationInvalidError,  # BLOCK_COPY_ACTIVE
    84: OperationUnsupportedError,
    86: AgentUnresponsiveError,
    87: ResourceBusyError,
    88: AccessDeniedError,
    90: AlreadyExistsError,  # STORAGE_VOL_EXIST
    92: XMLError,  # XML_INVALID_SCHEMA
    94: AuthenticationError,  # AUTH_UNAVAILABLE
    95: ServerNotFoundError,
    96: ClientNotFoundError,
    97: AgentUnresponsiveError,  # AGENT_UNSYNCED
    99: DeviceNotFoundError,
    101: NWFilterBindingNotFoundError,
    103: DomainCheckpointNotFoundError,
    104: DomainBackupNotFoundError,
    106: AlreadyExistsError,  # NETWORK_PORT_EXIST
    107: NetworkPortNotFoundError,
    111: MetadataNotFoundError,  # NO_NETWORK_METADATA
    112: AgentUnresponsiveError,  # AGENT_COMMAND_TIMEOUT
    113: AgentError,
}

# A dead link, by (code, error domain): the same code from the QEMU driver is one sick guest, and VIR_ERR_RPC is a
# message that was too large, after which the connection goes on.
_LOST_LINK = frozenset({(1, 7), (38, 7), (38, 13)})  # INTERNAL_ERROR or SYSTEM_ERROR, from RPC or REMOTE
_BAD_URI = (1, 45)  # INTERNAL_ERROR from URI: it does not parse
_STUB_DOMAIN = -1  # a generated stub of ours speaks, see native_errors.h


def _our_frames(frame: FrameType | None) -> Iterator[FrameType]:
    # Not those of our callers: what they call _conn, or virSomething, is none of our business.
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("pyvirt."):
        yield frame
        frame = frame.f_back


def _link_stands(caller: FrameType) -> bool:
    """Ask the connection of the nearest method of ours whether its link still stands; no round trip.

    libvirt's RPC layer uses one code for a dead link and for an answer that is too large.
    """
    for frame in _our_frames(caller):
        owner = frame.f_locals.get("self")
        stands = getattr(getattr(owner, "_conn", owner), "_link_stands", None)
        if stands is not None:
            return bool(stands())
    return False


def _class_for(code: int, domain: int, caller: FrameType) -> type[Error]:
    if domain == _STUB_DOMAIN:
        return NotSupportedError
    if (code, domain) in _LOST_LINK and not _link_stands(caller):
        return ConnectionLostError
    if (code, domain) == _BAD_URI:
        return InvalidArgumentError
    return BY_CODE.get(code, Error)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function mentions, in its lambdas too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            yield from _names(constant)


def _calling_function(caller: FrameType) -> str | None:
    """Name the C function that failed: the one that the nearest method of ours mentions.

    libvirt does not say, and passing the name along would cost every call that succeeds.
    """
    for frame in _our_frames(caller):
        names = {
            name
            for name in _names(frame.f_code)
            # Freeing parameters is not what failed.
            if name.startswith("vir") and name[3:4].isupper() and not name.startswith("virTypedParams")
        }
        if names:
            return names.pop() if len(names) == 1 else None
    return None


def _text(pointer: object) -> str | None:
    # Not _convert.decode: that module stands on this one.
    return ffi.string(pointer).decode("utf-8", "replace") if pointer else None


def last_error(call: str | Callable[..., object] | None = None) -> Error:
    """Take this thread's error and return it as an exception.

    :param call: the C function that failed, or its name, where the calling method does not mention it
    """
    caller = sys._getframe(1)
    function = call if isinstance(call, str) else call.__name__ if call else _calling_function(caller)
    taken = lib.pv_error_take()
    if not taken:
        return Error(f"{function or 'libvirt'} failed and gave no reason", function=function)
    try:
        cls = _class_for(taken.code, taken.domain, caller)
        return cls(
            _text(taken.message) or f"{function or 'libvirt'} failed with error {taken.code}",
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


def fail() -> NoReturn:
    """Raise this thread's error."""
    raise last_error()


def forget() -> None:
    """Drop this thread's error: for code that looked at a result and needs no reason."""
    lib.pv_error_free(lib.pv_error_take())


def check(result: int, call: Callable[..., object] | None = None) -> int:
    """Return *result*, or raise this thread's error when it is negative.

    :param call: what was called, where the calling method does not mention it
    """
    if result < 0:
        raise last_error(call)
    return result


def check_pointer(pointer: object, call: Callable[..., object] | None = None) -> None:
    """Raise this thread's error when *pointer* is NULL; *call* as in :func:`check`."""
    if not pointer:
        raise last_error(call)
