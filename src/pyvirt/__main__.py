# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m pyvirt``: the ``pyvirt`` command."""

from pyvirt.cli import main

if __name__ == "__main__":
    main()
