# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cost of bulk statistics, above libvirt's own work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import SYNTHETIC_DOMAINS, Measure
from operations import LIBVIRT_PYTHON, PYVIRT, STATS, Operation, connect


@pytest.mark.parametrize(
    ("binding", "operation"),
    [(name, operation) for operation in STATS for name in (PYVIRT, LIBVIRT_PYTHON) if operation.statement(name)],
    ids=lambda value: getattr(value, "name", value),
)
def test_stats(measure: Measure, operation: Operation) -> None:
    assert measure(operation, SYNTHETIC_DOMAINS)


def test_same_source(host: Callable[[int], str]) -> None:
    """Both bindings see the synthetic domains, with the same fields and the same constant values."""
    seen = []
    for name, statement in (
        (PYVIRT, "conn.domains.stats().to_dicts()"),
        (LIBVIRT_PYTHON, "[fields for _, fields in conn.getAllDomainStats()]"),
    ):
        namespace, close = connect(name, host(10), "vm-00001")
        seen.append(eval(statement, namespace))
        namespace.clear()
        close()
    ours, theirs = seen
    assert len(ours) == len(theirs) == SYNTHETIC_DOMAINS
    assert [list(fields) for fields in ours] == [list(fields) for fields in theirs]
    assert {len(fields) for fields in ours} == {102}
    assert ours[1234]["block.2.path"] == theirs[1234]["block.2.path"]
