# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import pyvirt
from pyvirt import errors
from pyvirt._core.call import BY_CODE, check, forget, last_error
from pyvirt._core.lib import lib
from pyvirt.enums import (
    ConnectListAllDomainsFlags,
    DomainXMLFlags,
    ErrorDomain,
    ErrorLevel,
    ErrorNumber,
    StatsGroup,
)
from pyvirt.errors import Error
from tests.support.drivers import unless_lacking
from tests.support.processes import output_of

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Error)]

# Codes of libvirt that a caller cannot act on, or that only removed drivers used.
UNSPECIFIC = set(
    "OK INTERNAL_ERROR UNKNOWN_HOST GET_FAILED POST_FAILED HTTP_ERROR SEXPR_SERIAL NO_XEN XEN_CALL NO_XENSTORE"
    " DRIVER_FULL CALL_FAILED OPEN_FAILED READ_FAILED PARSE_FAILED CONF_SYNTAX WRITE_FAILED SYSTEM_ERROR RPC"
    " GNUTLS_ERROR WAR_NO_NETWORK WAR_NO_STORAGE WAR_NO_NODE NO_SECURITY_MODEL WAR_NO_INTERFACE MULTIPLE_INTERFACES"
    " WAR_NO_NWFILTER BUILD_FIREWALL WAR_NO_SECRET INVALID_SECRET MIGRATE_PERSIST_FAILED HOOK_SCRIPT_FAILED"
    " STORAGE_PROBE_FAILED OVERFLOW SSH DBUS_SERVICE CPU_INCOMPATIBLE MIGRATE_FINISH_OK LIBSSH NO_HOSTNAME"
    " CHECKPOINT_INCONSISTENT MULTIPLE_DOMAINS INVALID_ENCR_KEY_SECRET".split()
)

MEANING = {
    "NO_MEMORY": "NoMemoryError",
    "NO_SUPPORT": "OperationUnsupportedError",
    "OPERATION_UNSUPPORTED": "OperationUnsupportedError",
    "CONFIG_UNSUPPORTED": "NotSupportedError",
    "ARGUMENT_UNSUPPORTED": "NotSupportedError",
    "NO_CONNECT": "ConnectionFailedError",
    "INVALID_ARG": "InvalidArgumentError",
    "INVALID_MAC": "InvalidArgumentError",
    "INVALID_CONN": "InvalidArgumentError",
    "INVALID_DOMAIN": "InvalidArgumentError",
    "INVALID_DOMAIN_SNAPSHOT": "InvalidArgumentError",
    "INVALID_DOMAIN_CHECKPOINT": "InvalidArgumentError",
    "INVALID_NETWORK": "InvalidArgumentError",
    "INVALID_NETWORK_PORT": "InvalidArgumentError",
    "INVALID_STORAGE_POOL": "InvalidArgumentError",
    "INVALID_STORAGE_VOL": "InvalidArgumentError",
    "INVALID_NODE_DEVICE": "InvalidArgumentError",
    "INVALID_INTERFACE": "InvalidArgumentError",
    "INVALID_NWFILTER": "InvalidArgumentError",
    "INVALID_NWFILTER_BINDING": "InvalidArgumentError",
    "INVALID_STREAM": "InvalidArgumentError",
    "OPERATION_FAILED": "OperationFailedError",
    **dict.fromkeys("OS_TYPE NO_KERNEL NO_ROOT NO_SOURCE NO_TARGET NO_NAME NO_OS NO_DEVICE".split(), "XMLError"),
    "XML_ERROR": "XMLError",
    "XML_DETAIL": "XMLError",
    "XML_INVALID_SCHEMA": "XMLError",
    "DOM_EXIST": "AlreadyExistsError",
    "NETWORK_EXIST": "AlreadyExistsError",
    "NETWORK_PORT_EXIST": "AlreadyExistsError",
    "STORAGE_VOL_EXIST": "AlreadyExistsError",
    "STORAGE_POOL_BUILT": "AlreadyExistsError",
    "OPERATION_DENIED": "AccessDeniedError",
    "ACCESS_DENIED": "AccessDeniedError",
    "NO_DOMAIN": "DomainNotFoundError",
    "NO_DOMAIN_SNAPSHOT": "DomainSnapshotNotFoundError",
    "NO_DOMAIN_CHECKPOINT": "DomainCheckpointNotFoundError",
    "NO_DOMAIN_BACKUP": "DomainBackupNotFoundError",
    "NO_DOMAIN_METADATA": "MetadataNotFoundError",
    "NO_NETWORK": "NetworkNotFoundError",
    "NO_NETWORK_PORT": "NetworkPortNotFoundError",
    "NO_NETWORK_METADATA": "MetadataNotFoundError",
    "NO_STORAGE_POOL": "StoragePoolNotFoundError",
    "NO_STORAGE_VOL": "StorageVolumeNotFoundError",
    "NO_NODE_DEVICE": "NodeDeviceNotFoundError",
    "NO_INTERFACE": "InterfaceNotFoundError",
    "NO_SECRET": "SecretNotFoundError",
    "NO_NWFILTER": "NWFilterNotFoundError",
    "NO_NWFILTER_BINDING": "NWFilterBindingNotFoundError",
    "NO_SERVER": "ServerNotFoundError",
    "NO_CLIENT": "ClientNotFoundError",
    "DEVICE_MISSING": "DeviceNotFoundError",
    "AUTH_FAILED": "AuthenticationError",
    "AUTH_CANCELLED": "AuthenticationError",
    "AUTH_UNAVAILABLE": "AuthenticationError",
    "OPERATION_INVALID": "OperationInvalidError",
    "BLOCK_COPY_ACTIVE": "OperationInvalidError",
    "SNAPSHOT_REVERT_RISKY": "OperationInvalidError",
    "MIGRATE_UNSAFE": "MigrationUnsafeError",
    "OPERATION_TIMEOUT": "OperationTimeoutError",
    "OPERATION_ABORTED": "OperationAbortedError",
    "RESOURCE_BUSY": "ResourceBusyError",
    "AGENT_UNRESPONSIVE": "AgentUnresponsiveError",
    "AGENT_UNSYNCED": "AgentUnresponsiveError",
    "AGENT_COMMAND_TIMEOUT": "AgentUnresponsiveError",
    "AGENT_COMMAND_FAILED": "AgentError",
}

