# SPDX-License-Identifier: LGPL-2.1-or-later
"""The private QEMU, left without domains after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest_tools import emptied

import pyvirt
from pyvirt.testing.daemon import PrivateDaemon


@pytest.fixture
def qemu(qemu_daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    with emptied(qemu_daemon) as conn:
        yield conn
