# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build the documents of secrets.  ``Secret.set_value()`` sets the value later."""

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

    :param usage: the purpose: ``volume``, ``ceph``, ``iscsi``, ``tls`` or ``vtpm``
    :param id: for a volume its path, otherwise the name by which other documents refer to the secret
    :param private: whether the value can be set but not read
    :param ephemeral: whether the secret is kept in memory only
    """
    root = node("secret", ephemeral=bool(ephemeral), private=bool(private))
    add_uuid(root, uuid)
    add(root, "description", description)
    if (usage is None) != (id is None):
        raise InvalidArgumentError("usage and id must be given together")
    if usage is not None and id is not None:
        valid.one_of("usage", usage, _USAGES)
        known = valid.path("id", id) if usage == "volume" else valid.name("id", id)
        root.append(node("usage", node(_USAGES[usage], known), type=usage))
    return root