BUILTINS = {
    errors.NotFoundError: LookupError,
    errors.OperationTimeoutError: TimeoutError,
    errors.NotSupportedError: NotImplementedError,
    errors.ConnectionFailedError: ConnectionError,
    errors.ConnectionLostError: ConnectionError,
    errors.AuthenticationError: PermissionError,
    errors.AccessDeniedError: PermissionError,
    errors.InvalidArgumentError: ValueError,
    errors.XMLError: ValueError,
    errors.NoMemoryError: MemoryError,
}


@pytest.fixture(autouse=True)
def _nothing_left_by_other_tests() -> None:
    for _ in range(8):
        forget()


# ---- the table ----


@pytest.mark.parametrize("number", ErrorNumber, ids=lambda number: number.name)
def test_every_code_has_its_class(number: ErrorNumber) -> None:
    assert (number.name in MEANING) != (number.name in UNSPECIFIC)
    assert BY_CODE.get(number, Error).__name__ == MEANING.get(number.name, "Error")


def test_the_table_holds_libvirt_codes_only() -> None:
    assert set(BY_CODE) <= {int(number) for number in ErrorNumber}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_default_code_of_a_class_maps_to_that_class(cls: type[Error]) -> None:
    assert cls("x").code == cls.default_code
    if "default_code" in vars(cls) and cls is not Error:
        assert issubclass(BY_CODE[cls.default_code], cls)


def test_every_kind_of_object_has_its_own_not_found_error() -> None:
    leaves = {BY_CODE[code] for code in BY_CODE if issubclass(BY_CODE[code], errors.NotFoundError)}
    assert leaves == set(errors.NotFoundError.__subclasses__())
    assert len(leaves) == 17


# ---- as exceptions ----


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_errors_derive_from_a_fitting_builtin(cls: type[Error]) -> None:
    expected = {builtin for ours, builtin in BUILTINS.items() if issubclass(cls, ours)}
    found = {base for base in cls.__mro__ if base.__module__ == "builtins"}
    assert {base for base in found if not any(issubclass(other, base) for other in found - {base})} == (
        expected or {Exception}
    )
    assert cls.__doc__


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_errors_survive_pickle_and_copy(cls: type[Error]) -> None:
    error = cls(
        "was nicht geht: ü", code=1, domain=2, level=3, function="virFoo", str1="a", str2="b", str3="c", int1=4, int2=5
    )
    error.note = "of my own"  # type: ignore[attr-defined]
    twins = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in [*twins, copy.copy(error), copy.deepcopy(error)]:
        assert type(twin) is cls
        assert vars(twin) == vars(error)
        assert (twin.args, str(twin), repr(twin)) == (error.args, str(error), repr(error))
    assert str(error) == error.message == error.args[0] == "was nicht geht: ü"


def test_a_recast_error_keeps_its_fields() -> None:
    error = Error("gone", code=38, domain=7, function="virFoo", str1="gone")
    other = error.recast(errors.ConnectionFailedError)
    assert type(other) is errors.ConnectionFailedError
    assert vars(other) == vars(error)


def test_a_subclass_of_the_user_survives_pickle() -> None:
    with pytest.raises(LookupError) as caught:
        raise MyError("mine", code=42)
    twin = pickle.loads(pickle.dumps(caught.value))
    assert (type(twin), twin.code, str(twin)) == (MyError, 42, "mine")


