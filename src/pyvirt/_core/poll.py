# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wait for a file descriptor; signals can interrupt it."""

from __future__ import annotations

import select
from math import ceil
from time import monotonic

_LONGEST = 24 * 3600 * 1000


def wait_readable(fd: int, timeout: float | None) -> bool:
    """Wait until *fd* is readable; return whether it is.

    :param timeout: seconds; ``None`` waits indefinitely
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    end = None if timeout is None else monotonic() + timeout
    while True:
        left = _LONGEST if end is None else min(max((end - monotonic()) * 1000, 0), _LONGEST)
        if poll.poll(ceil(left)):
            return True
        if end is not None and monotonic() >= end:
            return False
