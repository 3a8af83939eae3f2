# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots, checkpoints and backups of a real guest that boots from a qcow2 image."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.domain.backup import Backup
from pyvirt.domain.blockjob import chain_of
from pyvirt.domain.checkpoints import Checkpoints
from pyvirt.domain.job import Job
from pyvirt.domain.snapshots import Snapshots
from pyvirt.enums import (
    DomainCheckpointCreateFlags,
    DomainCheckpointDeleteFlags,
    DomainCheckpointXMLFlags,
    DomainGetJobStatsFlags,
    DomainJobOperation,
    DomainJobType,
    DomainQemuMonitorCommandFlags,
    DomainSnapshotCreateFlags,
    DomainSnapshotDeleteFlags,
    DomainSnapshotListFlags,
    DomainSnapshotRevertFlags,
    DomainState,
    params,
)
from pyvirt.errors import (
    DomainBackupNotFoundError,
    DomainCheckpointNotFoundError,
    NotSupportedError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
    XMLError,
)
from pyvirt.qemu import QemuDomain
from pyvirt.testing.guests import DiskConfig, paused_guest, write_boot_disk
from pyvirt.xmldesc import parse
from tests.support.guest_tools import qemu_img

CLUSTER = 1 << 16  # bytes of a qcow2 image
SIZE = 1 << 20
WHILE = 60  # seconds; more than any job takes
COMPLETED, KEEP = DomainGetJobStatsFlags.COMPLETED, DomainGetJobStatsFlags.KEEP_COMPLETED

names = (f"snapshots-{number}" for number in itertools.count())


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    boot = write_boot_disk(tmp_path / "boot.img")
    qemu_img("convert", "-O", "qcow2", boot, tmp_path / "disk")
    return tmp_path / "disk"


@pytest.fixture
def guest(qemu: pyvirt.Connection, disk: Path) -> Domain:
    image = DiskConfig(disk, format="qcow2", target="hda", bus="ide")
    domain = qemu.domains.define(paused_guest(next(names), disks=[image], serial=disk.with_name("serial")))
    domain.start()
    return domain


def write(domain: Domain, pattern: int, cluster: int) -> None:
    """Fill a cluster of the disk, as the guest would."""
    for command in (f"write -P {pattern} {cluster * CLUSTER} {CLUSTER}", "flush"):
        answer = QemuDomain(domain).monitor_command(
            f'qemu-io -d ide0-0-0 "{command}"', flags=DomainQemuMonitorCommandFlags.HMP
        )
        assert answer == ""


def holds(image: Path, pattern: int, cluster: int) -> bool:
    """Return whether a cluster of an unused image is filled with *value*."""
    command = f"read -P {pattern} {cluster * CLUSTER} {CLUSTER}"
    done = subprocess.run(["qemu-io", "-r", "-U", "-c", command, str(image)], capture_output=True, text=True)
    return "verification failed" not in done.stdout and done.returncode == 0


