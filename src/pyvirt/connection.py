# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections to hypervisors."""

from __future__ import annotations

from pyvirt._core import codes
from pyvirt._core.call import check, last_error
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import LLONG, Params
from pyvirt._core.process import use_library
from pyvirt._core.root import Root
from pyvirt._core.slot import Slot
from pyvirt._core.text import encode_or_null
from pyvirt.domain import Domains
from pyvirt.enums.host import ConnectFlags
from pyvirt.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    Error,
    InvalidArgumentError,
    NotSupportedError,
    OperationTimeoutError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyvirt._core.handle import Handle
    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt.auth import Auth
    from pyvirt.events.hub import Events
    from pyvirt.host import Host
    from pyvirt.interface import Interfaces
    from pyvirt.network import Networks
    from pyvirt.nodedev import NodeDevices
    from pyvirt.nwfilter import NWFilterBindings, NWFilters
    from pyvirt.secret import Secrets
    from pyvirt.stats.engine import Engine
    from pyvirt.storage import StoragePools
    from pyvirt.uri import URI


_PATIENCE = 1000  # milliseconds

# The (code, error domain) of a message that is too large.
_TOO_LARGE = frozenset(
    {
        (codes.INTERNAL_ERROR, codes.FROM_RPC),
        (codes.RPC, codes.FROM_RPC),
        (codes.RPC, codes.FROM_REMOTE),
    }
)


def version_tuple(number: int) -> tuple[int, int, int]:
    """Split libvirt's ``1000000 * major + 1000 * minor + release``."""
    return number // 1_000_000, number // 1_000 % 1_000, number % 1_000


def library_version() -> tuple[int, int, int]:
    """Return the version of the libvirt library in this process.  (virGetVersion)"""
    out = ffi.new("unsigned long *")
    check(lib.virGetVersion(out, ffi.NULL, ffi.NULL), "virGetVersion")
    return version_tuple(out[0])


