# SPDX-License-Identifier: LGPL-2.1-or-later
"""Consoles, channels and screens of real guests."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.enums import DomainConsoleFlags, DomainCreateFlags, StreamEventType
from pyvirt.errors import Error, OperationFailedError, OperationInvalidError
from pyvirt.stream import Stream
from pyvirt.testing.guests import READY, tiny_guest, write_boot_disk

READABLE, WRITABLE = StreamEventType.READABLE, StreamEventType.WRITABLE
LONG = 60  # seconds; more than anything takes
PORT = "org.example.port"
DEVICES = (
    "<graphics type='vnc' port='-1' listen='127.0.0.1'/><video><model type='vga'/></video>"
    f"<channel type='unix'><target type='virtio' name='{PORT}'/></channel>"
)


@pytest.fixture
def guest(qemu: pyvirt.Connection, tmp_path: Path) -> Domain:
    """A guest that is paused until a test listens."""
    xml = tiny_guest("talker", write_boot_disk(tmp_path / "boot.img"), devices=DEVICES)
    return qemu.domains.create(xml, flags=DomainCreateFlags.PAUSED)


def hear(stream: Stream, words: bytes) -> bytes:
    """Return the output up to *words*."""
    heard = b""
    while not heard.endswith(words):
        assert stream.wait(READABLE, timeout=LONG), f"just {heard!r}, then silence"
        heard += stream.read(1024) or b""
    return heard


def test_a_console_in_both_directions(guest: Domain) -> None:
    with guest.console() as console:
        assert console.read(1) is None
        assert not console.wait(READABLE, timeout=0)
        guest.resume()
        assert READY.encode() in hear(console, b"\r\n")
        assert console.wait(WRITABLE, timeout=LONG) & WRITABLE
        assert console.write(b"hello") == 5
        assert hear(console, b"hello") == b"hello"
        assert guest.state()  # a non-blocking stream does not wait
    with guest.console() as again:
        again.write(b"and again")
        assert hear(again, b"and again") == b"and again"


def test_a_second_console_needs_force(guest: Domain) -> None:
    first = guest.console()
    with pytest.raises(OperationFailedError, match="Active console session"):
        guest.console()
    with guest.console(flags=DomainConsoleFlags.FORCE):
        assert first.wait(READABLE, timeout=LONG)
        with pytest.raises(Error):
            first.read(1)
        first.close()


def test_a_console_ends_with_the_guest(guest: Domain) -> None:
    with guest.console() as console:
        guest.destroy()
        assert console.wait(READABLE, timeout=LONG)
        try:
            rest = console.read(1)
        except Error:  # which of the two depends on how QEMU closed it
            rest = b""
        assert rest == b""


def test_closing_the_connection_ends_a_console(guest: Domain) -> None:
    with pyvirt.connect(guest.connection.uri()) as other:
        console = other.domains[guest.name].console()
        assert not console.wait(READABLE, timeout=0)
    with pytest.raises(pyvirt.ClosedError):
        console.wait(READABLE, timeout=0)
    console.close()
    guest.console().close()  # the daemon has noticed that the client has disconnected


def test_a_channel_is_opened_by_name(guest: Domain) -> None:
    with pytest.raises(Error, match=r"org\.example\.other"):
        guest.channel("org.example.other")
    with guest.channel(PORT) as channel:
        assert channel.write(b"nobody listens") == 14
    with pytest.raises(Error, match="nope"):
        guest.console("nope")


def test_screenshot_returns_a_png(guest: Domain) -> None:
    image = guest.screenshot()
    assert image.mime_type == "image/png"
    assert image.data.startswith(b"\x89PNG\r\n")
    assert image.data.endswith(b"IEND\xaeB`\x82")
    with pytest.raises(OperationInvalidError, match="no such screen"):
        guest.screenshot(7)
    guest.destroy()
    with pytest.raises(pyvirt.DomainNotFoundError):
        guest.screenshot()
