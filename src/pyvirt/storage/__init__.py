# SPDX-License-Identifier: LGPL-2.1-or-later
"""Storage: what ``conn.storage_pools`` holds and gives."""

from pyvirt.storage.pools import StoragePool, StoragePools
from pyvirt.storage.volumes import StorageVolume, StorageVolumes

__all__ = ["StoragePool", "StoragePools", "StorageVolume", "StorageVolumes"]
