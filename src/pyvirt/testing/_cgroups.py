# SPDX-License-Identifier: LGPL-2.1-or-later
"""Control groups of a private daemon: one in every hierarchy, as the root of its cgroup namespace.

libvirt names its groups only by the ids and names of domains, so two daemons would share them; and it does not remove
them if it is killed.  A separate group for each daemon solves both problems.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class ControlGroups:
    """Groups called *name*, one in every hierarchy; :meth:`remove` removes them with all groups below them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mounts = _hierarchies()
        for mount in self.mounts:
            group = mount / name
            group.mkdir()
            # A new cpuset of version 1 is empty, and processes cannot join it.
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (group / file).exists() and not (mount / "cgroup.controllers").exists():
                    (group / file).write_text((mount / file).read_text())

    def lines(self) -> str:
        """Return the input of ``private-libvirtd.sh``: a mount point and the name of the group per line."""
        return "".join(f"{mount} {self.name}\n" for mount in self.mounts)

    def remove(self) -> None:
        """Remove the groups."""
        for mount in self.mounts:
            for parent, _, _ in os.walk(mount / self.name, topdown=False):
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(parent)


def _hierarchies() -> list[Path]:
    """Return the mount points of the hierarchies that have controllers.

    If there are hierarchies of version 1, that of version 2 is left out: libvirt cannot use both at once.
    """
    mounts: dict[str, list[Path]] = {"cgroup": [], "cgroup2": []}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, directory, kind, options, *_ = line.split()
        named = any(option.startswith("name=") for option in options.split(","))
        if kind in mounts and not named and directory.startswith("/sys/fs/cgroup"):
            mounts[kind].append(Path(directory))
    return mounts["cgroup"] or mounts["cgroup2"]
