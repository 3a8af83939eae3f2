# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's documents as lxml trees.  Nothing here calls libvirt."""

from __future__ import annotations

from pyvirt.xmldesc._read import MAX_SIZE, parse, serialize

__all__ = ["MAX_SIZE", "parse", "serialize"]
