# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a C function is called: checked, converted and released.  Knows no kind of object."""
