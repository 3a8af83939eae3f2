# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirt daemon itself: its servers, their clients and thread pools, its log.

A process that administers daemons cannot open other connections, and vice versa: libvirt would crash.

>>> with pyvirt.admin.connect("libvirtd:///system") as daemon:            # doctest: +SKIP
...     for client in daemon.servers["libvirtd"].clients:
...         print(client.id, client.transport.name, client.info())
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, ClassVar

from pyvirt._core.call import check, forget, last_error
from pyvirt._core.handle import Handle
from pyvirt._core.lib import ffi, lib, load_extension
from pyvirt._core.params import UINT, Params
from pyvirt._core.poll import wait_readable
from pyvirt._core.process import use_library
from pyvirt._core.root import Root
from pyvirt._core.text import encode, encode_or_null, take_string
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

    from pyvirt._core.lib import CData, CFunction
    from pyvirt._core.params import TypedValue

try:
    _adm, _adm_ffi = load_extension("admin")
except ImportError:
    raise NotSupportedError("this build of pyvirt has no libvirt-admin") from None

_CLOSE = 6  # PV_CLOSE

_THREADPOOL_TYPES = dict.fromkeys(("minWorkers", "maxWorkers", "prioWorkers"), UINT)
_LIMIT_TYPES = dict.fromkeys(("nclients_max", "nclients_unauth_max"), UINT)


def library_version() -> tuple[int, int, int]:
    """Return the version of the libvirt-admin library in this process.  (virAdmGetVersion)"""
    out = ffi.new("unsigned long long *")
    check(_adm.virAdmGetVersion(out), "virAdmGetVersion")
    return version_tuple(out[0])


def connect(uri: str | None = None) -> AdminConnection:
    """Open a connection to the administration socket of a daemon.  (virAdmConnectOpen)

    :param uri: e.g. ``libvirtd:///system``; ``None`` takes ``LIBVIRT_ADMIN_DEFAULT_URI`` or the client's configuration
    :raises ConnectionFailedError: the daemon cannot be reached
    :raises NotSupportedError: this process has opened other connections; libvirt cannot have both in one process
    """
    use_library("libvirt-admin")
    if lib.pv_loop_start() < 0:
        raise OSError(ffi.errno, "cannot start the event loop for libvirt")
    check(_adm.virAdmInitialize(), "virAdmInitialize")
    pointer = _adm.virAdmConnectOpen(encode_or_null(uri), 0)
    if not pointer:
        error = last_error("virAdmConnectOpen")
        raise error.recast(ConnectionFailedError) if isinstance(error, ConnectionLostError) else error
    return AdminConnection(pointer, uri)


class AdminConnection(Root):
    """A connection to a daemon's administration socket; a context manager."""

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
        return self._call_string(_adm.virAdmConnectGetURI)

    def alive(self) -> bool:
        """Return whether the connection is still alive, without asking the daemon.  (virAdmConnectIsAlive)"""
        return self._call(_adm.virAdmConnectIsAlive) == 1

    def wait_closed(self, *, timeout: float | None = None) -> ConnectCloseReason | None:
        """Wait until the link ends, and return the reason; ``None`` if it still exists after *timeout* seconds.

        (virAdmConnectRegisterCloseCallback, virAdmConnectUnregisterCloseCallback)

        :raises OperationInvalidError: another thread is already waiting
        :raises ConnectionLostError: the link was lost before
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
            error = last_error("virAdmConnectRegisterCloseCallback", self)
            raise error.recast(OperationInvalidError)
        try:
            return self._wait_for(queue, timeout)
        finally:
            lib.pv_source_deregister(source, pointer)
            forget()

    def _wait_for(self, queue: CData, timeout: float | None) -> ConnectCloseReason | None:
        if not self._link_stands():
            raise ConnectionLostError("the connection is lost")
        wait_readable(lib.pv_queue_fd(queue), timeout)
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
        self._call(_adm.virAdmConnectGetLibVersion, out)
        return version_tuple(out[0])

    def logging_filters(self) -> str:
        """Return the log filters, in the syntax of the daemon's configuration.  (virAdmConnectGetLoggingFilters)"""
        return self._text(_adm.virAdmConnectGetLoggingFilters)

    def set_logging_filters(self, filters: str | None) -> None:
        """Set the log filters; ``None`` restores those of the configuration.  (virAdmConnectSetLoggingFilters)"""
        self._call(_adm.virAdmConnectSetLoggingFilters, encode_or_null(filters), 0)

    def logging_outputs(self) -> str:
        """Return the log outputs, in the syntax of the daemon's configuration.  (virAdmConnectGetLoggingOutputs)"""
        return self._text(_adm.virAdmConnectGetLoggingOutputs)

    def set_logging_outputs(self, outputs: str | None) -> None:
        """Set the log outputs; ``None`` restores those of the configuration.  (virAdmConnectSetLoggingOutputs)"""
        self._call(_adm.virAdmConnectSetLoggingOutputs, encode_or_null(outputs), 0)

    def _text(self, call: Callable[[CData, CData, int], int]) -> str:
        out = ffi.new("char **")
        self._call(call, out, 0)
        return take_string(out[0]) if out[0] else ""

    def set_daemon_timeout(self, seconds: int) -> None:
        """Set the seconds without clients after which the daemon ends; 0 means never.

        (virAdmConnectSetDaemonTimeout)
        """
        self._call(_adm.virAdmConnectSetDaemonTimeout, seconds, 0)

    def shut_down_daemon(self, *, flags: AdmConnectDaemonShutdownFlags = AdmConnectDaemonShutdownFlags(0)) -> None:
        """Ask the daemon to shut down.  (virAdmConnectDaemonShutdown)"""
        self._call(_adm.virAdmConnectDaemonShutdown, flags)


