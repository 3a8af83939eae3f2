# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.supports("virDomainGetState")``: ask a driver which functions it implements, without a side effect.

libvirt has no function for that.  But its public functions report ``VIR_ERR_NO_SUPPORT`` if the driver lacks the
function, the remote driver passes on the daemon's answer, and a driver that has the function first rejects flags that
it does not know.  So a function with flags is called with an unknown flag.  A function without flags is called normally
if it only reads, or else with a text that is not a path, a document or a name.

The order of libvirt's own checks determines the other arguments: libvirt rejects a read-only connection and missing
arguments before it asks the driver, so every pointer points to something.  The C signature tells how to call a
function; the tables here hold what it does not tell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyvirt._core import codes
from pyvirt._core.call import forget, last_error
from pyvirt._core.handle import Handle
from pyvirt._core.lib import ffi, lib, load_extension
from pyvirt.enums.domain import ConnectListAllDomainsFlags
from pyvirt.enums.network import ConnectListAllNetworksFlags
from pyvirt.enums.storage import ConnectListAllStoragePoolsFlags
from pyvirt.enums.stream import StreamFlags
from pyvirt.errors import ConnectionLostError, Error, InvalidArgumentError, NotFoundError, OperationUnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from pyvirt._core.lib import CData
    from pyvirt.connection import Connection

#: A flag that no function of libvirt uses: libvirt assigns bits from the lowest, and a few general ones from the top.
UNKNOWN_FLAG = 1 << 27
# Not a path, because /dev/null is not a directory; not a document; and not a name in use.
_TEXT = b"/dev/null/pyvirt"
_ROOM = 64  # bytes for a text, a UUID, a CPU map

# The library itself answers, with any driver: handles, errors, values read when the connection was opened.
_LIBRARY = re.compile(
    r"vir\w+(Ref|Free)|virConnectClose|virConn\w*(LastError|SetErrorFunc)|vir\w+GetConnect|virConnectGet(Type|URI)"
    r"|virDomainGetID|vir([A-Z]\w+?)Get(Name|UUID|UUIDString)|virStorageVolGetKey|virInterfaceGetMACString"
    r"|virSecretGetUsage(Type|ID)|virNWFilterBindingGet(PortDev|FilterName)|virDomain(Snapshot|Checkpoint)GetDomain"
    r"|virNetworkPortGetNetwork|virDomainLxcEnter\w+|virStreamNew"
)

# They cannot be called without a side effect, or not at all.
_UNTOLD = re.compile(
    # These change a callback or the settings of the connection.
    r"vir\w+Event(Dereg|Reg)ister(Any)?|vir\w+(Register|Unregister)CloseCallback|virConnectSet(KeepAlive|Identity)"
    # The library does most of the work, with two drivers.
    r"|virDomainMigrate(2|3|ToURI[23]?)?"
    # These need a socket or an open file, and pass it on first.
    r"|virDomainOpenGraphics|virDomainFDAssociate"
    # A pool with nothing to build sends an event that it was built, with any flags.
    r"|virStoragePoolBuild"
    # The last argument looks like flags.
    r"|virDomainSetVcpus"
)

# Functions without flags: those that only read, and those that reject their arguments.
_READS = re.compile(
    r"vir\w+(Get|NumOf|List|LookupBy)\w*|vir\w+Is(Active|Persistent|Updated|Encrypted|Secure|Alive)"
    r"|virDomain(Block|Interface)Stats"
)
_REFUSES = re.compile(r"vir\w+(Define|Create)XML|virDomain(Attach|Detach)Device|virDomainRestore")

# The library implements them by other functions.
_ALIASES = {"virDomainCreateLinux": "virDomainCreateXML"}
_BY_TEXT = re.compile(r"(vir\w+LookupByUUID)String")

# Function -> {position of an argument: its value}, where 1 is not suitable.
_ELEMENT = {1: 2}  # the only kind of metadata with a key and a namespace
_NO_FILES = {2: 0}
_VALUES = {
    "virDomainGetMetadata": _ELEMENT,
    "virDomainSetMetadata": _ELEMENT,
    "virNetworkGetMetadata": _ELEMENT,
    "virNetworkSetMetadata": _ELEMENT,
    "virDomainCreateXMLWithFiles": _NO_FILES,
    "virDomainCreateWithFiles": {1: 0},
    "virDomainQemuMonitorCommandWithFiles": _NO_FILES,
}

# The library rejects these if open files cannot be passed to the driver.
_PASSES_FILES = re.compile(r"virDomain\w*(WithFiles|OpenGraphicsFD)")
# Returns text that belongs to the object.
_BORROWED = frozenset({"virNodeDeviceGetParent"})


