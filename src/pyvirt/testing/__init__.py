# SPDX-License-Identifier: LGPL-2.1-or-later
"""A testbed for programs that use libvirt: generated hosts, private daemons, cheap guests, pytest fixtures.

- :mod:`pyvirt.testing.hosts`: hosts of libvirt's own test driver, with any number of domains
- :mod:`pyvirt.testing.daemon`: a private libvirtd that leaves nothing behind
- :mod:`pyvirt.testing.guests`: XML of real guests that start quickly, without hardware virtualisation
- :mod:`pyvirt.testing.linux_guest`: a small Linux guest with a guest agent
- :mod:`pyvirt.testing.pytest_plugin`: fixtures for all of these
- ``python -m pyvirt.testing``: the same from a shell
"""

from __future__ import annotations
