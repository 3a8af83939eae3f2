#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A monitoring agent for any number of hosts: it reads states and CPU often, and disks less often.

monitor.py [URI...]
"""

from __future__ import annotations

import itertools
import sys
from contextlib import ExitStack

import pyvirt
from pyvirt import Collector, StatsGroup
from pyvirt.collector import CollectedFrame

OFTEN, SELDOM = StatsGroup.STATE | StatsGroup.CPU_TOTAL, StatsGroup.BLOCK
TICKS = 5


def show(frame: pyvirt.StatsFrame) -> str:
    running = frame.tables["domain"]["state.state"].values.tolist().count(pyvirt.DomainState.RUNNING)
    return f"{len(frame)} domains, {running} running"


def report(frame: CollectedFrame) -> None:
    print(show(frame), "with disks", sep=", ") if frame.groups & SELDOM else print(show(frame))
    for uri, problem in frame.errors.items():
        print(f"  {uri}: {problem}")
    for uuid, why in frame.missing.items():
        print(f"  {uuid} is {why.value}")


def main(uris: list[str]) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(pyvirt.connect(uri)) for uri in uris]
        collector = stack.enter_context(Collector(connections, groups={OFTEN: 0.1, SELDOM: 0.2}, deadline=1))
        ticks = iter(collector)
        for _ in itertools.repeat(None, TICKS):  # a real agent would never stop
            try:
                report(next(ticks))
            except (pyvirt.OperationTimeoutError, ConnectionError) as error:
                print(f"no host answers: {error}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["test:///default"])