# C type -> the functions that return objects of it.
_SOURCES: dict[str, Callable[[Connection], Iterator[Handle]]] = {
    "virDomainPtr": lambda conn: iter(conn.domains),
    "virDomainSnapshotPtr": lambda conn: (
        snapshot
        for domain in conn.domains.list(ConnectListAllDomainsFlags.HAS_SNAPSHOT)
        for snapshot in domain.snapshots
    ),
    "virDomainCheckpointPtr": lambda conn: (
        checkpoint
        for domain in conn.domains.list(ConnectListAllDomainsFlags.HAS_CHECKPOINT)
        for checkpoint in domain.checkpoints
    ),
    "virInterfacePtr": lambda conn: iter(conn.interfaces),
    "virNetworkPtr": lambda conn: iter(conn.networks),
    "virNetworkPortPtr": lambda conn: (
        port for network in conn.networks.list(ConnectListAllNetworksFlags.ACTIVE) for port in network.ports
    ),
    "virNodeDevicePtr": lambda conn: iter(conn.node_devices),
    "virNWFilterPtr": lambda conn: iter(conn.nwfilters),
    "virNWFilterBindingPtr": lambda conn: iter(conn.nwfilter_bindings),
    "virSecretPtr": lambda conn: iter(conn.secrets),
    "virStoragePoolPtr": lambda conn: iter(conn.storage_pools),
    "virStorageVolPtr": lambda conn: (
        volume for pool in conn.storage_pools.list(ConnectListAllStoragePoolsFlags.ACTIVE) for volume in pool.volumes
    ),
}
_KINDS = {ffi.typeof(name): source for name, source in _SOURCES.items()}
_CONNECTION, _STREAM, _PARAM = map(ffi.typeof, ("virConnectPtr", "virStreamPtr", "virTypedParameterPtr"))


class _NothingToAsk(Exception):
    """The function needs an object, and none exists."""


def supports(conn: Connection, name: str, obj: Handle | None) -> bool | None:
    """See :meth:`Connection.supports`; answers that are not about one object are cached."""
    if obj is not None:
        if obj._conn is not conn:
            raise InvalidArgumentError(f"{obj!r} does not belong to this connection")
        return _answer(conn, name, obj)
    known = conn._supported
    if name not in known:
        answer = _answer(conn, name, None)
        if answer is None:
            return None  # not cached: such an object may exist later
        known[name] = answer
    return known[name]


def _answer(conn: Connection, name: str, obj: Handle | None) -> bool | None:
    home, types = _find(name)
    conn._require_open()
    if name.startswith("virAdm"):
        return False  # of a connection to a daemon's own affairs
    name = _ALIASES.get(name) or _BY_TEXT.sub(r"\1", name)
    signature = types.typeof(getattr(home, name))
    first = signature.args[0] if signature.args else None
    if _LIBRARY.fullmatch(name) or first not in {*_KINDS, _CONNECTION, _STREAM, ffi.typeof("virDomainPtr *")}:
        return True
    flags = signature.args[-1] is types.typeof("unsigned int")
    if first is _STREAM or _UNTOLD.fullmatch(name) or not (flags or _READS.fullmatch(name) or _REFUSES.fullmatch(name)):
        return None
    try:
        return _call(conn, getattr(home, name), name, signature, obj)
    except _NothingToAsk:
        return None
    except ConnectionLostError:
        raise
    except OperationUnsupportedError:
        return False  # it cannot even list such objects


def _find(name: str) -> tuple[CData, CData]:
    """Return the ``lib`` and ``ffi`` that have a function."""
    homes: list[tuple[CData, CData]] = [(lib, ffi)]
    prefixes: dict[str, Literal["admin", "lxc", "qemu"]] = {
        "virAdm": "admin",
        "virDomainLxc": "lxc",
        "virDomainQemu": "qemu",
        "virConnectDomainQemu": "qemu",
    }
    for prefix, extension in prefixes.items():
        if name.startswith(prefix):
            homes.append(load_extension(extension))
    for home, types in homes:
        if name in dir(home) and name.startswith("vir") and types.typeof(getattr(home, name)).kind == "function":
            return home, types
    from difflib import get_close_matches

    names = [known for home, _ in homes for known in dir(home) if known.startswith("vir")]
    close = get_close_matches(name, names, 1)
    raise InvalidArgumentError(
        f"libvirt has no function {name[:80]!r}" + (f": did you mean {close[0]}?" if close else "")
    )