class Connection(Root):
    """A connection to a hypervisor, which all objects come from.

    It is a context manager.  Threads may share it; closing it closes all its objects.
    """

    __slots__ = ("_auth", "_events", "_flags", "_host", "_keepalive", "_stats_engine", "_supported", "_uri", "domains")

    _release = lib.pv_release_connect
    _is_alive = lib.virConnectIsAlive

    def __init__(self, ptr: CData) -> None:
        # First the attributes that closing needs: another thread may fork as soon as the connection is registered.
        self._uri: str | None = None
        self._events: Slot[Events] = Slot()
        super().__init__(ptr)
        self._auth: Auth | None = None
        self._flags = ConnectFlags(0)
        self._keepalive: tuple[int, int] | None = None
        self._host: Host | None = None
        self._stats_engine: Engine | None = None
        self._supported: dict[str, bool] = {}
        #: The domains of this hypervisor.
        self.domains: Domains = Domains(self)

    def __repr__(self) -> str:
        # The URI was read when the connection was opened: a repr must work when the link is lost.
        return f"<pyvirt.Connection {self._uri!r}{' closed' if self.closed else ''}>"

    @property
    def host(self) -> Host:
        """The machine that the hypervisor runs on."""
        if self._host is None:
            from pyvirt.host import Host

            self._host = Host(self)
        return self._host

    @property
    def networks(self) -> Networks:
        """The virtual networks of this host."""
        from pyvirt.network import Networks

        return Networks(self)

    @property
    def storage_pools(self) -> StoragePools:
        """The storage pools of this host, and their volumes."""
        from pyvirt.storage import StoragePools

        return StoragePools(self)

    @property
    def node_devices(self) -> NodeDevices:
        """The devices of this host."""
        from pyvirt.nodedev import NodeDevices

        return NodeDevices(self)

    @property
    def interfaces(self) -> Interfaces:
        """The network interfaces of this host."""
        from pyvirt.interface import Interfaces

        return Interfaces(self)

    @property
    def secrets(self) -> Secrets:
        """The secrets kept on this host."""
        from pyvirt.secret import Secrets

        return Secrets(self)

    @property
    def nwfilters(self) -> NWFilters:
        """The network filters of this host."""
        from pyvirt.nwfilter import NWFilters

        return NWFilters(self)

    @property
    def nwfilter_bindings(self) -> NWFilterBindings:
        """Which interfaces use which network filter."""
        from pyvirt.nwfilter import NWFilterBindings

        return NWFilterBindings(self)

    @property
    def events(self) -> Events:
        """The events of all of these: see :mod:`pyvirt.events`."""
        events = self._events.get()
        if events is None:
            from pyvirt.events.hub import Events

            events = self._events.put(Events(self))
        return events

    def close(self) -> None:
        """Close the connection and its socket, even if objects of it are still referenced.

        A call in progress in another thread is not interrupted, and the socket closes when it returns.  Listeners
        receive no further events.  Calling it again has no effect.  (virConnectClose)
        """
        was_open = not self.closed
        events = self._events.get()
        if events is not None:  # libvirt keeps a connection open that has callbacks
            events._close()
        super().close()
        if was_open:
            lib.pv_loop_settle(_PATIENCE)  # the event loop closes the socket

    def _take_sources(self) -> list[CData]:
        events = self._events.get()
        return [] if events is None else events._take_sources()

    def _disown(self, why: str) -> CData | None:
        events = self._events.get()
        if events is not None:
            events._disown()
        return super()._disown(why)

    def uri(self) -> str:
        """Return the canonical URI of this connection.  (virConnectGetURI)"""
        return self._call_string(lib.virConnectGetURI)

    def alive(self) -> bool:
        """Return whether the connection is still alive, without asking the daemon.  (virConnectIsAlive)"""
        return self._call(lib.virConnectIsAlive) == 1

    def encrypted(self) -> bool:
        """Return whether the connection is encrypted.  (virConnectIsEncrypted)"""
        return self._call(lib.virConnectIsEncrypted) == 1

    def secure(self) -> bool:
        """Return whether the connection cannot be overheard: it is encrypted, or local.  (virConnectIsSecure)"""
        return self._call(lib.virConnectIsSecure) == 1

    def type(self) -> str:
        """Return the name of the driver, ``"QEMU"`` or ``"TEST"``.  (virConnectGetType)"""
        return self._call_text(lib.virConnectGetType)

    def supports(self, function: str, obj: Handle | None = None) -> bool | None:
        """Return whether the driver implements a function of libvirt: ``conn.supports("virDomainGetState")``.

        The driver itself is asked, without a side effect, and its answer is cached.  The result is ``False`` too if the
        function is newer than the libvirt of this process or of the daemon.  It is ``None`` if only a real call could
        tell, if the function needs an object of a kind that does not exist, or if it changes something and this
        connection is read-only.

        :param function: its name in C, of libvirt, libvirt-qemu or libvirt-lxc
        :param obj: the domain, network, volume, … to ask about; by default the first one
        :raises InvalidArgumentError: no such function, or it takes no such object
        """
        from pyvirt._model.supports import supports

        return supports(self, function, obj)

    def set_identity(self, identity: Mapping[str, TypedValue]) -> None:
        """Act as another user from now on, if the daemon allows it.  (virConnectSetIdentity)

        :param identity: values by the names of ``pyvirt.enums.params``, e.g. ``CONNECT_IDENTITY_USER_NAME``
        """
        with Params(identity, {"process-id": LLONG}) as params:
            self._call(lib.virConnectSetIdentity, params.pointer, params.count, 0)

    def version(self) -> tuple[int, int, int]:
        """Return the version of the hypervisor.  (virConnectGetVersion)"""
        return self._version(lib.virConnectGetVersion)

    def lib_version(self) -> tuple[int, int, int]:
        """Return the version of the daemon's libvirt.  (virConnectGetLibVersion)"""
        return self._version(lib.virConnectGetLibVersion)

    def _too_large(self, error: Error) -> bool:
        """Return whether a call may have failed because its answer is larger than a message; a part may succeed."""
        return not isinstance(error, ConnectionLostError) and (error.code, error.domain) in _TOO_LARGE

    def _another(self) -> Connection:
        """Open another connection with the same URI and arguments."""
        return connect(self._uri, auth=self._auth, keepalive=self._keepalive, flags=self._flags)

    def _version(self, call: Callable[[CData, CData], int]) -> tuple[int, int, int]:
        out = ffi.new("unsigned long *")
        self._call(call, out)
        return version_tuple(out[0])


def _uri_text(uri: str | URI | None) -> str | None:
    if uri is None or isinstance(uri, str):
        return uri
    from pyvirt.uri import URI

    if not isinstance(uri, URI):
        raise TypeError(f"expected a URI as str or pyvirt.URI, got {type(uri).__name__}")
    return str(uri)


def _with_auth_file(uri: str | None, path: str) -> str:
    import os

    from pyvirt.uri import URI

    with open(path, "rb"):  # raises if it cannot be read, which libvirt does not report
        pass
    uri = uri or os.environ.get("LIBVIRT_DEFAULT_URI")
    if not uri:
        raise InvalidArgumentError("an auth file needs a URI: none was given and LIBVIRT_DEFAULT_URI is not set")
    return str(URI.parse(uri).replace(authfile=path))


