# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.throttle_groups``: limits that several disks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt._core.params import Params
from pyvirt._core.text import encode
from pyvirt.domain._part import Part
from pyvirt.enums.domain import DomainModificationImpact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyvirt._core.params import TypedValue

_CURRENT = DomainModificationImpact.CURRENT


class ThrottleGroups(Part):
    """Limits that the disks of a domain share, if they name the group in their configuration.

    The domain's configuration lists the groups.  libvirt has them since 11.2.
    """

    __slots__ = ()

    def set(
        self,
        group: str,
        values: Mapping[str, TypedValue] | None = None,
        /,
        *,
        flags: DomainModificationImpact = _CURRENT,
        **more: TypedValue,
    ) -> None:
        """Add a group, or set some of its limits: ``total_bytes_sec=10 << 20``.  (virDomainSetThrottleGroup)

        Names are :mod:`pyvirt.enums.params`' ``DOMAIN_BLOCK_IOTUNE_…``: bytes and operations per second, lengths in
        seconds.
        """
        with Params({**(values or {}), **more}) as array:
            self._call(lib.virDomainSetThrottleGroup, encode(group), array.pointer, array.count, flags)

    def remove(self, group: str, *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Remove a group that no disk uses.  (virDomainDelThrottleGroup)"""
        self._call(lib.virDomainDelThrottleGroup, encode(group), flags)
