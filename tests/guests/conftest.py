# SPDX-License-Identifier: LGPL-2.1-or-later
"""A connection to the private QEMU.  Each test leaves no domains behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pyvirt
from pyvirt.testing.daemon import PrivateDaemon
from tests.support.guest_tools import emptied


@pytest.fixture
def qemu(qemu_daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    with emptied(qemu_daemon) as conn:
        yield conn