class MyError(errors.DomainNotFoundError):
    pass


# ---- errors that the test driver can be made to raise ----

METADATA_ELEMENT = 2

UNKNOWN_LISTING = ConnectListAllDomainsFlags(1 << 30)
UNKNOWN_GROUP = StatsGroup(1 << 30)
UNKNOWN_XML = DomainXMLFlags(1 << 30)

# By C functions of objects from the layer above.
LOOK_UPS: dict[str, tuple[type[Error], Callable[[Any, Any], object]]] = {
    "domain": (errors.DomainNotFoundError, lambda conn, domain: lib.virDomainLookupByName(conn, b"nobody")),
    "snapshot": (
        errors.DomainSnapshotNotFoundError,
        lambda conn, domain: lib.virDomainSnapshotLookupByName(domain, b"nobody", 0),
    ),
    "checkpoint": (
        errors.DomainCheckpointNotFoundError,
        lambda conn, domain: lib.virDomainCheckpointLookupByName(domain, b"nobody", 0),
    ),
    "metadata": (
        errors.MetadataNotFoundError,
        lambda conn, domain: lib.virDomainGetMetadata(domain, METADATA_ELEMENT, b"http://example.com/", 0),
    ),
    "network": (errors.NetworkNotFoundError, lambda conn, domain: lib.virNetworkLookupByName(conn, b"nobody")),
    "pool": (errors.StoragePoolNotFoundError, lambda conn, domain: lib.virStoragePoolLookupByName(conn, b"nobody")),
    "volume": (errors.StorageVolumeNotFoundError, lambda conn, domain: lib.virStorageVolLookupByKey(conn, b"nobody")),
    "node device": (
        errors.NodeDeviceNotFoundError,
        lambda conn, domain: lib.virNodeDeviceLookupByName(conn, b"nobody"),
    ),
    "interface": (errors.InterfaceNotFoundError, lambda conn, domain: lib.virInterfaceLookupByName(conn, b"nobody")),
}


@pytest.mark.parametrize("kind", LOOK_UPS)
def test_each_kind_of_missing_object_has_its_own_error(kind: str, conn: pyvirt.Connection) -> None:
    cls, look_up = LOOK_UPS[kind]
    with pytest.raises(cls) as caught:
        check(0 if look_up(conn._ptr, conn.domains["test"]._ptr) else -1, "virFoo")
    error = caught.value
    assert type(error) is cls
    assert error.code == cls.default_code
    assert error.domain in (ErrorDomain.TEST, ErrorDomain.DOMAIN)
    assert error.level == ErrorLevel.ERROR
    assert "not found" in error.message


def of_class(cls: type[Exception], function: str, call: Callable[[pyvirt.Connection], object]) -> object:
    return pytest.param(cls, function, call, id=f"{function}-{cls.__name__}")


@pytest.mark.parametrize(
    ("cls", "function", "call"),
    [
        of_class(errors.DomainNotFoundError, "virDomainLookupByName", lambda c: c.domains["x"]),
        of_class(errors.DomainNotFoundError, "virDomainLookupByID", lambda c: c.domains.get(id=99)),
        of_class(errors.DomainNotFoundError, "virDomainLookupByUUID", lambda c: c.domains.get(uuid=bytes(16))),
        of_class(errors.XMLError, "virDomainDefineXMLFlags", lambda c: c.domains.define("<domain/>")),
        of_class(errors.XMLError, "virDomainCreateXML", lambda c: c.domains.create("no XML")),
        of_class(errors.InvalidArgumentError, "virConnectListAllDomains", lambda c: c.domains.list(UNKNOWN_LISTING)),
        of_class(
            unless_lacking("virConnectGetAllDomainStats", errors.NotSupportedError)[0],
            "virConnectGetAllDomainStats",
            lambda c: c.domains.stats(UNKNOWN_GROUP),
        ),
        of_class(errors.OperationInvalidError, "virDomainRename", lambda c: c.domains["test"].rename("other")),
        of_class(
            errors.InvalidArgumentError, "virDomainGetXMLDesc", lambda c: c.domains["test"].xml_desc(flags=UNKNOWN_XML)
        ),
        of_class(Error, "virDomainCreateWithFlags", lambda c: c.domains["test"].start()),
        of_class(Error, "virDomainResume", lambda c: c.domains["test"].resume()),
        of_class(Error, "virDomainSaveFlags", lambda c: c.domains["test"].save("/nowhere/at/all")),
        of_class(Error, "virDomainRestoreFlags", lambda c: c.domains.restore("/nowhere/at/all")),
        of_class(errors.OperationUnsupportedError, "virDomainPMWakeup", lambda c: c.domains["test"].pm_wakeup()),
    ],
)
def test_a_failure_has_its_class_and_c_function(
    cls: type[Error], function: str, call: Callable[[pyvirt.Connection], object], conn: pyvirt.Connection
) -> None:
    with pytest.raises(cls) as caught:
        call(conn)
    assert type(caught.value) is cls
    assert caught.value.function == function
    assert caught.value.message


