# SPDX-License-Identifier: LGPL-2.1-or-later
"""The asynchronous counterpart of :mod:`pyvirt.lxc`."""

from __future__ import annotations

from pyvirt.aio._generated.lxc import LxcDomain

__all__ = ["LxcDomain"]
