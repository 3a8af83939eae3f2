# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all kinds of libvirt's objects share."""
