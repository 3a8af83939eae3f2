# SPDX-License-Identifier: LGPL-2.1-or-later
"""Python programs in a process of their own, where they may crash, fork and exit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyvirt

#: Every warning is an error, and Python looks twice at everything.
STRICT = ("-X", "dev", "-W", "error")

#: What these tests import is what the programs import, whether it is installed or in src/.
ENVIRONMENT = {"PYTHONPATH": str(Path(pyvirt.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}


def run(
    *arguments: str | Path, input: str | None = None, timeout: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python with *arguments*."""
    return subprocess.run(
        [sys.executable, *arguments],
        input=input,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=os.environ | ENVIRONMENT | environment,
    )


def output_of(program: str, *arguments: str | Path, strict: bool = True, timeout: float = 120) -> str:
    """Run *program* and return what it prints; it must succeed, in silence."""
    done = run(*(STRICT if strict else ()), "-c", program, *arguments, timeout=timeout)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-2000:]
    return done.stdout
