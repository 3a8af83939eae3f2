# SPDX-License-Identifier: LGPL-2.1-or-later
"""Storage: ``conn.storage_pools`` and the classes of its objects."""

from pyvirt.storage.pools import StoragePool, StoragePools
from pyvirt.storage.volumes import StorageVolume, StorageVolumes

__all__ = ["StoragePool", "StoragePools", "StorageVolume", "StorageVolumes"]
