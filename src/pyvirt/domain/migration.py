# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.migration``: migrate a domain to another host."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypedDict

from pyvirt._core.call import last_error
from pyvirt._core.document import xml_text
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import INT, STRING, ULLONG, Params
from pyvirt._core.text import encode, encode_or_null, string_array
from pyvirt.connection import Connection
from pyvirt.domain._part import Part
from pyvirt.domain.domain import Domain
from pyvirt.domain.job import Job
from pyvirt.enums import params
from pyvirt.enums.domain_job import DomainMigrateFlags, DomainMigrateMaxSpeedFlags
from pyvirt.errors import InvalidArgumentError
from pyvirt.uri import URI

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias, overload

    from typing_extensions import Unpack  # typing's own needs Python 3.11

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt.domain.job import JobProgress
    from pyvirt.xmldesc import XML

    Value: TypeAlias = TypedValue | XML | Sequence[str]
    Values: TypeAlias = Mapping[str, Value]

_TYPES = {
    params.MIGRATE_PARAM_URI: STRING,
    params.MIGRATE_PARAM_DEST_NAME: STRING,
    params.MIGRATE_PARAM_DEST_XML: STRING,
    params.MIGRATE_PARAM_PERSIST_XML: STRING,
    params.MIGRATE_PARAM_BANDWIDTH: ULLONG,
    params.MIGRATE_PARAM_BANDWIDTH_POSTCOPY: ULLONG,
    params.MIGRATE_PARAM_BANDWIDTH_AVAIL_SWITCHOVER: ULLONG,
    params.MIGRATE_PARAM_GRAPHICS_URI: STRING,
    params.MIGRATE_PARAM_LISTEN_ADDRESS: STRING,
    params.MIGRATE_PARAM_MIGRATE_DISKS: STRING,
    params.MIGRATE_PARAM_MIGRATE_DISKS_DETECT_ZEROES: STRING,
    params.MIGRATE_PARAM_MIGRATE_DISKS_TARGET_ZERO: STRING,
    params.MIGRATE_PARAM_DISKS_PORT: INT,
    params.MIGRATE_PARAM_DISKS_URI: STRING,
    params.MIGRATE_PARAM_COMPRESSION: STRING,
    params.MIGRATE_PARAM_COMPRESSION_MT_LEVEL: INT,
    params.MIGRATE_PARAM_COMPRESSION_MT_THREADS: INT,
    params.MIGRATE_PARAM_COMPRESSION_MT_DTHREADS: INT,
    params.MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE: ULLONG,
    params.MIGRATE_PARAM_COMPRESSION_ZLIB_LEVEL: INT,
    params.MIGRATE_PARAM_COMPRESSION_ZSTD_LEVEL: INT,
    params.MIGRATE_PARAM_AUTO_CONVERGE_INITIAL: INT,
    params.MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT: INT,
    params.MIGRATE_PARAM_PARALLEL_CONNECTIONS: INT,
    params.MIGRATE_PARAM_TLS_DESTINATION: STRING,
}
_DOCUMENTS = (params.MIGRATE_PARAM_DEST_XML, params.MIGRATE_PARAM_PERSIST_XML)
_FIELDS = {field.replace(".", "_"): field for field in _TYPES}