class Servers:
    """The servers of a daemon: ``libvirtd`` and, in it, ``admin``."""

    __slots__ = ("_conn",)

    def __init__(self, conn: AdminConnection) -> None:
        self._conn = conn

    def list(self) -> list[Server]:
        """Return all of them.  (virAdmConnectListServers)"""
        out = _adm_ffi.new("virAdmServerPtr **")
        return Server._many(self._conn, self._conn._call_array(out, _adm.virAdmConnectListServers, 0))

    def __iter__(self) -> Iterator[Server]:
        return iter(self.list())

    def __len__(self) -> int:
        return self._conn._call(_adm.virAdmConnectListServers, ffi.NULL, 0)

    def __getitem__(self, name: str) -> Server:
        """Return the server with that name, or raise :class:`ServerNotFoundError`.  (virAdmConnectLookupServer)"""
        return self._conn._call_object(Server, _adm.virAdmConnectLookupServer, encode(name), 0)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self[name])
        except (NotFoundError, InvalidArgumentError):
            return False


class Server(Handle):
    """One server of a daemon."""

    __slots__ = ()

    _conn: AdminConnection
    _release: ClassVar[CFunction[[CData], object]] = _adm.virAdmServerFree

    @property
    def name(self) -> str:
        """Its name.  (virAdmServerGetName)"""
        return self._call_text(_adm.virAdmServerGetName)

    @property
    def clients(self) -> Clients:
        """The clients that are connected to it."""
        return Clients(self)

    def _identity(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return "<pyvirt.Server closed>" if self.closed else f"<pyvirt.Server {self.name!r}>"

    def threadpool_parameters(self) -> dict[str, TypedValue]:
        """Return the sizes of the thread pool.  (virAdmServerGetThreadPoolParameters)"""
        return self._call_params(_adm.virAdmServerGetThreadPoolParameters, 0)

    def set_threadpool_parameters(self, parameters: Mapping[str, TypedValue]) -> None:
        """Set ``minWorkers``, ``maxWorkers`` or ``prioWorkers``.  (virAdmServerSetThreadPoolParameters)"""
        with Params(parameters, _THREADPOOL_TYPES) as params:
            self._call(_adm.virAdmServerSetThreadPoolParameters, params.pointer, params.count, 0)

    def client_limits(self) -> dict[str, TypedValue]:
        """Return the number of clients and its limits.  (virAdmServerGetClientLimits)"""
        return self._call_params(_adm.virAdmServerGetClientLimits, 0)

    def set_client_limits(self, limits: Mapping[str, TypedValue]) -> None:
        """Set ``nclients_max`` or ``nclients_unauth_max``.  (virAdmServerSetClientLimits)"""
        with Params(limits, _LIMIT_TYPES) as params:
            self._call(_adm.virAdmServerSetClientLimits, params.pointer, params.count, 0)

    def update_tls_files(self) -> None:
        """Reload the TLS certificates.  (virAdmServerUpdateTlsFiles)"""
        self._call(_adm.virAdmServerUpdateTlsFiles, 0)


class Clients:
    """The clients of a server."""

    __slots__ = ("_server",)

    def __init__(self, server: Server) -> None:
        self._server = server

    def list(self) -> list[Client]:
        """Return all of them.  (virAdmServerListClients)"""
        out = _adm_ffi.new("virAdmClientPtr **")
        return Client._many(self._server._conn, self._server._call_array(out, _adm.virAdmServerListClients, 0))

    def __iter__(self) -> Iterator[Client]:
        return iter(self.list())

    def __len__(self) -> int:
        return self._server._call(_adm.virAdmServerListClients, ffi.NULL, 0)

    def __getitem__(self, id: int) -> Client:
        """Return the client with that id, or raise :class:`ClientNotFoundError`.  (virAdmServerLookupClient)"""
        return self._server._call_object(Client, _adm.virAdmServerLookupClient, id, 0)


class Client(Handle):
    """One client of a server, as it was when it was looked up."""

    __slots__ = ()

    _conn: AdminConnection
    _release: ClassVar[CFunction[[CData], object]] = _adm.virAdmClientFree

    @property
    def id(self) -> int:
        """Its number.  (virAdmClientGetID)"""
        return self._call(_adm.virAdmClientGetID)

    @property
    def connected(self) -> datetime:
        """The time when it connected.  (virAdmClientGetTimestamp)"""
        return datetime.fromtimestamp(self._call(_adm.virAdmClientGetTimestamp), timezone.utc)

    @property
    def transport(self) -> ClientTransport:
        """The transport that it uses.  (virAdmClientGetTransport)"""
        return ClientTransport(self._call(_adm.virAdmClientGetTransport))

    def _identity(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return "<pyvirt.Client closed>" if self.closed else f"<pyvirt.Client {self.id} {self.transport.name}>"

    def info(self) -> dict[str, TypedValue]:
        """Return its identity: the keys are ``CLIENT_INFO_…`` of ``pyvirt.enums.params``.  (virAdmClientGetInfo)"""
        return self._call_params(_adm.virAdmClientGetInfo, 0)

    def disconnect(self) -> None:
        """Disconnect it.  (virAdmClientClose)"""
        self._call(_adm.virAdmClientClose, 0)
