# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs, migrations, backups and dirty rates.  libvirt's test driver has none, so these tests check errors and input."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import get_type_hints

import pytest

import pyvirt
from pyvirt._core.params import STRING, ULLONG, to_dict
from pyvirt.domain import Domain, migration
from pyvirt.domain._part import Part
from pyvirt.domain.backup import Backup
from pyvirt.domain.dirty_rate import DirtyRate
from pyvirt.domain.job import Job
from pyvirt.domain.migration import Migration, _Array
from pyvirt.enums import DomainAbortJobFlags, DomainMigrateFlags, params
from pyvirt.errors import ClosedError, InvalidArgumentError, NotSupportedError
from pyvirt.uri import URI
from pyvirt.xmldesc import XML
from tests.support.drivers import since
from tests.support.method_tables import check_closed, check_lacking, functions_named

ELSEWHERE = "test:///elsewhere"

Call = Callable[[Domain], object]


def nothing(done: int, total: int) -> None:
    raise AssertionError("there is no job to report of")


# (class, method): the C function, and a call that the driver lacks
TABLE: dict[tuple[type[Part], str], list[tuple[str, Call]]] = {
    (Job, "info"): [("virDomainGetJobInfo", lambda domain: Job(domain).info())],
    (Job, "stats"): [("virDomainGetJobStats", lambda domain: Job(domain).stats())],
    (Job, "wait"): [("virDomainGetJobInfo", lambda domain: Job(domain).wait(progress=nothing))],
    (Job, "abort"): [
        ("virDomainAbortJob", lambda domain: Job(domain).abort()),
        ("virDomainAbortJobFlags", lambda domain: Job(domain).abort(flags=DomainAbortJobFlags.POSTCOPY)),
    ],
    (Job, "watch"): [("virDomainGetJobInfo", lambda domain: Job(domain).watch(Job(domain).info, nothing))],
    (Backup, "begin"): [
        ("virDomainBackupBegin", lambda domain: Backup(domain).begin("<domainbackup/>")),
        ("virDomainBackupBegin", lambda domain: Backup(domain).begin("<a/>", checkpoint_xml="<b/>")),
    ],
    (Backup, "xml_desc"): [("virDomainBackupGetXMLDesc", lambda domain: Backup(domain).xml_desc())],
    (DirtyRate, "start"): [("virDomainStartDirtyRateCalc", lambda domain: DirtyRate(domain).start(5))],
    (Migration, "to"): [
        ("virDomainMigrate3", lambda domain: Migration(domain).to(domain.connection)),
        ("virDomainMigrate3", lambda domain: Migration(domain).to(domain.connection, progress=nothing)),
    ],
    (Migration, "max_speed"): [("virDomainMigrateGetMaxSpeed", lambda domain: Migration(domain).max_speed())],
    (Migration, "set_max_speed"): [("virDomainMigrateSetMaxSpeed", lambda domain: Migration(domain).set_max_speed(5))],
    (Migration, "max_downtime"): [("virDomainMigrateGetMaxDowntime", lambda domain: Migration(domain).max_downtime())],
    (Migration, "set_max_downtime"): [
        ("virDomainMigrateSetMaxDowntime", lambda domain: Migration(domain).set_max_downtime(5))
    ],
    (Migration, "compression_cache"): [
        ("virDomainMigrateGetCompressionCache", lambda domain: Migration(domain).compression_cache())
    ],
    (Migration, "set_compression_cache"): [
        ("virDomainMigrateSetCompressionCache", lambda domain: Migration(domain).set_compression_cache(5))
    ],
    (Migration, "start_post_copy"): [
        ("virDomainMigrateStartPostCopy", lambda domain: Migration(domain).start_post_copy())
    ],
}
ROWS = [(cls, name, function, call) for (cls, name), rows in TABLE.items() for function, call in rows]


def test_all_methods_are_in_the_table() -> None:
    there = {
        (cls, name) for cls in (Job, Backup, DirtyRate, Migration) for name in vars(cls) if not name.startswith("_")
    }
    assert there == {*TABLE, (DirtyRate, "stats")}


@pytest.mark.parametrize(("cls", "name", "function", "call"), ROWS)
def test_docstrings_name_the_c_function(cls: type[Part], name: str, function: str, call: Call) -> None:
    assert function in functions_named(getattr(cls, name))


@pytest.mark.parametrize(("cls", "name", "function", "call"), ROWS)
def test_calls_that_the_driver_lacks_raise_unsupported(
    domain: Domain, cls: type[Part], name: str, function: str, call: Call
) -> None:
    check_lacking(domain, function, call)


@pytest.mark.parametrize(("cls", "name", "function", "call"), ROWS)
def test_every_call_on_a_closed_connection_raises_closed_error(
    cls: type[Part], name: str, function: str, call: Call
) -> None:
    check_closed(call)


@since("virDomainListGetStats")
def test_dirty_rate_statistics_are_empty_where_the_driver_has_none(domain: Domain) -> None:
    assert DirtyRate(domain).stats() == {}
    domain.connection.close()
    with pytest.raises(ClosedError):
        DirtyRate(domain).stats()


