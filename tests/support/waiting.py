# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

#: seconds to wait for something that usually takes milliseconds
LIMIT = 60


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until *condition* is true."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


async def eventually(condition: Callable[[], object]) -> None:
    """Wait in a task until *condition* is true."""
    with anyio.fail_after(LIMIT):
        while not condition():
            await anyio.sleep(0.001)