def clusters(*argv: object) -> set[int]:
    """Return the clusters that an image contains itself."""
    rows = json.loads(qemu_img("map", "-U", "--output=json", *argv))
    has = [row for row in rows if row["data"] and row["depth"] == 0]
    return {place // CLUSTER for row in has for place in range(row["start"], row["start"] + row["length"], CLUSTER)}


# ---- snapshots ----


def test_reverting_restores_memory_and_disk(guest: Domain, disk: Path) -> None:
    snapshots = Snapshots(guest)
    write(guest, 1, 3)
    first = snapshots.create(name="first", description="with ones")
    write(guest, 2, 3)
    second = snapshots.create(name="second")
    assert snapshots.list(DomainSnapshotListFlags.TOPOLOGICAL) == [first, second]
    assert second.parent() == first
    assert first.parent() is None
    assert [
        snapshot["name"] for snapshot in json.loads(qemu_img("info", "-U", "--output=json", disk))["snapshots"]
    ] == [
        "first",
        "second",
    ]
    first.revert(flags=DomainSnapshotRevertFlags.PAUSED)
    assert guest.state().state is DomainState.PAUSED
    assert snapshots.current() == first
    assert holds(disk, 1, 3)
    second.revert()
    assert guest.state().state is DomainState.RUNNING
    assert second.is_current()
    guest.destroy()
    assert holds(disk, 2, 3)
    assert not holds(disk, 1, 3)


def test_snapshots_are_deleted_and_redefined(guest: Domain, disk: Path) -> None:
    snapshots = Snapshots(guest)
    first = snapshots.create(name="first")
    for name in ("second", "third"):
        snapshots.create(name=name)
    first.delete(flags=DomainSnapshotDeleteFlags.CHILDREN_ONLY)
    assert snapshots.names() == ["first"]
    document = first.xml_desc()
    first.delete(flags=DomainSnapshotDeleteFlags.METADATA_ONLY)
    assert len(snapshots) == 0
    again = snapshots.create(document, flags=DomainSnapshotCreateFlags.REDEFINE | DomainSnapshotCreateFlags.CURRENT)
    again.revert()
    assert snapshots.current() == again
    again.delete()
    assert "snapshots" not in json.loads(qemu_img("info", "-U", "--output=json", disk))


def test_an_external_snapshot_adds_an_image(guest: Domain, disk: Path) -> None:
    snapshots = Snapshots(guest)
    snapshot = snapshots.create(
        name="apart", flags=DomainSnapshotCreateFlags.DISK_ONLY | DomainSnapshotCreateFlags.ATOMIC
    )
    assert snapshots.list(DomainSnapshotListFlags.EXTERNAL) == [snapshot]
    assert len(chain_of(guest, "hda")) == 2
    write(guest, 1, 3)
    assert not holds(disk, 1, 3)
    if guest.connection.lib_version() < (9, 9, 0):
        with pytest.raises(NotSupportedError, match="external"):
            snapshot.revert()
        assert guest.state().state is DomainState.RUNNING
    snapshot.delete()
    assert len(chain_of(guest, "hda")) == 1
    assert len(snapshots) == 0
    guest.destroy()
    assert holds(disk, 1, 3)


def test_impossible_snapshots_are_refused(guest: Domain) -> None:
    snapshots = Snapshots(guest)
    with pytest.raises(NotSupportedError, match="agent"):
        snapshots.create(flags=DomainSnapshotCreateFlags.DISK_ONLY | DomainSnapshotCreateFlags.QUIESCE)
    with pytest.raises(XMLError, match="can't contain '/'"):
        snapshots.create(name="/etc/passwd")
    nowhere = "<disks><disk name='hda'><source file='/nowhere/at all'/></disk></disks>"
    with pytest.raises(pyvirt.Error, match="/nowhere"):
        snapshots.create(f"<domainsnapshot>{nowhere}</domainsnapshot>", flags=DomainSnapshotCreateFlags.DISK_ONLY)
    assert len(snapshots) == 0
    assert len(chain_of(guest, "hda")) == 1


# ---- checkpoints ----


def test_a_checkpoint_counts_what_has_changed_since(guest: Domain) -> None:
    checkpoints = Checkpoints(guest)
    first = checkpoints.create(name="first", description="before")
    write(guest, 1, 3)

    def changed(name: str) -> int:
        flags = DomainCheckpointXMLFlags.SIZE | DomainCheckpointXMLFlags.NO_DOMAIN
        disk = parse(checkpoints[name].xml_desc(flags=flags)).find("disks/disk")
        assert disk is not None
        return int(disk.attrib["size"])

    assert changed("first") == CLUSTER
    second = checkpoints.create(name="second")
    write(guest, 2, 5)
    assert (changed("first"), changed("second")) == (2 * CLUSTER, CLUSTER)
    assert checkpoints.roots() == [first]
    assert checkpoints.leaves() == first.children() == [second]
    assert (first.parent(), second.parent()) == (None, first)
    with pytest.raises(OperationFailedError, match="already exists"):
        checkpoints.create(name="second")
    second.delete()
    assert changed("first") == 2 * CLUSTER


def test_a_checkpoint_is_redefined_from_its_document(guest: Domain) -> None:
    checkpoints = Checkpoints(guest)
    document = checkpoints.create(name="first").xml_desc()
    checkpoints["first"].delete(flags=DomainCheckpointDeleteFlags.METADATA_ONLY)
    assert checkpoints.list() == []
    flags = DomainCheckpointCreateFlags.REDEFINE | DomainCheckpointCreateFlags.REDEFINE_VALIDATE
    assert checkpoints.create(document, flags=flags).xml_desc() == document


def test_a_checkpoint_of_an_inactive_domain_is_refused(guest: Domain) -> None:
    guest.destroy()
    with pytest.raises(OperationUnsupportedError, match="inactive"):
        Checkpoints(guest).create()
    assert len(Checkpoints(guest)) == 0


# ---- backups ----


def push(target: Path, since: str | None = None) -> str:
    incremental = "" if since is None else f"<incremental>{since}</incremental>"
    return (
        f"<domainbackup mode='push'>{incremental}<disks><disk name='hda' type='file'><target file='{target}'/>"
        "<driver type='qcow2'/></disk></disks></domainbackup>"
    )


def test_push_backups_are_full_and_then_incremental(guest: Domain, disk: Path, tmp_path: Path) -> None:
    backup, job = Backup(guest), Job(guest)
    write(guest, 1, 3)
    backup.begin(push(tmp_path / "full"), checkpoint_xml="<domaincheckpoint><name>monday</name></domaincheckpoint>")
    job.wait(timeout=WHILE)
    stats = job.stats(flags=COMPLETED | KEEP)
    assert stats["type"] is DomainJobType.COMPLETED
    assert stats[params.DOMAIN_JOB_OPERATION] == DomainJobOperation.BACKUP
    assert stats[params.DOMAIN_JOB_SUCCESS] is True
    assert stats[params.DOMAIN_JOB_DISK_PROCESSED] == stats[params.DOMAIN_JOB_DISK_TOTAL] == SIZE
    assert job.stats(flags=COMPLETED) == stats
    assert job.stats(flags=COMPLETED) == {"type": DomainJobType.NONE}
    assert job.info() is None
    assert job.stats() == {"type": DomainJobType.NONE}
    assert qemu_img("compare", "-U", disk, tmp_path / "full").startswith("Images are identical")

    write(guest, 2, 5)
    backup.begin(push(tmp_path / "more", since="monday"))
    job.wait(timeout=WHILE)
    assert clusters(tmp_path / "more") == {5}
    assert holds(tmp_path / "more", 2, 5)
    assert not holds(tmp_path / "full", 2, 5)
    assert [checkpoint.name for checkpoint in Checkpoints(guest)] == ["monday"]


def test_a_pull_backup_is_read_over_nbd(guest: Domain, disk: Path, tmp_path: Path) -> None:
    backup, job, socket = Backup(guest), Job(guest), tmp_path / "nbd"
    Checkpoints(guest).create(name="monday")
    write(guest, 1, 3)
    backup.begin(
        f"<domainbackup mode='pull'><incremental>monday</incremental><server transport='unix' socket='{socket}'/>"
        "<disks><disk name='hda' type='file' exportname='out' exportbitmap='changes'>"
        f"<scratch file='{tmp_path / 'scratch'}'/></disk></disks></domainbackup>"
    )
    write(guest, 2, 3)  # the backup does not contain it
    out = f"driver=nbd,export=out,server.type=unix,server.path={socket}"
    changed = json.loads(
        qemu_img("map", "--output=json", "--image-opts", f"{out},x-dirty-bitmap=qemu:dirty-bitmap:changes")
    )
    assert [(row["start"], row["length"]) for row in changed if not row["data"]] == [(3 * CLUSTER, CLUSTER)]
    qemu_img("convert", "--image-opts", out, "-O", "raw", tmp_path / "copy")
    assert holds(tmp_path / "copy", 1, 3)

    assert "exportbitmap='changes'" in backup.xml_desc()
    info = job.info()
    assert info is not None
    assert info.type is DomainJobType.UNBOUNDED
    assert job.stats()[params.DOMAIN_JOB_OPERATION] == DomainJobOperation.BACKUP
    with pytest.raises(OperationTimeoutError, match=r"'snapshots-\d+' had not ended after 0\.05 s"):
        job.wait(timeout=0.05)
    job.abort()
    job.wait(timeout=WHILE)
    assert job.stats(flags=COMPLETED)["type"] is DomainJobType.COMPLETED  # such a backup ends by an abort
    with pytest.raises(DomainBackupNotFoundError):
        backup.xml_desc()
    with pytest.raises(OperationInvalidError, match="no job is active"):
        job.abort()
    guest.destroy()
    assert holds(disk, 2, 3)


def test_impossible_backups_are_refused(guest: Domain, tmp_path: Path) -> None:
    backup, point = Backup(guest), "<domaincheckpoint><name>point</name></domaincheckpoint>"
    for error, xml in {
        XMLError: "no XML",
        DomainCheckpointNotFoundError: push(tmp_path / "more", since="never"),
        pyvirt.Error: push(Path("/nowhere/at all")),
    }.items():
        with pytest.raises(error):
            backup.begin(xml, checkpoint_xml=point)
    with pytest.raises(XMLError, match="domaincheckpoint"):
        backup.begin(push(tmp_path / "full"), checkpoint_xml="<domainsnapshot/>")
    assert len(Checkpoints(guest)) == 0
    assert Job(guest).info() is None
    guest.destroy()
    with pytest.raises(OperationUnsupportedError, match="inactive"):
        backup.begin(push(tmp_path / "full"))


# ---- jobs ----


def test_a_watched_save_reports_progress(guest: Domain, tmp_path: Path) -> None:
    job, seen = Job(guest), list[tuple[int, int]]()
    result = job.watch(
        lambda: guest.save(str(tmp_path / "saved")), lambda done, total: seen.append((done, total)), interval=0.001
    )
    assert result is None
    assert guest.state().state is DomainState.SHUTOFF
    assert all(0 <= done <= total for done, total in seen)
    assert job.stats(flags=COMPLETED)[params.DOMAIN_JOB_OPERATION] == DomainJobOperation.SAVE
    for call in (job.info, job.stats, job.abort, job.wait):
        with pytest.raises(OperationInvalidError, match="not running"):
            call()


def test_an_error_of_a_watched_call_is_raised(guest: Domain) -> None:
    with pytest.raises(pyvirt.Error, match="/nowhere") as caught:
        Job(guest).watch(lambda: guest.save("/nowhere/at all"), lambda done, total: None)
    assert caught.value.function == "virDomainSaveFlags"
    assert guest.state().state is DomainState.RUNNING