class MigrationParameters(TypedDict, total=False):
    """The keyword arguments of :meth:`Migration.to`: libvirt's names, with underscores instead of dots."""

    #: where the hypervisor of the other host listens: ``"tcp://host:port"``, ``"unix:///path"``
    migrate_uri: str
    #: the domain's name on the other host
    destination_name: str
    #: its configuration on the other host, made from ``dom.xml_desc(flags=DomainXMLFlags.MIGRATABLE)``; it may differ
    #: only where the guest cannot see it
    destination_xml: XML
    #: its stored configuration on the other host, with ``PERSIST_DEST``
    persistent_xml: XML
    #: MiB per second, like the next one
    bandwidth: int
    bandwidth_postcopy: int
    #: the expected bytes per second of the last phase
    bandwidth_avail_switchover: int
    #: where the clients of the graphical console reconnect to
    graphics_uri: str
    #: the address that the other host listens on
    listen_address: str
    #: the targets of the disks to copy, like the next two; with ``NON_SHARED_DISK`` or ``NON_SHARED_INC``
    migrate_disks: Sequence[str]
    migrate_disks_detect_zeroes: Sequence[str]
    migrate_disks_target_zero: Sequence[str]
    disks_port: int
    disks_uri: str
    #: ``["mt"]``, ``["xbzrle"]``, ``["zlib"]``, ``["zstd"]``, with ``COMPRESSED``
    compression: Sequence[str]
    compression_mt_level: int
    compression_mt_threads: int
    compression_mt_dthreads: int
    #: bytes
    compression_xbzrle_cache: int
    compression_zlib_level: int
    compression_zstd_level: int
    #: percent by which vCPUs are slowed down at first, and further each time, with ``AUTO_CONVERGE``
    auto_converge_initial: int
    auto_converge_increment: int
    #: with ``PARALLEL``
    parallel_connections: int
    #: the host's name in its certificate
    tls_destination: str


class _Array(Params):
    """A virTypedParameter array in which a name may occur several times, once for each text of a list."""

    def __init__(self, values: Values) -> None:
        single: dict[str, TypedValue] = {}
        several: dict[str, list[str]] = {}
        for name, value in values.items():
            if isinstance(value, list | tuple):
                several[name] = [*value]
            elif name in _DOCUMENTS:
                single[name] = xml_text(value)  # type: ignore[arg-type]  # xml_text raises for other types
            else:
                single[name] = value  # type: ignore[assignment]  # Params raises for other types
        super().__init__(single, _TYPES)
        try:
            for name, texts in several.items():
                self._add_texts(name, texts)
        except BaseException:
            self._free()
            raise

    def _add_texts(self, name: str, texts: list[str]) -> None:
        if not texts:  # libvirt's function then fails without an error
            raise InvalidArgumentError(f"parameter {name!r} must not be an empty list")
        array, kept = string_array(texts)
        room = ffi.new("int *", self.count)
        if lib.virTypedParamsAddStringList(self._params, self._count, room, encode(name), array) < 0:
            raise last_error("virTypedParamsAddStringList").recast(InvalidArgumentError)
        del kept


def _merge_parameters(values: Values | None, more: Values) -> Values:
    for name in more:
        if name not in _FIELDS:
            raise TypeError(f"unknown migration parameter: {name!r}")
    return {**(values or {}), **{_FIELDS[name]: value for name, value in more.items()}}


