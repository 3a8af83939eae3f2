# SPDX-License-Identifier: LGPL-2.1-or-later
"""What pyproject.toml cannot say: which extension modules this machine can build."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))  # a build backend does not

import build_ffi

free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # has no stable ABI

setup(
    cffi_modules=[f"build_ffi.py:{name}" for name in build_ffi.available()],
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp310"}},
)
