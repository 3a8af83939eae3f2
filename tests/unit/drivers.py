# SPDX-License-Identifier: LGPL-2.1-or-later
"""What libvirt's test driver lacks: less from release to release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import pyvirt

T = TypeVar("T")

#: newer than 9.0: its test driver has learnt some of what the tests expect it to refuse
NEWER = pyvirt.library_version() >= (9, 1, 0)


def still_lacking(calls: Mapping[str, T], *learnt: str) -> dict[str, T]:
    """Leave out of *calls*, by C function, what the test driver of a newer libvirt has *learnt*."""
    assert set(learnt) <= calls.keys()
    return {function: call for function, call in calls.items() if not (NEWER and function in learnt)}


def check_closes(conn: pyvirt.Connection) -> None:
    """Close *conn* to ``test:///default``, and see that nothing keeps it open: an exception that somebody holds, say.

    All connections to that host of a process share it, and it begins anew when the last one is gone.
    """
    conn.domains.define("<domain type='test'><name>mark</name><memory>1</memory><os><type>hvm</type></os></domain>")
    conn.close()
    with pyvirt.connect("test:///default") as again:
        assert "mark" not in again.domains
