# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics every few seconds, for months, from one host or many; a guest that hangs does not delay the others.

A QEMU that does not answer blocks the first request for its statistics indefinitely.  So a tick consists of small
requests on several threads.  A request that takes too long is probed: virDomainGetControlInfo returns immediately and
shows which guest is stuck.  The other domains of that request are asked again.  Each tick ends by its deadline in any
case.

- ``collector.py``: the ticks, and the frame that each of them returns
- ``frame.py``: the frame, with the domains that are missing
- ``_host.py``: the requests to one host, and its answers
- ``_requests.py``: the calls, each in a thread
- ``_one_by_one.py``: statistics for drivers that have no bulk statistics
- ``_schedule.py``: which groups are due at which time
- ``_threads.py``: threads for calls that may never return
"""

from pyvirt.collector.collector import Collector
from pyvirt.collector.frame import CollectedDomains, CollectedFrame, CollectedRow, Missing

__all__ = ["CollectedDomains", "CollectedFrame", "CollectedRow", "Collector", "Missing"]
