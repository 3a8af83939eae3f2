# SPDX-License-Identifier: LGPL-2.1-or-later
"""The gateway: the only module that imports the compiled extensions.

``lib`` holds libvirt's functions by their C names, ``ffi`` their types.  libvirt-qemu, libvirt-lxc and libvirt-admin
are separate extensions, loaded when they are first used: a host without libvirt-admin still imports pyvirt.
"""

from __future__ import annotations

from importlib import import_module

from pyvirt._libvirt import ffi, lib

# From now on each error is copied when libvirt raises it, and libvirt prints nothing to stderr.
lib.pv_errors_install()


def load_extension(name):
    """Return the ``lib`` of *name*, ``"qemu"``, ``"lxc"`` or ``"admin"``, and the ``ffi`` that knows its types.

    :raises ImportError: this build of pyvirt was made without that library
    """
    extension = import_module(f"pyvirt._libvirt_{name}")
    # The stubs in that extension record their errors where last_error() finds them.
    extension.lib.pv_unsupported_hook = ffi.addressof(lib, "pv_error_unsupported")
    return extension.lib, extension.ffi


__all__ = ["ffi", "lib", "load_extension"]
