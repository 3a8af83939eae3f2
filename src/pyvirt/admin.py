# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirt daemon itself: its servers, their clients and thread pools, its log.

A process that administers daemons cannot hold any other connection, nor the other way round: libvirt would crash.

>>> with pyvirt.admin.connect("libvirtd:///system") as daemon:            # doctest: +SKIP
...     for client in daemon.servers["libvirtd"].clients:
...         print(client.id, client.transport.name, client.info())
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, ClassVar

from pyvirt._core.call import check, check_pointer, forget, last_error
from pyvirt._core.handle import Handle
from pyvirt._core.lib import ffi, lib, load_extension
from pyvirt._core.params import UINT, Params, take_dict
from pyvirt._core.poll import wait_for
from pyvirt._core.process import use_library
from pyvirt._core.root import Root
from pyvirt._core.text import decode, encode, encode_or_null, take_string
from pyvirt.connection import version_tuple
from pyvirt.enums.admin import AdmConnectDaemonShutdownFlags, ClientTransport
from pyvirt.enums.common import ConnectCloseReason
from pyvirt.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    InvalidArgumentError,
    NotFoundError,
    NotSupportedError,
    OperationInvalidError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue

try:
    _adm, _adm_ffi = load_extension("admin")
except ImportError:
    raise NotSupportedError("this build of pyvirt was made without libvirt-admin") from None

_CLOSE = 6  # PV_CLOSE

_THREADPOOL_TYPES = dict.fromkeys(("minWorkers", "maxWorkers", "prioWorkers"), UINT)
_LIMIT_TYPES = dict.fromkeys(("nclients_max", "nclients_unauth_max"), UINT)


def library_version() -> tuple[int, int, int]:
    """Return the version of the libvirt-admin library in this process.  (virAdmGetVersion)"""
    out = ffi.new("unsigned long long *")
    check(_adm.virAdmGetVersion(out))
    return version_tuple(out[0])


def connect(uri: str | None = None) -> AdminConnection:
    """Open a connection to the administration socket of a daemon.  (virAdmConnectOpen)

    :param uri: e.g. ``libvirtd:///system``; ``None`` takes ``LIBVIRT_ADMIN_DEFAULT_URI`` or the client's configuration
    :raises ConnectionFailedError: nobody there
    :raises NotSupportedError: this process has opened other connections; libvirt cannot do both in one
    """
    use_library("libvirt-admin")
    if lib.pv_loop_start() < 0:
        raise OSError(ffi.errno, "no event loop for libvirt")
    check(_adm.virAdmInitialize())
    pointer = _adm.virAdmConnectOpen(encode_or_null(uri), 0)
    if not pointer:
        error = last_error("virAdmConnectOpen")
        raise error.recast(ConnectionFailedError) if isinstance(error, ConnectionLostError) else error
    return AdminConnection(pointer, uri)


def _take_list(call: Callable[[CData, CData, int], int], owner: CData, kind: str) -> list[CData]:
    """Return the pointers that a ``virAdm…List…`` function allocates."""
    out = _adm_ffi.new(f"{kind} **")
    count = check(call(owner, out, 0))
    try:
        return [out[0][i] for i in range(count)]
    finally:
        lib.free(out[0])


