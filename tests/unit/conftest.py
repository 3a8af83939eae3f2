# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's test driver: each test gets its own host, with one running domain."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import pyvirt
from pyvirt.domain import Domain
from tests.support.drivers import check_closes


@pytest.fixture(scope="module", autouse=True)
def _no_connection_left() -> Iterator[None]:
    """Check that each module closes its connections.

    Otherwise hundreds of later tests would fail, and not that module.
    """
    yield
    gc.collect()
    check_closes(pyvirt.connect("test:///default"))


@pytest.fixture
def conn() -> Iterator[pyvirt.Connection]:
    with pyvirt.connect("test:///default") as conn:
        yield conn


@pytest.fixture
def domain(conn: pyvirt.Connection) -> Domain:
    return conn.domains["test"]
