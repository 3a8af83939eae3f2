# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cost of a call, above libvirt's own work."""

from __future__ import annotations

from operator import attrgetter

import pytest
from conftest import Measure
from operations import CALLS, Operation


@pytest.mark.parametrize("operation", CALLS, ids=attrgetter("name"))
def test_call(measure: Measure, operation: Operation) -> None:
    assert measure(operation, 1000)