class AdminConnection(Root):
    """A connection to a daemon's administration socket.  A context manager."""

    __slots__ = ("_uri", "servers")

    _release = _adm.virAdmConnectClose
    _is_alive = _adm.virAdmConnectIsAlive

    def __init__(self, ptr: CData, uri: str | None) -> None:
        self._uri = uri
        super().__init__(ptr)
        #: The servers in this daemon.
        self.servers = Servers(self)

    def __repr__(self) -> str:
        return f"<pyvirt.AdminConnection {self._uri or 'default'!r}{' closed' if self.closed else ''}>"

    def uri(self) -> str:
        """Return the canonical URI.  (virAdmConnectGetURI)"""
        return take_string(_adm.virAdmConnectGetURI(self._ptr))

    def alive(self) -> bool:
        """Return whether the link still stands, without asking the daemon.  (virAdmConnectIsAlive)"""
        return check(_adm.virAdmConnectIsAlive(self._ptr)) == 1

    def wait_closed(self, *, timeout: float | None = None) -> ConnectCloseReason | None:
        """Wait until the daemon is gone, and return how the link ended; ``None`` if it stands after *timeout* seconds.

        (virAdmConnectRegisterCloseCallback, virAdmConnectUnregisterCloseCallback)

        :raises OperationInvalidError: another thread waits already
        :raises ConnectionLostError: it is gone already
        """
        source = ffi.gc(lib.pv_source_new(_CLOSE, 0), lib.pv_source_free)
        queue = ffi.gc(lib.pv_queue_new(1), lib.pv_queue_free)
        if not source or not queue or lib.pv_source_attach(source, queue, 0) < 0:
            raise MemoryError
        pointer = self._ptr
        functions = (
            _adm_ffi.addressof(_adm, "virAdmConnectRegisterCloseCallback"),
            _adm_ffi.addressof(_adm, "virAdmConnectUnregisterCloseCallback"),
        )
        if lib.pv_source_register_close(source, pointer, *functions) < 0:
            error = last_error("virAdmConnectRegisterCloseCallback")
            raise error.recast(OperationInvalidError)
        try:
            return self._wait_for(queue, timeout)
        finally:
            lib.pv_source_deregister(source, pointer)
            forget()

    def _wait_for(self, queue: CData, timeout: float | None) -> ConnectCloseReason | None:
        if not self._link_stands():
            raise ConnectionLostError("the connection is lost")
        wait_for(lib.pv_queue_fd(queue), timeout)
        room = ffi.new("uintptr_t[1]")
        if lib.pv_queue_take(queue, room, ffi.NULL, 1) < 1:
            return None
        try:
            return ConnectCloseReason(ffi.cast("pv_event *", room[0]).numbers[0])
        finally:
            lib.pv_events_release(room, 1)

    def lib_version(self) -> tuple[int, int, int]:
        """Return the version of the daemon.  (virAdmConnectGetLibVersion)"""
        out = ffi.new("unsigned long long *")
        check(_adm.virAdmConnectGetLibVersion(self._ptr, out))
        return version_tuple(out[0])

    def logging_filters(self) -> str:
        """Return the log filters, as the daemon's configuration writes them.  (virAdmConnectGetLoggingFilters)"""
        return self._text(_adm.virAdmConnectGetLoggingFilters)

    def set_logging_filters(self, filters: str | None) -> None:
        """Set the log filters; ``None`` those of its configuration.  (virAdmConnectSetLoggingFilters)"""
        check(_adm.virAdmConnectSetLoggingFilters(self._ptr, encode_or_null(filters), 0))

    def logging_outputs(self) -> str:
        """Return where the log goes.  (virAdmConnectGetLoggingOutputs)"""
        return self._text(_adm.virAdmConnectGetLoggingOutputs)

    def set_logging_outputs(self, outputs: str | None) -> None:
        """Set where the log goes; ``None``: as configured.  (virAdmConnectSetLoggingOutputs)"""
        check(_adm.virAdmConnectSetLoggingOutputs(self._ptr, encode_or_null(outputs), 0))

    def _text(self, call: Callable[[CData, CData, int], int]) -> str:
        out = ffi.new("char **")
        check(call(self._ptr, out, 0))
        return take_string(out[0]) if out[0] else ""

    def set_daemon_timeout(self, seconds: int) -> None:
        """End the daemon once it had no client for so long; 0: never.  (virAdmConnectSetDaemonTimeout)"""
        check(_adm.virAdmConnectSetDaemonTimeout(self._ptr, seconds, 0))

    def shut_down_daemon(self, *, flags: AdmConnectDaemonShutdownFlags = AdmConnectDaemonShutdownFlags(0)) -> None:
        """Ask the daemon to end.  (virAdmConnectDaemonShutdown)"""
        check(_adm.virAdmConnectDaemonShutdown(self._ptr, flags))


class Servers:
    """The servers of a daemon: ``libvirtd`` and, in it, ``admin``."""

    __slots__ = ("_conn",)

    def __init__(self, conn: AdminConnection) -> None:
        self._conn = conn

    def list(self) -> list[Server]:
        """Return all of them.  (virAdmConnectListServers)"""
        conn = self._conn
        return Server._many(conn, _take_list(_adm.virAdmConnectListServers, conn._ptr, "virAdmServerPtr"))

    def __iter__(self) -> Iterator[Server]:
        return iter(self.list())

    def __len__(self) -> int:
        return check(_adm.virAdmConnectListServers(self._conn._ptr, ffi.NULL, 0))

    def __getitem__(self, name: str) -> Server:
        """Return a server, or raise :class:`ServerNotFoundError`.  (virAdmConnectLookupServer)"""
        pointer = _adm.virAdmConnectLookupServer(self._conn._ptr, encode(name), 0)
        check_pointer(pointer)
        return Server(self._conn, pointer)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self[name])
        except (NotFoundError, InvalidArgumentError):
            return False


