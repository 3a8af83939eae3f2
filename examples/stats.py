# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read the statistics of all domains twice: ``python examples/stats.py [URI]``.

Without a URI the example generates a host of 1,000 domains in libvirt's test driver.  That driver reports only the
state of a domain, and no counters.
"""

from __future__ import annotations

import sys
import time

import pyvirt
from pyvirt.testing.hosts import temporary_host


def main(uri: str) -> None:
    with pyvirt.connect(uri, readonly=True) as conn:
        before = conn.domains.stats()
        time.sleep(1)
        now = conn.domains.stats()

    # Each field is a column over all domains: no Python object is made for a value before the program reads it.
    print(f"{len(now):,} domains, {now.fields:,} values, {now.nbytes >> 10:,} KiB")
    for name, table in now.tables.items():
        print(f"  {name}: {table.rows} rows of {', '.join(table)}")

    # Counters, per second.  None means that a domain has no rate: it is new, or its counter went back.
    for name, rates in now.rates(before).items():
        for column, rate in rates.items():
            print(f"  {name}: {column} grew by {sum(filter(None, rate.to_list())):,.0f} a second in all")

    # The same data as plain dictionaries, with libvirt's own names.
    print(now.to_dicts()[0])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with temporary_host(domains=1000) as generated:
            main(generated)
