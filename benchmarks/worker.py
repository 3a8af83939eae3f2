# SPDX-License-Identifier: LGPL-2.1-or-later
"""The counterpart of ``floor.c`` for a binding:  worker.py BINDING URI DOMAIN

It reads lines "OPERATION CALLS" and answers each with the nanoseconds of that many calls, including the time in which
their results are dropped.
"""

from __future__ import annotations

import sys
from time import perf_counter_ns
from timeit import Timer

from operations import OPERATIONS, connect


def main(binding: str, uri: str, name: str) -> None:
    """Serve until standard input ends."""
    namespace, close = connect(binding, uri, name)
    timers = {
        # timeit turns the garbage collector off, but real programs have it on.
        operation.name: Timer(
            statement, f"import gc; gc.enable(); {operation.before}", timer=perf_counter_ns, globals=namespace
        )
        for operation in OPERATIONS.values()
        if (statement := operation.statement(binding)) is not None
    }
    for line in sys.stdin:
        operation, calls = line.split()
        print(timers[operation].timeit(int(calls)), flush=True)
    namespace.clear()
    close()


if __name__ == "__main__":
    main(*sys.argv[1:])
