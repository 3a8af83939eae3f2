# SPDX-License-Identifier: LGPL-2.1-or-later
"""Helpers for tests.  Modules in here contain no tests."""

from __future__ import annotations

from pathlib import Path

#: the top of the repository
ROOT = Path(__file__).resolve().parents[2]
