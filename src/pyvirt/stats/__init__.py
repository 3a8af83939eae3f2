# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bulk statistics as columns: what ``conn.domains.stats()`` returns.

C code reads libvirt's records once, without the GIL (``_native/stats.c``), and splits field names at their numbers:
``vcpu.3.time`` becomes column ``time`` of table ``vcpu``, in the row with index 3 of that domain.  Names without a
number form the table ``domain``, which has one row per domain.
"""

from pyvirt.stats.engine import Engine, engine_of
from pyvirt.stats.frame import Column, DomainColumns, StatsFrame, Table
from pyvirt.stats.rates import Rates, RateTable
from pyvirt.stats.rows import DomainRow, ItemRow, Items
from pyvirt.stats.units import UNITS, Unit, unit_of

__all__ = [
    "UNITS",
    "Column",
    "DomainColumns",
    "DomainRow",
    "Engine",
    "ItemRow",
    "Items",
    "RateTable",
    "Rates",
    "StatsFrame",
    "Table",
    "Unit",
    "engine_of",
    "unit_of",
]
