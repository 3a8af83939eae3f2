# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for a file descriptor, in a way that signals can interrupt."""

from __future__ import annotations

import select
from math import ceil

_LONGEST = 24 * 3600 * 1000


def wait_for(fd: int, timeout: float | None) -> bool:
    """Wait until *fd* is readable; return whether it is.

    :param timeout: seconds; ``None`` waits without end
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if timeout is None:
        while not poll.poll(_LONGEST):
            pass
        return True
    return bool(poll.poll(min(max(ceil(timeout * 1000), 0), _LONGEST)))
