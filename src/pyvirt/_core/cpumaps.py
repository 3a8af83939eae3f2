# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sets of CPU numbers as the bitmaps that libvirt takes and returns."""

from __future__ import annotations

from operator import index

from pyvirt.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_MOST_CPUS = 16384  # REMOTE_CPUMAP_MAX bytes of bits


def cpu_map(cpus: Iterable[int]) -> bytes:
    """Return CPU numbers as a bitmap of libvirt: CPU 0 is the lowest bit of the first byte.

    :raises InvalidArgumentError: a number is negative or too large
    :raises TypeError: an element is not an integer
    """
    bits = 0
    for cpu in map(index, cpus):
        if not 0 <= cpu < _MOST_CPUS:
            raise InvalidArgumentError(f"a CPU number must be from 0 to {_MOST_CPUS - 1}, not {cpu}")
        bits |= 1 << cpu
    return bits.to_bytes(bits.bit_length() + 7 >> 3 or 1, "little")


def cpu_numbers(bitmap: Any, size: int, most: int = _MOST_CPUS) -> frozenset[int]:
    """Return the numbers in a bitmap of *size* bytes; stop reading when *most* were found."""
    found: list[int] = []
    for i in range(size):
        if len(found) >= most:
            break
        if byte := bitmap[i]:
            found += [8 * i + bit for bit in range(8) if byte >> bit & 1]
    return frozenset(found)
