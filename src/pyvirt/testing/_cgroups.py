# SPDX-License-Identifier: LGPL-2.1-or-later
"""Control groups of a private daemon: one in every hierarchy, the root of its cgroup namespace.

libvirt names its groups after domain ids and names alone, so two daemons would share them, and leaves them
behind when it is killed.  Below a group of our own neither happens.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class ControlGroups:
    """The groups named *name*, made at once; :meth:`remove` takes them away with all below them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mounts = _hierarchies()
        for mount in self.mounts:
            group = mount / name
            group.mkdir()
            # A new cpuset of version 1 is empty and takes no process.
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (group / file).exists() and not (mount / "cgroup.controllers").exists():
                    (group / file).write_text((mount / file).read_text())

    def lines(self) -> str:
        """Return what ``private-libvirtd.sh`` reads: a mount point and the group's name per line."""
        return "".join(f"{mount} {self.name}\n" for mount in self.mounts)

    def remove(self) -> None:
        for mount in self.mounts:
            for parent, _, _ in os.walk(mount / self.name, topdown=False):
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(parent)


def _hierarchies() -> list[Path]:
    """Return the mount points of the hierarchies that have controllers.

    Where there are hierarchies of version 1, version 2 is left out: libvirt cannot use both of them at once.
    """
    mounts: dict[str, list[Path]] = {"cgroup": [], "cgroup2": []}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, directory, kind, options, *_ = line.split()
        named = any(option.startswith("name=") for option in options.split(","))
        if kind in mounts and not named and directory.startswith("/sys/fs/cgroup"):
            mounts[kind].append(Path(directory))
    return mounts["cgroup"] or mounts["cgroup2"]
