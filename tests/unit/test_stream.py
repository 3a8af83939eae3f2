# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can be tested of a stream without a daemon."""

from __future__ import annotations

import errno
import resource

import pytest

import pyvirt
from pyvirt import StreamEventType
from pyvirt.stream import Stream


def test_wait_raises_when_no_file_descriptor_is_left(conn: pyvirt.Connection) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Stream(conn) as stream:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(OSError, match="stream") as caught:
                stream.wait(StreamEventType.READABLE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caught.value.errno == errno.EMFILE


def test_waiting_on_an_unopened_stream_raises(conn: pyvirt.Connection) -> None:
    with Stream(conn) as stream, pytest.raises(pyvirt.Error, match="not supported"):
        stream.wait(StreamEventType.READABLE)
