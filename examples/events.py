# SPDX-License-Identifier: LGPL-2.1-or-later
"""Print the lifecycle events of the domains of a host: ``python examples/events.py [URI]``.

Without a URI the example uses libvirt's test driver, and changes its domain so that there are events to print.
"""

from __future__ import annotations

import sys
import threading

import pyvirt
from pyvirt.events import ConnectionClosed, DomainLifecycle, EventsLost


def do_something(conn: pyvirt.Connection) -> None:
    domain = conn.domains["test"]
    domain.suspend()
    domain.resume()
    domain.destroy()


def main(uri: str | None = None) -> None:
    with pyvirt.connect(uri or "test:///default") as conn:
        listener = conn.events.listen(DomainLifecycle, ConnectionClosed)  # receives events from now on
        if uri is None:
            threading.Thread(target=do_something, args=[conn]).start()
        for event in listener:
            if isinstance(event, EventsLost):
                print(f"{event.count} events were lost")
            elif isinstance(event, ConnectionClosed):
                print("the connection is closed:", event.reason.name)
            else:
                print(f"{event.domain.name:24} {event.event.name:10} {event.detail!r}")
                if uri is None and event.event == pyvirt.DomainEventType.STOPPED:
                    break


if __name__ == "__main__":
    main(*sys.argv[1:])
