# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting and polling with any timeout."""

from __future__ import annotations

import os
import threading
from itertools import islice
from math import inf

import pytest

import pyvirt
from pyvirt._core import poll as _poll
from pyvirt.domain._wait import Recheck, poll_times
from pyvirt.events import DomainLifecycle


@pytest.mark.parametrize("timeout", [None, 60, inf])
def test_very_long_timeouts_are_accepted(monkeypatch: pytest.MonkeyPatch, timeout: float | None) -> None:
    monkeypatch.setattr(_poll, "_LONGEST", 1)
    reader, writer = os.pipe()
    timer = threading.Timer(0.05, os.write, (writer, b"x"))
    timer.start()
    try:
        assert _poll.wait_readable(reader, timeout)
    finally:
        timer.join()
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("timeout", [0.01, 0, -1])
def test_waiting_without_data_times_out(timeout: float) -> None:
    reader, writer = os.pipe()
    try:
        assert not _poll.wait_readable(reader, timeout)
    finally:
        os.close(reader)
        os.close(writer)


def test_an_interval_of_0_is_accepted() -> None:
    assert len(list(islice(poll_times(None, 0), 5))) == 5
    with (
        pyvirt.connect("test:///default") as conn,
        Recheck(conn.domains["test"], ("DomainLifecycle",), None, 0, recheck=0) as looks,
    ):
        assert len(list(islice(looks, 5))) == 5


def test_an_infinite_timeout_is_accepted() -> None:
    with pyvirt.connect("test:///default") as conn, conn.events.listen(DomainLifecycle, timeout=inf) as listener:
        timer = threading.Timer(0.05, listener.close)
        timer.start()
        assert list(listener) == []
        timer.join()
