# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measure the cost of an event on its way from libvirt to the program:  events.py FORM URI

FORM is ``libvirt-python``, or for pyvirt ``subscribe``, ``listen`` or ``chunks``.  Like worker.py it reads lines
"OPERATION COUNT".  It answers each with the nanoseconds of processor time, in all threads together, of that many
events.  The measurement begins when the events wait in libvirt and ends when the program has counted them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

#: makes a number of events, from all domains in turn; the events wait in libvirt
Produce = Callable[[int], None]
#: waits until that number of events has arrived
Consume = Callable[[int], None]

STEPS = 1000  # a domain is suspended, and resumed this many events later


def producer(suspend: list[Callable[[], object]], resume: list[Callable[[], object]]) -> Produce:
    """Return a function that makes domains produce events; each call continues where the last one stopped."""

    def turns() -> Iterator[Callable[[], object]]:
        while True:
            yield from suspend
            yield from resume

    calls = turns()

    def produce(count: int) -> None:
        for _, call in zip(range(count), calls, strict=False):
            call()

    return produce


def with_libvirt_python(uri: str) -> tuple[Produce, Consume]:
    """Use libvirt's own loop, and a callback that counts events."""
    import libvirt

    libvirt.virEventRegisterDefaultImpl()
    conn = libvirt.open(uri)
    domains = conn.listAllDomains()[:STEPS]
    seen = 0

    def callback(*_: object) -> None:
        nonlocal seen
        seen += 1

    conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, callback, None)

    def consume(count: int) -> None:
        nonlocal seen
        while seen < count:
            libvirt.virEventRunDefaultImpl()
        seen = 0

    return producer([domain.suspend for domain in domains], [domain.resume for domain in domains]), consume


def with_pyvirt(form: str, uri: str) -> tuple[Produce, Consume]:
    """Pause pyvirt's loop while events are made, and count the events that it delivers."""
    import pyvirt
    from pyvirt._core.lib import lib
    from pyvirt.events import DomainLifecycle

    conn = pyvirt.connect(uri)
    domains = conn.domains.list()[:STEPS]
    make = producer([domain.suspend for domain in domains], [domain.resume for domain in domains])
    seen = 0

    def produce(count: int) -> None:
        lib.pv_loop_pause(10_000)
        make(count)

    def callback(event: DomainLifecycle) -> None:
        nonlocal seen
        seen += 1

    def wait_for_callbacks(count: int) -> None:
        nonlocal seen
        lib.pv_loop_resume()
        while seen < count:
            time.sleep(0.001)
        seen = 0

    def iterate(count: int) -> None:
        lib.pv_loop_resume()
        for number, _ in enumerate(listener, 1):
            if number == count:
                return

    def take_chunks(count: int) -> None:
        lib.pv_loop_resume()
        while count > 0:
            listener.wait()
            count -= len(listener.take())

    if form == "subscribe":
        conn.events.subscribe(DomainLifecycle, callback)
        return produce, wait_for_callbacks
    listener = conn.events.listen(DomainLifecycle, buffer=1_000_000)
    return produce, iterate if form == "listen" else take_chunks


def main(form: str, uri: str) -> None:
    """Serve until standard input ends."""
    produce, consume = with_libvirt_python(uri) if form == "libvirt-python" else with_pyvirt(form, uri)
    for line in sys.stdin:
        count = int(line.split()[1])
        produce(count)
        begun = time.process_time_ns()
        consume(count)
        print(time.process_time_ns() - begun, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
