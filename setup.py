# SPDX-License-Identifier: LGPL-2.1-or-later
"""Choose the extension modules that can be built on this machine, which pyproject.toml cannot express."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))  # build backends do not add it

import build_ffi

free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # such an interpreter has no stable ABI

setup(
    cffi_modules=[f"build_ffi.py:{name}" for name in build_ffi.available()],
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp310"}},
)
