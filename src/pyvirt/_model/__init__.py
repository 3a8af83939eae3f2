# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base classes and functions that all kinds of libvirt's objects share."""
