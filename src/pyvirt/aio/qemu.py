# SPDX-License-Identifier: LGPL-2.1-or-later
"""The asynchronous counterpart of :mod:`pyvirt.qemu`."""

from __future__ import annotations

from pyvirt.aio._generated.qemu import QemuDomain, attach

__all__ = ["QemuDomain", "attach"]
