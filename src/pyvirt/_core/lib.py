# SPDX-License-Identifier: LGPL-2.1-or-later
"""The gateway: the only module that imports the compiled extensions.

``lib`` holds libvirt's functions by their C names, ``ffi`` their types.  libvirt-qemu, libvirt-lxc and libvirt-admin
are extensions of their own, loaded when first asked for: a host without libvirt-admin still imports pyvirt.
"""

from __future__ import annotations

from importlib import import_module

from pyvirt._libvirt import ffi, lib

# From here on each error is copied when libvirt raises it, and nothing is printed to stderr.
lib.pv_errors_install()


def load_extension(name):
    """Return the ``lib`` of *name*, ``"qemu"``, ``"lxc"`` or ``"admin"``, and the ``ffi`` that knows its types.

    :raises ImportError: this build of pyvirt was made without that library
    """
    extension = import_module(f"pyvirt._libvirt_{name}")
    # Stubs in there record their error where check() of this process looks for it.
    extension.lib.pv_unsupported_hook = ffi.addressof(lib, "pv_error_unsupported")
    return extension.lib, extension.ffi


__all__ = ["ffi", "lib", "load_extension"]
