# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics from the test driver of any libvirt, for tests of other things and for programs that tests run."""

from __future__ import annotations

from collections.abc import Sequence

import pyvirt
from pyvirt import Domain, StatsFrame, StatsGroup
from pyvirt._core.lib import lib
from pyvirt.collector._one_by_one import records_of
from pyvirt.stats.engine import engine_of, new_frame, seal


def stats(conn: pyvirt.Connection, domains: Sequence[Domain] | None = None) -> StatsFrame:
    """Return bulk statistics, or a frame made one by one where an older driver has none."""
    try:
        return conn.domains.stats(domains=domains)
    except pyvirt.OperationUnsupportedError:
        return one_by_one(conn, conn.domains.list() if domains is None else domains)


def one_by_one(conn: pyvirt.Connection, domains: Sequence[Domain]) -> StatsFrame:
    """Return a frame of *conn* that is made as for a driver without bulk statistics."""
    engine = engine_of(conn)
    records, count = records_of(domains, StatsGroup.ALL)
    frame = new_frame(engine._schema)
    added = lib.pv_frame_add(frame, records, count)
    assert added == count
    made = StatsFrame(seal(frame), engine._cache)
    conn._adopt(made.keeper)
    return made
