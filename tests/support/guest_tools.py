# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections that leave no domains behind, and disk images."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyvirt
from pyvirt.enums import DomainUndefineFlags
from pyvirt.testing.daemon import PrivateDaemon

_ALL = (
    DomainUndefineFlags.SNAPSHOTS_METADATA | DomainUndefineFlags.CHECKPOINTS_METADATA | DomainUndefineFlags.MANAGED_SAVE
)


@contextmanager
def emptied(daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    """Connect to QEMU in a daemon, and remove every domain at the end."""
    with pyvirt.connect(daemon.uri("qemu")) as conn:
        yield conn
        for domain in conn.domains:
            persistent = domain.is_persistent()
            if domain.is_active():
                domain.destroy()
            if persistent:
                domain.undefine(flags=_ALL)


def qemu_img(*argv: object, cwd: Path | None = None) -> str:
    """Run qemu-img and return what it prints."""
    command = ["qemu-img", *map(str, argv)]
    return subprocess.run(command, check=True, cwd=cwd, capture_output=True, text=True).stdout
