# SPDX-License-Identifier: LGPL-2.1-or-later
"""``@pytest.mark.libvirt("7.8", "why")``: a test that needs this release of libvirt.

With an older libvirt the test is deselected, not skipped: the machine lacks nothing.  With :data:`WHOLE` and newer
releases all tests run; in continuous integration a deselected test is an error then.
"""

from __future__ import annotations

import os

import pytest

import pyvirt

#: with this libvirt all tests run
WHOLE = (9, 0, 0)

_deselected = pytest.StashKey[int]()


def _needed(item: pytest.Item) -> tuple[int, ...]:
    """Return the newest libvirt that a mark of *item* asks for."""
    needed: tuple[int, ...] = ()
    for mark in item.iter_markers("libvirt"):
        version, _why = mark.args  # both are required
        needed = max(needed, tuple(map(int, version.split("."))))
    return needed


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    present = pyvirt.library_version()
    out = [item for item in items if _needed(item) > present]
    config.stash[_deselected] = len(out)
    if not out:
        return
    if present >= WHOLE and os.environ.get("CI"):
        names = ", ".join(item.nodeid for item in out)
        raise pytest.UsageError(
            f"with libvirt {_text(present)} all tests must run, but these would be deselected: {names}"
        )
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in set(out)]


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    present = _text(pyvirt.library_version())
    return f"libvirt {present}: {config.stash.get(_deselected, 0)} tests deselected, which need a newer one"


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
