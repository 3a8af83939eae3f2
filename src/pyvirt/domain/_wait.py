# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asking again and again."""

from __future__ import annotations

from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_PAUSE = 0.005


def moments(timeout: float | None, interval: float) -> Iterator[None]:
    """Yield whenever it is time to look: at once, after a few milliseconds, in the end every *interval* seconds.

    The last moment is *timeout* seconds after the first; ``None`` goes on without end.
    """
    end = None if timeout is None else monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        yield
        left = interval if end is None else end - monotonic()
        if left <= 0:
            return
        sleep(min(pause, left, interval))
        pause *= 1.5
