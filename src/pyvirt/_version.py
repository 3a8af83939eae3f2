# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one place where the version stands."""

__version__ = "0.1.0"
