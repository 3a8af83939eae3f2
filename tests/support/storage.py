# SPDX-License-Identifier: LGPL-2.1-or-later
"""Storage volumes that are hard to make."""

from __future__ import annotations

import pyvirt
from pyvirt.storage import StoragePool, StorageVolume
from pyvirt.xmldesc import XML


def create_encrypted(pool: StoragePool, xml: XML) -> StorageVolume:
    """Create an encrypted volume.  Try again where qemu-img cannot measure its speed, as on a busy machine."""
    for _ in range(5):
        try:
            return pool.volumes.create(xml)
        except pyvirt.Error as error:
            if "accurate CPU usage" not in error.message:
                raise
    return pool.volumes.create(xml)
