# SPDX-License-Identifier: LGPL-2.1-or-later
"""An operating system of 512 bytes: it sends a message to the first serial port, then echoes all input.

The program is a listing, with the machine code of one instruction per line, as an assembler would print it.
``{label}`` and ``{label:+2}`` are the distance to a label in one byte and in two bytes, ``{label:2}`` is its address.
"""

from __future__ import annotations

import re

_ORIGIN = 0x7C00  # where a BIOS loads a boot sector
_SIZE = 512

_PROGRAM = """
            FA                      cli                         ; no stack yet
            31 C0                   xor ax, ax
            8E D8                   mov ds, ax
            8E D0                   mov ss, ax
            BC 00 7C                mov sp, 0x7c00
            FC                      cld

            C7 06 30 00 {wake:2}    mov word [0x0c * 4], wake   ; interrupt of COM1: a byte ends hlt
            A3 32 00                mov [0x0c * 4 + 2], ax
            BA FA 03                mov dx, 0x3fa               ; COM1, FIFO control: enable it
            B0 01                   mov al, 1
            EE                      out dx, al
            BA F9 03                mov dx, 0x3f9               ; interrupts: on reception
            EE                      out dx, al
            BA FC 03                mov dx, 0x3fc               ; modem control: enable interrupts
            B0 0B                   mov al, 0x0b
            EE                      out dx, al
            E4 21                   in al, 0x21
            24 EF                   and al, 0xef                ; unmask interrupt 4
            E6 21                   out 0x21, al
            FB                      sti

            BE {message:2}          mov si, message
    greet:  AC                      lodsb
            84 C0                   test al, al
            74 {idle}               jz idle
            E8 {send:+2}            call send
            EB {greet}              jmp greet

    idle:   F4                      hlt
    poll:   BA FD 03                mov dx, 0x3fd               ; line status
            EC                      in al, dx
            A8 01                   test al, 1                  ; was a byte received?
            74 {idle}               jz idle
            BA F8 03                mov dx, 0x3f8               ; data
            EC                      in al, dx
            E8 {send:+2}            call send
            EB {poll}               jmp poll

    send:   88 C4                   mov ah, al
            BA FD 03                mov dx, 0x3fd
    full:   EC                      in al, dx
            A8 20                   test al, 0x20               ; can a byte be sent?
            74 {full}               jz full
            88 E0                   mov al, ah
            BA F8 03                mov dx, 0x3f8
            EE                      out dx, al
            C3                      ret

    wake:   50                      push ax
            B0 20                   mov al, 0x20                ; end of interrupt, for the controller
            E6 20                   out 0x20, al
            58                      pop ax
            CF                      iret
    message:
"""
_LINE = re.compile(r"\s*(?:(?P<label>\w+):)?\s*(?P<code>(?:(?:[0-9A-F]{2}|\{[\w:+]+\})(?:\s+|$))*)")


def boot_sector(message: str, *, busy: bool = False) -> bytes:
    """Return a boot sector that sends *message*.

    :param busy: keep the virtual processor busy while waiting, instead of halting it
    """
    labels: dict[str, int] = {}
    references: list[tuple[int, str, str]] = []  # offset, label, kind
    code = bytearray()
    for line in _PROGRAM.splitlines():
        match = _LINE.match(line)
        assert match is not None
        if match["label"]:
            labels[match["label"]] = len(code)
        for item in match["code"].split():
            if item.startswith("{"):
                label, _, kind = item[1:-1].partition(":")
                references.append((len(code), label, kind))
                code += bytes(2 if kind else 1)
            elif item == "F4" and busy:
                code += b"\x90"  # nop
            else:
                code += bytes.fromhex(item)
    for offset, label, kind in references:
        if kind == "2":
            code[offset : offset + 2] = (_ORIGIN + labels[label]).to_bytes(2, "little")
        else:
            end = offset + (2 if kind else 1)
            code[offset:end] = (labels[label] - end).to_bytes(end - offset, "little", signed=True)
    code += message.encode("ascii") + b"\0"
    if len(code) > _SIZE - 2:
        raise ValueError(f"message is {len(code) - _SIZE + 2} bytes too long for a boot sector")
    return bytes(code).ljust(_SIZE - 2, b"\0") + b"\x55\xaa"
