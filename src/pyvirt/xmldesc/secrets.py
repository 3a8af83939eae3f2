# SPDX-License-Identifier: LGPL-2.1-or-later
"""Secrets: what libvirt is told about them; the value comes later, by ``Secret.set_value()``."""

from __future__ import annotations

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, add, add_uuid, node

_USAGES = {"volume": "volume", "ceph": "name", "iscsi": "target", "tls": "name", "vtpm": "name"}


def secret(
    usage: str | None = None,
    id: str | None = None,
    *,
    private: bool = True,
    ephemeral: bool = False,
    uuid: valid.UUID | None = None,
    description: str | None = None,
) -> Element:
    """Return a secret.

    :param usage: what it is for: ``volume``, ``ceph``, ``iscsi``, ``tls`` or ``vtpm``
    :param id: which of those; for a volume its path, for others a name that documents mention
    :param private: whether its value can be set but never be asked for
    :param ephemeral: whether it is kept in memory only
    """
    root = node("secret", ephemeral=bool(ephemeral), private=bool(private))
    add_uuid(root, uuid)
    add(root, "description", description)
    if (usage is None) != (id is None):
        raise InvalidArgumentError("usage and id go together")
    if usage is not None and id is not None:
        valid.one_of("usage", usage, _USAGES)
        known = valid.path("id", id) if usage == "volume" else valid.name("id", id)
        root.append(node("usage", node(_USAGES[usage], known), type=usage))
    return root