def _keep_alive(conn: Connection, interval: int, count: int) -> None:
    """Let both sides detect a lost link, if the driver has a daemon.  (virConnectSetKeepAlive)"""
    try:
        conn._call(lib.virConnectSetKeepAlive, interval, count)
    except NotSupportedError:
        pass


def _open(
    uri: str | URI | None, auth: Auth | None, keepalive: tuple[int, int] | None, flags: ConnectFlags
) -> Connection:
    use_library("libvirt")
    if lib.pv_loop_start() < 0:
        raise OSError(ffi.errno, "cannot start the event loop for libvirt")
    text = _uri_text(uri)
    if auth is not None:
        from pyvirt._model.login import open_with
        from pyvirt.auth import auth_file

        path = auth_file(auth)
        if path is not None:
            text = _with_auth_file(text, path)
        pointer = open_with(encode_or_null(text), auth, flags)
    else:
        # The three C functions differ only in this: without virConnectAuth no credentials are requested.
        pointer = lib.pv_connect_open(encode_or_null(text), ffi.NULL, flags)
    if not pointer:
        error = last_error("virConnectOpenAuth")
        # A lost link cannot be lost before it exists; Error is unspecific.
        raise error.recast(ConnectionFailedError) if type(error) in (ConnectionLostError, Error) else error
    conn = Connection(pointer)
    conn._auth, conn._keepalive, conn._flags = auth, keepalive, flags
    try:
        conn._uri = conn.uri()
        if keepalive is not None:
            _keep_alive(conn, *keepalive)
    except BaseException:
        conn.close()
        raise
    return conn


def connect(
    uri: str | URI | None = None,
    *,
    readonly: bool = False,
    auth: Auth | None = None,
    timeout: float | None = None,
    keepalive: tuple[int, int] | None = (5, 5),
    flags: ConnectFlags = ConnectFlags(0),
) -> Connection:
    """Open a connection.  (virConnectOpenAuth, for virConnectOpen and virConnectOpenReadOnly too)

    :param uri: a URI of libvirt; ``None`` uses ``LIBVIRT_DEFAULT_URI``, the client's configuration, or the first driver
        that answers
    :param readonly: open a connection that cannot change anything
    :param auth: the source of credentials when the daemon requests them: a mapping, a callable or the path of an auth
        file, see :mod:`pyvirt.auth`.  Without it none are supplied, and nothing prompts
    :param timeout: seconds to wait; libvirt itself waits indefinitely for a daemon that accepts and does not answer.
        An abandoned attempt continues in a thread, which closes the connection if it succeeds
    :param keepalive: the seconds without traffic after which a keepalive message is sent, and the number of unanswered
        messages after which the link counts as lost; ``None`` sends none.  Drivers without a daemon ignore it
    :raises ConnectionFailedError: the daemon cannot be reached, or no driver handles the URI
    :raises AuthenticationError: the daemon rejected the credentials
    :raises OperationTimeoutError: the connection was not established within *timeout*
    :raises InvalidArgumentError: *uri* is not a valid URI
    :raises OSError: the auth file cannot be read
    """
    if readonly:
        flags |= ConnectFlags.RO
    if timeout is None:
        return _open(uri, auth, keepalive, flags)
    return _open_within(timeout, lambda: _open(uri, auth, keepalive, flags), uri)


def _open_within(timeout: float, open_it: Callable[[], Connection], uri: str | URI | None) -> Connection:
    from threading import TIMEOUT_MAX, Event, Lock, Thread

    result: list[Connection | BaseException] = []
    handover = Lock()  # held while the result is passed on, or given up
    done = Event()
    given_up = False

    def attempt() -> None:
        outcome: Connection | BaseException
        try:
            outcome = open_it()
        except BaseException as error:
            outcome = error
        with handover:
            if not given_up:
                result.append(outcome)
            elif isinstance(outcome, Connection):
                outcome.close()
        done.set()

    patience = min(max(timeout, 0.0), TIMEOUT_MAX)
    Thread(target=attempt, name="pyvirt-connect", daemon=True).start()
    try:
        done.wait(patience)
    finally:  # also after Ctrl-C
        with handover:
            given_up = True
    if not result:
        raise OperationTimeoutError(
            f"no connection to {uri or 'the default URI'} within {timeout:g} s", function="virConnectOpenAuth"
        )
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]
