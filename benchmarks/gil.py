# SPDX-License-Identifier: LGPL-2.1-or-later
"""Time a loop of pure Python beside a thread that waits in C:  gil.py BINDING URI

It reads lines "OPERATION CALLS" like worker.py.  "connect" opens a connection, so that the daemon can be stopped before
the first "loop".  "loop" times the loop; the first one also starts a thread that requests statistics.  For "C" no
thread runs beside the loop.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from time import perf_counter_ns

from operations import FLOOR, PYVIRT

TURNS = 1_000_000


def loop() -> int:
    """Keep the interpreter busy."""
    total = 0
    for number in range(TURNS):
        total += number & 3
    return total


def asker(binding: str, uri: str) -> Callable[[], None]:
    """Connect, and return a function that waits for an answer that does not come."""
    if binding == PYVIRT:
        import pyvirt

        collector = pyvirt.Collector(pyvirt.connect(uri), deadline=0.05)
        collector.collect()

        def tick() -> None:
            while True:
                try:
                    collector.collect()
                except pyvirt.OperationTimeoutError:
                    pass

        return tick

    import libvirt

    conn = libvirt.open(uri)
    return lambda: conn.getAllDomainStats() and None


def main(binding: str, uri: str) -> None:
    """Serve until standard input ends."""
    ask: Callable[[], None] | None = None
    for line in sys.stdin:
        operation, _ = line.split()
        if operation == "connect" and binding != FLOOR:
            ask = asker(binding, uri)
        elif operation == "loop" and ask is not None:
            threading.Thread(target=ask, daemon=True).start()
            ask = None
        start = perf_counter_ns()
        if operation == "loop":
            loop()
        print(perf_counter_ns() - start, flush=True)
    os._exit(0)  # a thread may still hang in a call


if __name__ == "__main__":
    main(*sys.argv[1:])
