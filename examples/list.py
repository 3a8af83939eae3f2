# SPDX-License-Identifier: LGPL-2.1-or-later
"""List the domains of a host: ``python examples/list.py [URI]``.  Without a URI it uses libvirt's test driver."""

from __future__ import annotations

import sys

import pyvirt


def main(uri: str = "test:///default") -> None:
    with pyvirt.connect(uri, readonly=True) as conn:
        print(f"{conn.host.hostname()}: {len(conn.domains)} domains")
        for domain in conn.domains:
            info = domain.info()
            print(f"{domain.name:24} {info.state.name.lower():10} {info.vcpus:3} vCPUs {info.memory >> 20:8,} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
