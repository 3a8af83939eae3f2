# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guest domains: ``conn.domains`` and the classes of its objects."""

from pyvirt.domain.collection import Domains
from pyvirt.domain.domain import Domain

__all__ = ["Domain", "Domains"]
