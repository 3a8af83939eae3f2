# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ``pyvirt`` command.  It uses the public API only, and needs the extra ``cli``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line.

    Exit codes: 0 success, 1 an error of libvirt or of the system, 2 wrong usage, 130 interrupted.
    """
    try:
        from pyvirt.cli.app import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("click", "rich"):
            raise
        sys.exit(f"pyvirt: the command line needs {missing}: pip install 'pyvirt[cli]'")
    sys.exit(run())
