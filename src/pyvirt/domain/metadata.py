# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.metadata``: notes of programs in a domain's configuration."""

from __future__ import annotations

from pyvirt._core.lib import lib
from pyvirt._model.metadata import MetadataMixin
from pyvirt.domain._part import Part
from pyvirt.enums.domain import DomainModificationImpact


class Metadata(Part, MetadataMixin[DomainModificationImpact]):
    """Title, description and XML elements, one for each namespace.

    ``flags`` choose the configuration, as in ``dom.devices``.
    """

    __slots__ = ()

    _get_metadata = lib.virDomainGetMetadata
    _set_metadata = lib.virDomainSetMetadata
