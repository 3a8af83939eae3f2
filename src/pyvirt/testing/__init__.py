# SPDX-License-Identifier: LGPL-2.1-or-later
"""A testbed for programs that use libvirt: generated hosts, private daemons, cheap guests, pytest fixtures.

- :mod:`pyvirt.testing.hosts`: hosts of libvirt's own test driver, with as many domains as you like
- :mod:`pyvirt.testing.daemon`: a libvirtd of your own that leaves nothing behind
- :mod:`pyvirt.testing.guests`: XML of real guests that start in a moment, without hardware virtualisation
- :mod:`pyvirt.testing.pytest_plugin`: fixtures for the three
- ``python -m pyvirt.testing``: the same from a shell
"""

from __future__ import annotations
