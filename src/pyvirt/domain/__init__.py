# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guest domains: what ``conn.domains`` holds and gives."""

from pyvirt.domain.collection import Domains
from pyvirt.domain.domain import Domain

__all__ = ["Domain", "Domains"]