def _call(conn: Connection, function: CData, name: str, signature: CData, obj: Handle | None) -> bool | None:
    if obj is not None and not {ffi.typeof(obj._ptr), ffi.typeof(ffi.typeof(obj._ptr).cname + "*")} & {*signature.args}:
        raise InvalidArgumentError(f"{name} does not take a {type(obj).__name__}")
    arguments = Arguments(conn, obj)
    fixed = _VALUES.get(name, {})
    pointer = signature.result.kind == "pointer"
    try:
        values = [arguments.value(kind, fixed.get(at, 1)) for at, kind in enumerate(signature.args)]
        if signature.args[-1] is ffi.typeof("unsigned int"):
            values[-1] = UNKNOWN_FLAG
        forget()
        result = function(*values)
        values.clear()  # an exception's traceback would keep the connection open
        nothing = result == ffi.NULL if pointer else result == 0 and signature.result.cname.startswith("unsigned")
        if nothing or (not pointer and result < 0):
            return _verdict(name, last_error(name), nothing)
        if name not in _BORROWED:
            arguments.release(signature.result, result)
        return True
    finally:
        arguments.close()


def _verdict(name: str, error: Error, nothing: bool) -> bool | None:
    if isinstance(error, ConnectionLostError):
        raise error
    if not error.code:  # no error: the result is empty, or the daemon did not pass the error on
        return True if nothing else None
    if error.code == codes.OPERATION_DENIED:
        return None  # for a read-only connection the library reports this before it asks the driver
    if error.code == codes.ARGUMENT_UNSUPPORTED and _PASSES_FILES.fullmatch(name):
        return False
    return error.code != codes.NO_SUPPORT


class Arguments:
    """The arguments of one call, made by their C types."""

    def __init__(self, conn: Connection, obj: Handle | None) -> None:
        self._conn = conn
        self._obj = obj
        self._alive: list[object] = []
        self._streams: list[CData] = []
        self._lists: list[tuple[CData, CData]] = []  # the earlier value of a pointer to a pointer, and its address

    def value(self, kind: CData, number: int) -> CData:
        """Make an argument of the C type *kind*; a number has the value *number*."""
        if kind.kind != "pointer":
            return number
        if kind is _CONNECTION:
            return self._conn._ptr
        if kind is _STREAM:
            return self._stream()
        if kind in _KINDS:
            return self._object(kind)
        if kind.item.kind == "function":
            return ffi.NULL
        return self._keep(self._memory(kind))

    def _memory(self, kind: CData) -> CData:
        item = kind.item
        if item.kind == "void" or (item.kind == "primitive" and ffi.sizeof(item) == 1):
            return ffi.cast(kind, self._text())
        if item in _KINDS:
            return ffi.new(ffi.typeof(f"{item.cname}[]"), [self._object(item), ffi.NULL])
        if item.kind == "pointer":
            room = ffi.new(kind)
            if item.item is ffi.typeof("char"):
                room[0] = self._text()
            self._lists.append((room[0], room))
            return room
        if kind is _PARAM:
            param = ffi.new(kind, {"type": 1})  # INT: the remote driver sends only valid values
            ffi.memmove(param.field, _TEXT, len(_TEXT))
            return param
        return ffi.new(kind, 1) if item.kind == "primitive" else ffi.new(kind)

    def _keep(self, memory: CData) -> CData:
        self._alive.append(memory)
        return memory

    def _text(self) -> CData:
        return self._keep(ffi.new(f"char[{_ROOM}]", _TEXT))

    def _object(self, kind: CData) -> CData:
        if self._obj is not None and ffi.typeof(self._obj._ptr) is kind:
            return self._obj._ptr
        try:
            handle = next(_KINDS[kind](self._conn), None)
        except NotFoundError:
            handle = None  # its owner was deleted in the meantime
        if handle is None:
            raise _NothingToAsk
        self._alive.append(handle)
        return handle._ptr

    def _stream(self) -> CData:
        stream = lib.virStreamNew(self._conn._ptr, StreamFlags.NONBLOCK)
        if not stream:
            raise last_error("virStreamNew")
        self._streams.append(stream)
        return stream

    def release(self, kind: CData, result: CData) -> None:
        """Release the values that a call has returned after all, as its result or in its arguments."""
        if kind.kind == "pointer":
            self._drop(kind, result)
        for before, room in self._lists:
            if room[0] != before:
                if ffi.typeof(room[0]).item in _KINDS:
                    for pointer in ffi.unpack(room[0], result):
                        self._drop(ffi.typeof(pointer), pointer)
                lib.free(room[0])

    def _drop(self, kind: CData, pointer: CData) -> None:
        if kind in _KINDS:
            _RELEASES[kind](pointer)
        else:
            lib.free(pointer)

    def close(self) -> None:
        """Free the arguments."""
        for stream in self._streams:
            lib.virStreamFree(stream)
        self._alive.clear()


_RELEASES = {ffi.typeof(name): getattr(lib, f"{name.removesuffix('Ptr')}Free") for name in _SOURCES}
