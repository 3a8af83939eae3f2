# SPDX-License-Identifier: LGPL-2.1-or-later
"""Python programs in separate processes, where they may crash, fork and exit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pyvirt
from tests.support import ROOT

#: Every warning is an error, and the development mode is on.
STRICT = ("-X", "dev", "-W", "error")

#: Programs import the same pyvirt as these tests, whether it is installed or in src/, and tests.support.
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(Path(pyvirt.__file__).parents[1]), str(ROOT)]),
    "PYTHONUNBUFFERED": "1",
}


def run(
    *arguments: str | Path, timeout: float = 120, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run this Python with *arguments* and with the variables of *env* in addition."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **ENVIRONMENT, **(env or {})},
    )


def output_of(program: str, *arguments: str | Path, strict: bool = True, timeout: float = 120) -> str:
    """Run *program* and return its output.  It must succeed and print nothing on stderr."""
    done = run(*(STRICT if strict else ()), "-c", program, *arguments, timeout=timeout)
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return done.stdout