class Server(Handle):
    """One server of a daemon."""

    __slots__ = ()

    _conn: AdminConnection
    _release: ClassVar[Callable[[CData], None]] = _adm.virAdmServerFree

    @property
    def name(self) -> str:
        """Its name.  (virAdmServerGetName)"""
        return decode(_adm.virAdmServerGetName(self._ptr))

    @property
    def clients(self) -> Clients:
        """Who is connected to it."""
        return Clients(self)

    def _identity(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return "<pyvirt.Server closed>" if self.closed else f"<pyvirt.Server {self.name!r}>"

    def threadpool_parameters(self) -> dict[str, TypedValue]:
        """Return sizes of the thread pool.  (virAdmServerGetThreadPoolParameters)"""
        return take_dict(lambda params, n: _adm.virAdmServerGetThreadPoolParameters(self._ptr, params, n, 0))

    def set_threadpool_parameters(self, parameters: Mapping[str, TypedValue]) -> None:
        """Change ``minWorkers``, ``maxWorkers`` or ``prioWorkers``.  (virAdmServerSetThreadPoolParameters)"""
        with Params(parameters, _THREADPOOL_TYPES) as params:
            check(_adm.virAdmServerSetThreadPoolParameters(self._ptr, params.pointer, params.count, 0))

    def client_limits(self) -> dict[str, TypedValue]:
        """Return how many clients there are and may be.  (virAdmServerGetClientLimits)"""
        return take_dict(lambda params, n: _adm.virAdmServerGetClientLimits(self._ptr, params, n, 0))

    def set_client_limits(self, limits: Mapping[str, TypedValue]) -> None:
        """Change ``nclients_max`` or ``nclients_unauth_max``.  (virAdmServerSetClientLimits)"""
        with Params(limits, _LIMIT_TYPES) as params:
            check(_adm.virAdmServerSetClientLimits(self._ptr, params.pointer, params.count, 0))

    def update_tls_files(self) -> None:
        """Read the TLS certificates again.  (virAdmServerUpdateTlsFiles)"""
        check(_adm.virAdmServerUpdateTlsFiles(self._ptr, 0))


class Clients:
    """The clients of a server."""

    __slots__ = ("_server",)

    def __init__(self, server: Server) -> None:
        self._server = server

    def list(self) -> list[Client]:
        """Return all of them.  (virAdmServerListClients)"""
        server = self._server
        return Client._many(server._conn, _take_list(_adm.virAdmServerListClients, server._ptr, "virAdmClientPtr"))

    def __iter__(self) -> Iterator[Client]:
        return iter(self.list())

    def __len__(self) -> int:
        return check(_adm.virAdmServerListClients(self._server._ptr, ffi.NULL, 0))

    def __getitem__(self, id: int) -> Client:
        """Return a client by its id, or raise :class:`ClientNotFoundError`.  (virAdmServerLookupClient)"""
        pointer = _adm.virAdmServerLookupClient(self._server._ptr, id, 0)
        check_pointer(pointer)
        return Client(self._server._conn, pointer)


class Client(Handle):
    """One client of a server, as it was when asked for."""

    __slots__ = ()

    _conn: AdminConnection
    _release: ClassVar[Callable[[CData], None]] = _adm.virAdmClientFree

    @property
    def id(self) -> int:
        """Its number.  (virAdmClientGetID)"""
        number: int = _adm.virAdmClientGetID(self._ptr)
        return number

    @property
    def connected(self) -> datetime:
        """When it came.  (virAdmClientGetTimestamp)"""
        return datetime.fromtimestamp(_adm.virAdmClientGetTimestamp(self._ptr), timezone.utc)

    @property
    def transport(self) -> ClientTransport:
        """How it came.  (virAdmClientGetTransport)"""
        return ClientTransport(_adm.virAdmClientGetTransport(self._ptr))

    def _identity(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return "<pyvirt.Client closed>" if self.closed else f"<pyvirt.Client {self.id} {self.transport.name}>"

    def info(self) -> dict[str, TypedValue]:
        """Return who it is: the keys are ``CLIENT_INFO_…`` of ``pyvirt.enums.params``.  (virAdmClientGetInfo)"""
        return take_dict(lambda params, n: _adm.virAdmClientGetInfo(self._ptr, params, n, 0))

    def disconnect(self) -> None:
        """Throw it out.  (virAdmClientClose)"""
        check(_adm.virAdmClientClose(self._ptr, 0))
