# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migrations of real guests between two private daemons, and how fast guests write to their memory."""

from __future__ import annotations

import itertools
import os
import select
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

import pyvirt
import pyvirt.aio
from pyvirt.domain import Domain
from pyvirt.domain._wait import poll_times
from pyvirt.domain.dirty_rate import DirtyRate
from pyvirt.domain.job import Job
from pyvirt.domain.migration import Migration
from pyvirt.enums import (
    DomainCreateFlags,
    DomainDirtyRateStatus,
    DomainGetJobStatsFlags,
    DomainJobOperation,
    DomainJobType,
    DomainMigrateFlags,
    DomainMigrateMaxSpeedFlags,
    DomainRunningReason,
    DomainState,
    DomainXMLFlags,
    params,
)
from pyvirt.errors import (
    DomainNotFoundError,
    InvalidArgumentError,
    MigrationUnsafeError,
    NotSupportedError,
    OperationAbortedError,
    OperationInvalidError,
    XMLError,
)
from pyvirt.models import DomainStateReason
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import READY, DiskConfig, paused_guest, tiny_guest, write_boot_disk
from pyvirt.testing.pytest_plugin import skip_unless_in_ci
from pyvirt.uri import URI
from pyvirt.xmldesc import parse
from tests.support.guest_tools import emptied

Flags = DomainMigrateFlags
LIVE = Flags.LIVE | Flags.UNSAFE  # libvirt cannot know that the image is the same file on both sides
MIB = 1 << 20
LOAD = 64 * MIB
WHILE = 60  # seconds; more than anything takes
ARRIVED = DomainStateReason(DomainState.RUNNING, DomainRunningReason.MIGRATED)
COMPLETED = DomainGetJobStatsFlags.COMPLETED

