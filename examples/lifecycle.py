# SPDX-License-Identifier: LGPL-2.1-or-later
"""Define, start, change and remove a domain of libvirt's test driver: ``python examples/lifecycle.py``."""

from __future__ import annotations

import pyvirt
from pyvirt import DomainState, xmldesc


def main() -> None:
    with pyvirt.connect("test:///default") as conn:
        domain = conn.domains.define(xmldesc.domain("example", type="test", memory=2 << 30, vcpus=2))
        print("defined ", domain.name, domain.uuid, domain.state().state.name)

        domain.start()
        domain.suspend()
        print("paused  ", repr(domain.state()))
        domain.resume()
        domain.shutdown()
        domain.wait_for(DomainState.SHUTOFF, timeout=60)

        with domain.edit() as root:
            next(root.iter("vcpu")).text = "4"
        domain.start()
        print("larger  ", domain.info().vcpus, "vCPUs under id", domain.id)

        domain.destroy()
        domain.undefine()
        try:
            conn.domains["example"]
        except pyvirt.DomainNotFoundError as error:
            print("removed ", error)


if __name__ == "__main__":
    main()
