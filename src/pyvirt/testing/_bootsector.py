# SPDX-License-Identifier: LGPL-2.1-or-later
"""An operating system of 512 bytes: it greets on the first serial port, then sends back what it receives.

The program is below as a listing: one line per instruction with its machine code, as an assembler would print
it. ``{name}`` is the distance to a label as one byte, ``{message:2}`` an absolute address of two.
"""

from __future__ import annotations

import re

_ORIGIN = 0x7C00  # where a BIOS loads a boot sector
_SIZE = 512

_PROGRAM = """
            FA              cli                 ; no stack yet
            31 C0           xor ax, ax
            8E D8           mov ds, ax
            8E D0           mov ss, ax
            BC 00 7C        mov sp, 0x7c00
            FC              cld
            FB              sti                 ; the BIOS timer wakes hlt, 18 times a second
            BE {message:2}  mov si, message
    greet:  AC              lodsb
            84 C0           test al, al
            74 {idle}       jz idle
            E8 {send:2}     call send
            EB {greet}      jmp greet

    idle:   F4              hlt
    poll:   BA FD 03        mov dx, 0x3fd       ; COM1, line status
            EC              in al, dx
            A8 01           test al, 1          ; has a byte come?
            74 {idle}       jz idle
            BA F8 03        mov dx, 0x3f8       ; COM1, data
            EC              in al, dx
            E8 {send:2}     call send
            EB {poll}       jmp poll

    send:   88 C4           mov ah, al
            BA FD 03        mov dx, 0x3fd
    full:   EC              in al, dx
            A8 20           test al, 0x20       ; may a byte go?
            74 {full}       jz full
            88 E0           mov al, ah
            BA F8 03        mov dx, 0x3f8
            EE              out dx, al
            C3              ret
    message:
"""
_LINE = re.compile(r"\s*(?:(?P<label>\w+):)?\s*(?P<code>(?:(?:[0-9A-F]{2}|\{[\w:]+\})(?:\s|$))*)")


def boot_sector(message: str, *, busy: bool = False) -> bytes:
    """Return the boot sector that greets with *message*.

    :param busy: keep the virtual processor busy while waiting, instead of halting it
    """
    labels: dict[str, int] = {}
    code = bytearray()
    gaps: list[tuple[int, str, int]] = []  # where, label, size
    for line in _PROGRAM.splitlines():
        match = _LINE.match(line)
        assert match is not None
        if match["label"]:
            labels[match["label"]] = len(code)
        for item in match["code"].split():
            if item.startswith("{"):
                label, _, size = item[1:-1].partition(":")
                gaps.append((len(code), label, int(size or 1)))
                code += bytes(int(size or 1))
            elif item == "F4" and busy:
                code += b"\x90"  # nop
            else:
                code += bytes.fromhex(item)
    for where, label, size in gaps:
        target = _ORIGIN + labels[label] if label == "message" else labels[label] - (where + size)
        code[where : where + size] = target.to_bytes(size, "little", signed=label != "message")
    code += message.encode("ascii") + b"\0"
    if len(code) > _SIZE - 2:
        raise ValueError(f"the message is {len(code) - _SIZE + 2} bytes too long for a boot sector")
    return bytes(code).ljust(_SIZE - 2, b"\0") + b"\x55\xaa"