names = (f"traveller-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def daemons(qemu_daemon: PrivateDaemon) -> Iterator[tuple[PrivateDaemon, PrivateDaemon]]:
    with (
        skip_unless_in_ci(),
        PrivateDaemon(hostname="here") as here,
        PrivateDaemon(hostname="there") as there,
    ):
        yield here, there


@pytest.fixture
def here(daemons: tuple[PrivateDaemon, PrivateDaemon]) -> Iterator[pyvirt.Connection]:
    with emptied(daemons[0]) as conn:
        yield conn


@pytest.fixture
def there(daemons: tuple[PrivateDaemon, PrivateDaemon]) -> Iterator[pyvirt.Connection]:
    with emptied(daemons[1]) as conn:
        yield conn


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_boot_disk(tmp_path_factory.mktemp("boot") / "boot.img")


@pytest.fixture
def guest(here: pyvirt.Connection, boot: Path) -> Domain:
    return here.domains.create(tiny_guest(next(names), boot))


@pytest.fixture
def heavy(here: pyvirt.Connection, boot: Path, tmp_path: Path) -> Domain:
    """A guest with much incompressible memory, limited to 1 MiB per second.

    Its migration takes a minute, so it is still running when this process gets no CPU for some seconds.
    """
    load = tmp_path / "load"
    load.write_bytes(os.urandom(LOAD))
    loader = f"loader,file={load},addr=0x400000,force-raw=on"
    xml = tiny_guest(
        next(names),
        boot,
        memory=2 * LOAD,
        elements="<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        f"<qemu:arg value='-device'/><qemu:arg value='{loader}'/></qemu:commandline>",
    )
    domain = here.domains.create(xml)
    Migration(domain).set_max_speed(1)
    return domain


@pytest.fixture
def migrate_uri(tmp_path: Path) -> str:
    return f"unix://{tmp_path}/migration"


def hear(daemon: PrivateDaemon, domain: Domain, words: bytes) -> bytes:
    """Resume a paused guest, send words to its serial port, and return its output once it has echoed them."""
    console = parse(domain.xml_desc()).find("devices/console")
    assert console is not None
    heard = b""
    file = os.open(daemon.path(str(console.attrib["tty"])), os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(file)  # which drops earlier output
        domain.resume()
        os.write(file, words)
        while not heard.endswith(words):
            assert select.select([file], [], [], WHILE)[0], f"just {heard!r}, then silence"
            heard += os.read(file, 1024)
    finally:
        os.close(file)
    return heard


# ---- successful migrations ----


def test_a_migrated_guest_continues_on_the_other_host(
    daemons: tuple[PrivateDaemon, PrivateDaemon],
    here: pyvirt.Connection,
    there: pyvirt.Connection,
    boot: Path,
    migrate_uri: str,
) -> None:
    guest = here.domains.create(tiny_guest(next(names), boot), flags=DomainCreateFlags.PAUSED)
    assert READY.encode() in hear(daemons[0], guest, b"are you there?")
    moved = Migration(guest).to(there, flags=LIVE | Flags.PAUSED, migrate_uri=migrate_uri)
    assert moved == there.domains[guest.name]
    assert moved.connection is there
    assert moved.state().state is DomainState.PAUSED
    assert hear(daemons[1], moved, b"and now?") == b"and now?"  # it has not rebooted
    assert len(here.domains) == 0
    with pytest.raises(DomainNotFoundError):
        guest.state()
    stats = Job(moved).stats(flags=COMPLETED)
    assert stats["type"] is DomainJobType.COMPLETED
    assert stats[params.DOMAIN_JOB_OPERATION] == DomainJobOperation.MIGRATION_IN
    assert int(stats[params.DOMAIN_JOB_DOWNTIME]) >= 0


@pytest.mark.parametrize("form", [str, URI.parse])
def test_a_peer_to_peer_migration_succeeds(
    daemons: tuple[PrivateDaemon, PrivateDaemon],
    here: pyvirt.Connection,
    there: pyvirt.Connection,
    guest: Domain,
    migrate_uri: str,
    form: Callable[[str], str | URI],
) -> None:
    nothing = Migration(guest).to(form(daemons[1].uri("qemu")), flags=LIVE, migrate_uri=migrate_uri)
    assert nothing is None
    assert there.domains[guest.name].state() == ARRIVED
    assert len(here.domains) == 0


def test_a_tunnelled_migration_succeeds(
    daemons: tuple[PrivateDaemon, PrivateDaemon], there: pyvirt.Connection, guest: Domain
) -> None:
    Migration(guest).to(daemons[1].uri("qemu"), flags=LIVE | Flags.TUNNELLED)
    assert there.domains[guest.name].state() == ARRIVED


def test_a_migration_may_change_name_and_configuration(
    there: pyvirt.Connection, guest: Domain, migrate_uri: str
) -> None:
    root = parse(guest.xml_desc(flags=DomainXMLFlags.MIGRATABLE))
    description = root.makeelement("description")
    description.text = "came from elsewhere"
    root.insert(1, description)
    moved = Migration(guest).to(
        there,
        flags=LIVE,
        migrate_uri=migrate_uri,
        destination_name="immigrant",
        destination_xml=root,
    )
    assert moved.name == "immigrant"
    assert moved.state() == ARRIVED
    assert parse(moved.xml_desc()).findtext("description") == "came from elsewhere"


def test_a_compressed_migration_succeeds(there: pyvirt.Connection, guest: Domain, migrate_uri: str) -> None:
    flags = LIVE | Flags.COMPRESSED | Flags.AUTO_CONVERGE
    moved = Migration(guest).to(
        there,
        flags=flags,
        migrate_uri=migrate_uri,
        compression=["mt", "xbzrle"],
        compression_mt_level=9,
        compression_mt_threads=2,
        compression_mt_dthreads=2,
        compression_xbzrle_cache=MIB,
        auto_converge_initial=30,
        auto_converge_increment=20,
        bandwidth=512,
    )
    assert params.DOMAIN_JOB_COMPRESSION_CACHE in Job(moved).stats(flags=COMPLETED)


def test_a_parallel_migration_succeeds(there: pyvirt.Connection, guest: Domain, migrate_uri: str) -> None:
    with pytest.raises(InvalidArgumentError, match="parallel"):
        Migration(guest).to(there, flags=LIVE, migrate_uri=migrate_uri, parallel_connections=2)
    moved = Migration(guest).to(there, flags=LIVE | Flags.PARALLEL, migrate_uri=migrate_uri, parallel_connections=2)
    assert moved.state() == ARRIVED


def test_a_migration_copies_the_disks(
    here: pyvirt.Connection, there: pyvirt.Connection, boot: Path, tmp_path: Path, migrate_uri: str
) -> None:
    images = [tmp_path / name for name in ("one", "two")]
    for image in images:
        image.write_bytes(os.urandom(MIB))
    xml = paused_guest(next(names), disks=[DiskConfig(image) for image in images])
    domain = here.domains.create(xml, flags=DomainCreateFlags.PAUSED)
    copy = tmp_path / "copy"
    copy.write_bytes(bytes(MIB))
    moved = Migration(domain).to(
        there,
        flags=LIVE | Flags.NON_SHARED_DISK,
        migrate_uri=migrate_uri,
        disks_uri=f"unix://{tmp_path}/disks",
        migrate_disks=["vdb"],
        destination_xml=domain.xml_desc(flags=DomainXMLFlags.MIGRATABLE).replace(str(images[1]), str(copy)),
    )
    assert copy.read_bytes() == images[1].read_bytes()
    sources = [source.get("file") for source in parse(moved.xml_desc()).iterfind("devices/disk/source")]
    assert sources == [str(images[0]), str(copy)]


def test_an_offline_migration_moves_the_configuration(here: pyvirt.Connection, there: pyvirt.Connection) -> None:
    domain = here.domains.define(paused_guest(next(names)))
    with pytest.raises(OperationInvalidError, match="not running"):
        Migration(domain).to(there)
    flags = Flags.OFFLINE | Flags.PERSIST_DEST | Flags.UNDEFINE_SOURCE
    moved = Migration(domain).to(there, flags=flags)
    assert moved.is_persistent()
    assert not moved.is_active()
    assert domain.name not in here.domains


# ---- during a migration ----


def test_an_exception_of_progress_aborts_the_migration(
    there: pyvirt.Connection, heavy: Domain, migrate_uri: str
) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        if total:
            seen.append((done, total))
        if len(seen) == 2:
            info, stats = Job(heavy).info(), Job(heavy).stats()
            assert info is not None
            assert info.type in (DomainJobType.UNBOUNDED, DomainJobType.BOUNDED)
            assert info.mem_total == info.data_total == total
            assert stats[params.DOMAIN_JOB_OPERATION] == DomainJobOperation.MIGRATION_OUT
            assert stats["type"] == info.type
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        Migration(heavy).to(there, flags=LIVE, migrate_uri=migrate_uri, progress=progress)
    assert 0 < seen[0][0] <= seen[1][0] < seen[1][1]
    assert heavy.state().state is DomainState.RUNNING
    assert Job(heavy).info() is None
    assert len(there.domains) == 0
    Migration(heavy).set_max_speed(0)
    assert Migration(heavy).to(there, flags=LIVE, migrate_uri=migrate_uri).state() == ARRIVED


def test_an_exception_of_progress_aborts_an_awaited_migration(
    daemons: tuple[PrivateDaemon, PrivateDaemon], heavy: Domain, migrate_uri: str
) -> None:
    def progress(done: int, total: int) -> None:
        if total:
            raise LookupError("enough")

    async def change_mind() -> None:
        async with (
            pyvirt.aio.connect(daemons[0].uri("qemu")) as source,
            pyvirt.aio.connect(daemons[1].uri("qemu")) as target,
        ):
            domain = await source.domains.get(heavy.name)
            with pytest.raises(LookupError, match="enough"):
                await domain.migration.to(target, flags=LIVE, migrate_uri=migrate_uri, progress=progress)
            await domain.job.wait(timeout=40)
            assert (await domain.state()).state is DomainState.RUNNING

    anyio.run(change_mind)


def test_a_migration_aborted_by_another_client_raises(
    daemons: tuple[PrivateDaemon, PrivateDaemon], there: pyvirt.Connection, heavy: Domain, migrate_uri: str
) -> None:
    with pyvirt.connect(daemons[0].uri("qemu")) as other:
        job = Job(other.domains[heavy.name])

        def progress(done: int, total: int) -> None:
            if total and job.info() is not None:
                job.abort()

        with pytest.raises(OperationAbortedError) as caught:
            Migration(heavy).to(daemons[1].uri("qemu"), flags=LIVE, migrate_uri=migrate_uri, progress=progress)
    assert caught.value.function == "virDomainMigrateToURI3"
    assert heavy.state().state is DomainState.RUNNING
    assert len(there.domains) == 0


def test_a_post_copy_migration_succeeds(there: pyvirt.Connection, heavy: Domain, migrate_uri: str) -> None:
    migration = Migration(heavy)
    started: list[int] = []

    def progress(done: int, total: int) -> None:
        if total and not started:
            migration.start_post_copy()
            started.append(done)

    moved = migration.to(there, flags=LIVE | Flags.POSTCOPY, migrate_uri=migrate_uri, progress=progress)
    assert started[0] < LOAD
    assert moved.state().state is DomainState.RUNNING
    with pytest.raises(OperationInvalidError):
        Migration(moved).start_post_copy()


def test_speed_downtime_and_cache_limits_are_set_and_read(guest: Domain) -> None:
    migration = Migration(guest)
    migration.set_max_speed(7)
    migration.set_max_speed(9, flags=DomainMigrateMaxSpeedFlags.POSTCOPY)
    assert (migration.max_speed(), migration.max_speed(flags=DomainMigrateMaxSpeedFlags.POSTCOPY)) == (7, 9)
    migration.set_max_downtime(500)
    assert migration.max_downtime() == 500
    migration.set_compression_cache(2 * MIB)
    assert migration.compression_cache() == 2 * MIB
    calls: list[Callable[[], object]] = [
        lambda: migration.set_max_speed(1 << 60),
        lambda: migration.set_max_downtime(1 << 60),
        lambda: migration.set_compression_cache(5),
        lambda: migration.start_post_copy(),
    ]
    for call in calls:
        with pytest.raises(pyvirt.Error):
            call()
    assert (migration.max_speed(), migration.max_downtime(), migration.compression_cache()) == (7, 500, 2 * MIB)


# ---- migrations that are refused ----


def test_impossible_migrations_are_refused(
    daemons: tuple[PrivateDaemon, PrivateDaemon],
    here: pyvirt.Connection,
    there: pyvirt.Connection,
    guest: Domain,
    migrate_uri: str,
) -> None:
    migration = Migration(guest)
    cases: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (MigrationUnsafeError, "shared storage", lambda: migration.to(there, flags=Flags.LIVE)),
        (pyvirt.Error, "same host", lambda: migration.to(here, flags=LIVE)),
        (pyvirt.Error, "/nowhere", lambda: migration.to("qemu+unix:///system?socket=/nowhere", flags=LIVE)),
        (pyvirt.Error, "'there'", lambda: migration.to(there, flags=LIVE)),  # a name that cannot be resolved
        (NotSupportedError, "direct", lambda: migration.to(None, flags=LIVE, migrate_uri=migrate_uri)),
        (InvalidArgumentError, "URI3", lambda: migration.to(there, flags=LIVE | Flags.PEER2PEER)),
        (NotSupportedError, "'nope'", lambda: migration.to(there, {"nope": 5}, flags=LIVE)),
        (InvalidArgumentError, "multiple", lambda: migration.to(there, {"migrate_uri": ["a", "b"]}, flags=LIVE)),
        (InvalidArgumentError, "0x40000000", lambda: migration.to(there, flags=Flags(1 << 30))),
        (XMLError, "junk", lambda: migration.to(there, flags=LIVE, destination_xml="junk")),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()
        assert guest.state().state is DomainState.RUNNING
        assert len(there.domains) == 0
        assert Job(guest).info() is None


# ---- the dirty rate ----


def test_the_dirty_rate_is_measured(here: pyvirt.Connection, boot: Path) -> None:
    domain = here.domains.create(tiny_guest(next(names), boot))
    rate = DirtyRate(domain)
    assert rate.stats()["dirtyrate.calc_status"] == DomainDirtyRateStatus.UNSTARTED
    with pytest.raises(NotSupportedError, match="100"):
        rate.start(100)
    rate.start(1)
    for _ in poll_times(WHILE, 0.1):
        stats = rate.stats()
        if stats["dirtyrate.calc_status"] == DomainDirtyRateStatus.MEASURED:
            break
    assert stats["dirtyrate.calc_status"] == DomainDirtyRateStatus.MEASURED
    assert stats["dirtyrate.calc_period"] == 1
    assert int(stats["dirtyrate.megabytes_per_second"]) >= 0
    domain.destroy()
    with pytest.raises(DomainNotFoundError):
        rate.start()
