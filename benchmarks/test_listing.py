# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cost of listing many objects."""

from __future__ import annotations

import pytest
from conftest import Measure
from operations import LISTING


@pytest.mark.parametrize("domains", [1000, 10000])
def test_list(measure: Measure, domains: int) -> None:
    (operation,) = LISTING
    listed = measure(operation, domains)
    assert isinstance(listed, list)
    assert len(listed) == domains