class Migration(Part):
    """The migration of a domain to another host.

    Speeds are MiB per second, which is libvirt's unit here.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def to(
            self,
            dest: Connection,
            values: Values | None = None,
            /,
            *,
            flags: DomainMigrateFlags = ...,
            progress: JobProgress | None = None,
            **more: Unpack[MigrationParameters],
        ) -> Domain: ...

        @overload
        def to(
            self,
            dest: str | URI | None,
            values: Values | None = None,
            /,
            *,
            flags: DomainMigrateFlags = ...,
            progress: JobProgress | None = None,
            **more: Unpack[MigrationParameters],
        ) -> None: ...

    def to(
        self,
        dest: Connection | str | URI | None,
        values: Values | None = None,
        /,
        *,
        flags: DomainMigrateFlags = DomainMigrateFlags(0),
        progress: JobProgress | None = None,
        **more: object,
    ) -> Domain | None:
        """Migrate it, and return the domain on *dest*: ``dom.migration.to(conn, flags=DomainMigrateFlags.LIVE)``.

        (virDomainMigrate3, virDomainMigrateToURI3)

        :param dest: a connection to the other host; or its URI as this host's daemon reaches it, which then manages
            the migration alone (``PEER2PEER``) and nothing is returned; ``None`` if the hypervisor needs no daemon on
            the other host, and ``migrate_uri`` names that host
        :param values: parameters by libvirt's own names, including those newer than pyvirt
        :param progress: called regularly with the bytes done and the total; if it raises, the migration is aborted
        :param more: parameters, see :class:`MigrationParameters`
        :raises MigrationUnsafeError: the disks may not be the same on the other host; ``UNSAFE`` skips this check
        :raises OperationAbortedError: the job was aborted; the domain continues on this host
        :raises OperationInvalidError: the domain is not running, and *flags* lack ``OFFLINE``
        """
        with _Array(_merge_parameters(values, more)) as array:  # type: ignore[arg-type]  # as the overloads have it
            call: Callable[[], Domain | None]
            if isinstance(dest, Connection):
                call = partial(self._to_connection, dest, array, flags)
            elif dest is None or isinstance(dest, str | URI):
                call = partial(self._to_uri, dest, array, flags)
            else:
                raise TypeError(f"expected a Connection or a URI as the destination, got {type(dest).__name__}")
            return call() if progress is None else Job(self._domain).watch(call, progress)

    def _to_connection(self, dest: Connection, array: Params, flags: DomainMigrateFlags) -> Domain:
        pointer = self._call_nonzero(lib.virDomainMigrate3, dest._ptr, array.pointer, array.count, flags)
        return Domain(dest, pointer)

    def _to_uri(self, uri: str | URI | None, array: Params, flags: DomainMigrateFlags) -> None:
        if uri is not None:
            uri = str(uri)
            flags |= DomainMigrateFlags.PEER2PEER
        self._call(lib.virDomainMigrateToURI3, encode_or_null(uri), array.pointer, array.count, flags)

    # ---- limits, which can also change during a migration ----

    def max_speed(self, *, flags: DomainMigrateMaxSpeedFlags = DomainMigrateMaxSpeedFlags(0)) -> int:
        """Return the limit of its speed in MiB per second.  (virDomainMigrateGetMaxSpeed)

        :param flags: with ``POSTCOPY`` the limit after the switch; 0 means no limit
        """
        out = ffi.new("unsigned long *")
        self._call(lib.virDomainMigrateGetMaxSpeed, out, flags)
        return _number(out)

    def set_max_speed(
        self, bandwidth: int, *, flags: DomainMigrateMaxSpeedFlags = DomainMigrateMaxSpeedFlags(0)
    ) -> None:
        """Set the limit of its speed.  (virDomainMigrateSetMaxSpeed)

        :param bandwidth: MiB per second
        :param flags: with ``POSTCOPY`` the limit after the switch
        """
        self._call(lib.virDomainMigrateSetMaxSpeed, bandwidth, flags)

    def max_downtime(self) -> int:
        """Return the maximum downtime of the guest at the end, in milliseconds.  (virDomainMigrateGetMaxDowntime)"""
        out = ffi.new("unsigned long long *")
        self._call(lib.virDomainMigrateGetMaxDowntime, out, 0)
        return _number(out)

    def set_max_downtime(self, downtime: int) -> None:
        """Set the maximum downtime of the guest at the end.  (virDomainMigrateSetMaxDowntime)

        :param downtime: milliseconds
        :raises OperationInvalidError: the domain is not running
        """
        self._call(lib.virDomainMigrateSetMaxDowntime, downtime, 0)

    def compression_cache(self) -> int:
        """Return the size of the cache for repeated pages, in bytes.  (virDomainMigrateGetCompressionCache)"""
        out = ffi.new("unsigned long long *")
        self._call(lib.virDomainMigrateGetCompressionCache, out, 0)
        return _number(out)

    def set_compression_cache(self, size: int) -> None:
        """Set the size of the cache for repeated pages.  (virDomainMigrateSetCompressionCache)

        :param size: bytes, which the hypervisor rounds
        :raises OperationInvalidError: the domain is not running
        """
        self._call(lib.virDomainMigrateSetCompressionCache, size, 0)

    def start_post_copy(self) -> None:
        """Run the guest on the other host now; its memory follows as it is needed.  (virDomainMigrateStartPostCopy)

        :raises OperationInvalidError: no migration with ``POSTCOPY`` is running
        """
        self._call(lib.virDomainMigrateStartPostCopy, 0)


def _number(out: CData) -> int:
    number: int = out[0]
    return number
