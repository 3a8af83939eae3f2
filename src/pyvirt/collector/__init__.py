# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics every few seconds, for months, from one host or many, that no sick guest can stall.

A QEMU that does not answer holds the first request that asks for its statistics for as long as it likes.  So a tick is
cut into small requests on several threads; one that takes too long is looked into (virDomainGetControlInfo tells at
once who is stuck), the rest of it is asked again, and the deadline holds whatever happens.

- ``collector.py``: the ticks, and the frame that one makes
- ``_host.py``: what is asked of one connection, and what it makes of the answers
- ``_requests.py``: the calls, each in a thread
- ``_one_by_one.py``: for drivers that have no bulk statistics
- ``_schedule.py``, ``_threads.py``: when, and on what
"""

from pyvirt.collector.collector import Collector
from pyvirt.collector.frame import CollectedDomains, CollectedFrame, CollectedRow, Missing

__all__ = ["CollectedDomains", "CollectedFrame", "CollectedRow", "Collector", "Missing"]
