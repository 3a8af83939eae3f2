# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's test driver: a host of its own for each test, with one domain that runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pyvirt
from pyvirt.domain import Domain


@pytest.fixture
def conn() -> Iterator[pyvirt.Connection]:
    with pyvirt.connect("test:///default") as conn:
        yield conn


@pytest.fixture
def domain(conn: pyvirt.Connection) -> Domain:
    return conn.domains["test"]