def test_the_target_of_a_migration_chooses_the_c_function() -> None:
    with pyvirt.connect("test:///default") as conn, pyvirt.connect("test:///default") as other:
        to = Migration(conn.domains["test"]).to
        for uri in (ELSEWHERE, URI.parse(ELSEWHERE)):
            with pytest.raises(NotSupportedError, match="p2p") as caught:
                to(uri)
            assert caught.value.function == "virDomainMigrateToURI3"
        with pytest.raises(NotSupportedError, match="direct"):
            to(None, migrate_uri="tcp://elsewhere")
        with pytest.raises(InvalidArgumentError, match="peer-to-peer"):
            to(other, flags=DomainMigrateFlags.PEER2PEER)
        other.close()
        with pytest.raises(ClosedError):
            to(other)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "'speed'", lambda conn, to: to(conn, speed=5)),
        (TypeError, "'bandwidth.postcopy'", lambda conn, to: to(conn, **{"bandwidth.postcopy": 5})),
        (TypeError, "Connection or a URI .*, got int", lambda conn, to: to(5)),
        (TypeError, "'disks_port'", lambda conn, to: to(conn, disks_port="5")),
        (TypeError, "expected str, got int", lambda conn, to: to(conn, migrate_uri=5)),
        (TypeError, "expected str, got int", lambda conn, to: to(conn, migrate_disks=["vda", 5])),
        (TypeError, "'bandwidth'", lambda conn, to: to(conn, bandwidth=None)),
        (InvalidArgumentError, "negative", lambda conn, to: to(conn, bandwidth=-5)),
        (InvalidArgumentError, "'disks_port'", lambda conn, to: to(conn, disks_port=1 << 40)),
        (InvalidArgumentError, "NUL", lambda conn, to: to(conn, destination_name="a\0b")),
        (InvalidArgumentError, "NUL", lambda conn, to: to(conn, compression=["mt", "x\0"])),
        (InvalidArgumentError, "NUL", lambda conn, to: to("test\0:")),
        (
            InvalidArgumentError,
            "'migrate_disks' must not be an empty list",
            lambda conn, to: to(conn, migrate_disks=[]),
        ),
        (InvalidArgumentError, "too long", lambda conn, to: to(conn, {"x" * 80: 5})),
        (InvalidArgumentError, "too long", lambda conn, to: to(conn, {"x" * 80: ["a"]})),
        (OverflowError, "negative", lambda conn, to: to(conn, flags=-1)),
    ],
)
def test_invalid_arguments_of_a_migration_are_refused(
    domain: Domain, error: type[Exception], message: str, call: Callable[[pyvirt.Connection, object], object]
) -> None:
    with pytest.raises(error, match=message):
        call(domain.connection, Migration(domain).to)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (TypeError, lambda domain: Backup(domain).begin(["<domainbackup/>"])),  # type: ignore[arg-type]
        (InvalidArgumentError, lambda domain: Backup(domain).begin("<a/>", checkpoint_xml="\0")),
        (TypeError, lambda domain: DirtyRate(domain).start("5")),  # type: ignore[arg-type]
        (OverflowError, lambda domain: DirtyRate(domain).start(1 << 40)),
        (OverflowError, lambda domain: Migration(domain).set_max_speed(-1)),
        (OverflowError, lambda domain: Migration(domain).set_max_downtime(-1)),
        (OverflowError, lambda domain: Migration(domain).set_compression_cache(1 << 80)),
        (OverflowError, lambda domain: Job(domain).stats(flags=-1)),  # type: ignore[arg-type]
    ],
)
def test_invalid_arguments_of_other_calls_are_refused(domain: Domain, error: type[Exception], call: Call) -> None:
    with pytest.raises(error):
        call(domain)


# ---- parameters of a migration ----


def test_every_parameter_has_its_keyword_and_type() -> None:
    fields = {value for name, value in vars(params).items() if name.startswith("MIGRATE_PARAM_")}
    assert set(migration._TYPES) == fields
    keywords = get_type_hints(migration.MigrationParameters, localns={"XML": XML})
    assert set(keywords) == set(migration._FIELDS) == {field.replace(".", "_") for field in fields}
    kinds = {keyword: migration._TYPES[field] for keyword, field in migration._FIELDS.items()}
    texts = {keyword for keyword, kind in keywords.items() if kind is not int}
    assert texts == {keyword for keyword, kind in kinds.items() if kind == STRING}


def test_lists_become_repeated_parameters() -> None:
    with _Array({"migrate_disks": ["vda", "vdb"], "bandwidth": 5, "compression": ("mt",), "disks_uri": "x"}) as array:
        fields = [array.pointer[i].field for i in range(array.count)]
        assert len(fields) == array.count == 5
        assert to_dict(array.pointer, array.count) == {
            "bandwidth": 5,
            "disks_uri": "x",
            "migrate_disks": "vdb",  # the last of two
            "compression": "mt",
        }
        assert array.pointer[0].type == ULLONG


# ---- watching ----


def test_watch_returns_the_result_of_the_call(domain: Domain) -> None:
    caller = threading.current_thread()
    assert Job(domain).watch(lambda: threading.current_thread() is caller, nothing) is False
    assert Job(domain).watch(domain.is_active, nothing, interval=0.001) is True


def test_watch_raises_the_error_of_the_call(domain: Domain) -> None:
    def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Job(domain).watch(fail, nothing)


# ---- parts ----


def test_parts_compare_by_domain(domain: Domain) -> None:
    again = domain.connection.domains["test"]
    kinds: list[type[Part]] = [Job, Backup, DirtyRate, Migration]
    for cls in kinds:
        assert cls(domain) == cls(again)
        assert repr(cls(domain)) == f"<pyvirt.{cls.__name__} of {domain!r}>"
        with pytest.raises(AttributeError):
            cls(domain).typo = 1  # type: ignore[attr-defined]
