# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read the state of many domains at the same time: ``python examples/async_monitor.py [URI] [SECONDS]``.

With SECONDS it repeats this at that interval.  It needs anyio: ``pip install 'pyvirt[aio]'``.  The same code also runs
on trio.
"""

from __future__ import annotations

import sys

import anyio

import pyvirt.aio


async def read_state(domain: pyvirt.aio.Domain, table: dict[str, str]) -> None:
    """Add the line of one domain to *table*."""
    try:
        info = await domain.info(timeout=5)
        table[domain.name] = f"{info.state.name.lower():8} {info.vcpus:2} vCPUs {info.memory >> 20:6,} MiB"
    except pyvirt.DomainNotFoundError:
        table[domain.name] = "deleted"
    except pyvirt.OperationTimeoutError as error:
        table[domain.name] = str(error)


async def main(uri: str, interval: float, rounds: int) -> None:
    async with pyvirt.aio.connect(uri, timeout=10, max_requests=4) as conn:
        for number in range(rounds):
            table: dict[str, str] = {}
            async with anyio.create_task_group() as group:
                async for domain in conn.domains:
                    group.start_soon(read_state, domain, table)
            print(f"{await conn.host.hostname()}: {len(table)} domains")
            for name, line in sorted(table.items()):
                print(f"  {name:12} {line}")
            if number < rounds - 1:
                await anyio.sleep(interval)


if __name__ == "__main__":
    uri = sys.argv[1] if len(sys.argv) > 1 else "test:///default"
    if len(sys.argv) > 2:
        anyio.run(main, uri, float(sys.argv[2]), sys.maxsize)
    else:
        anyio.run(main, uri, 0, 1)