def test_a_failure_without_a_message_still_raises(conn: pyvirt.Connection) -> None:
    assert check(0, "virFoo") == 0
    with pytest.raises(Error, match="virFoo failed without an error message"):
        check(-1, "virFoo")


def test_an_error_is_reported_once(conn: pyvirt.Connection) -> None:
    with pytest.raises(errors.DomainNotFoundError):
        conn.domains["nobody"]
    with pytest.raises(Error, match="virFoo failed without an error message"):
        check(-1, "virFoo")


def test_the_missing_name_is_in_the_message_once(conn: pyvirt.Connection) -> None:
    for name in ("nobody", "o", "", "Domain not found"):  # libvirt's own text contains an o, too
        with pytest.raises(errors.DomainNotFoundError) as caught:
            conn.domains[name]
        assert str(caught.value) == f"Domain not found: {name!r}"
        assert caught.value.args == (str(caught.value),)


# ---- between the failed call and its check ----


def test_a_finaliser_that_fails_too_takes_only_its_own_error(conn: pyvirt.Connection) -> None:
    inner = []

    class Finaliser:
        def __del__(self) -> None:
            with pytest.raises(errors.DomainNotFoundError) as caught:
                conn.domains["inner"]
            inner.append(str(caught.value))

    garbage = Finaliser()
    pointer = lib.virNetworkLookupByName(conn._ptr, b"outer")
    del garbage
    with pytest.raises(errors.NetworkNotFoundError, match="outer"):
        check(0 if pointer else -1, "virNetworkLookupByName", conn)
    assert inner == ["Domain not found: 'inner'"]


def test_closing_handles_and_connections_leaves_the_error(conn: pyvirt.Connection) -> None:
    other = pyvirt.connect("test:///default")
    domain = other.domains["test"]
    pointer = lib.virNetworkLookupByName(conn._ptr, b"outer")
    domain.close()
    other.close()
    assert conn.domains["test"].state()  # nor does a call that succeeds
    with pytest.raises(errors.NetworkNotFoundError, match="outer"):
        check(0 if pointer else -1, "virNetworkLookupByName", conn)


def test_errors_that_are_not_taken_do_not_pile_up(conn: pyvirt.Connection) -> None:
    for number in range(100):
        assert not lib.virNetworkLookupByName(conn._ptr, b"net-%d" % number)
    found = []
    for _ in range(20):
        error = last_error("virNetworkLookupByName")
        found.append(error.message)
    named = [message for message in found if "'net-" in message]
    assert "'net-99'" in named[0]
    assert 1 <= len(named) <= 8


def test_forget_drops_the_pending_error() -> None:
    with pyvirt.connect("test:///default") as conn:
        assert not lib.virNetworkLookupByName(conn._ptr, b"x")
        forget()
        forget()
        with pytest.raises(Error, match="virFoo failed without an error message"):
            check(-1, "virFoo")


def test_an_error_survives_another_library_that_handles_errors() -> None:
    """For example libvirt-python in the same process: only one handler exists, and the last one set is used."""
    assert output_of(
        """
import ctypes, pyvirt
from pyvirt._core.call import check
HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
seen = []
theirs = HANDLER(lambda opaque, error: seen.append(error))
libvirt = ctypes.CDLL("libvirt.so.0")
with pyvirt.connect("test:///default") as conn:
    libvirt.virSetErrorFunc(None, theirs)
    for name in ("one", "two"):
        try:
            conn.domains[name]
        except pyvirt.DomainNotFoundError as error:
            print(error)
    assert len(seen) == 2
    try:
        check(-1, "virFoo")
    except pyvirt.Error as error:
        print(error)
"""
    ).splitlines() == ["Domain not found: 'one'", "Domain not found: 'two'", "virFoo failed without an error message"]


def test_a_failed_check_works_before_any_call_to_libvirt() -> None:
    """libvirt's own error is in thread-local memory, which is allocated at the first call that needs it."""
    assert output_of(
        """
from pyvirt import errors
from pyvirt._core.call import check
from pyvirt._core.lib import lib
for _ in range(3):
    try:
        check(-1, "virFoo")
    except errors.Error as error:
        print(error)
lib.pv_error_unsupported(b"virDomainFly", b"99.1.0", b"9.0.0")
try:
    check(-1, "virFoo")
except errors.NotSupportedError as error:
    print(error)
"""
    ).splitlines() == [
        *["virFoo failed without an error message"] * 3,
        "virDomainFly needs libvirt >= 99.1.0, this build has 9.0.0",
    ]
