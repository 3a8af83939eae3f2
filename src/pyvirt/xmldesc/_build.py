# SPDX-License-Identifier: LGPL-2.1-or-later
"""Elements from values: what the builders are made with."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lxml import etree

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid

Element = etree._Element


def node(tag: str, *content: Element | str | int | None, **attributes: object) -> Element:
    """Return an element.  Of attributes and content ``None`` is left out, and of attributes a bool is yes or no.

    An attribute whose name is a keyword of Python is written with an underscore behind it.
    """
    element = etree.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
            element.set(name.rstrip("_"), valid.checked(f"{name} of <{tag}>", text))
    for one in content:
        if isinstance(one, etree._Element):
            element.append(one)
        elif one is not None:
            element.text = valid.checked(f"<{tag}>", str(one))
    return element


def add(parent: Element, tag: str, *content: Element | str | int | None, **attributes: object) -> None:
    """Append an element, unless there is nothing to say in it."""
    if any(one is not None for one in (*content, *attributes.values())):
        parent.append(node(tag, *content, **attributes))


def adopt(element: Element) -> Element:
    """Return a copy of an element: a tree would take it away from the one that it is in."""
    if not isinstance(element, etree._Element):
        raise InvalidArgumentError(f"an element is needed, not {element!r}")
    own = copy.deepcopy(element)
    own.tail = None
    return own


def adopted(elements: Element | Iterable[Element]) -> list[Element]:
    """Return copies of elements; one alone counts, though lxml would iterate over what is in it."""
    return [adopt(one) for one in ((elements,) if isinstance(elements, etree._Element) else elements)]


def add_uuid(parent: Element, uuid: valid.UUID | None) -> None:
    """Append a UUID, if there is one."""
    if uuid is not None:
        parent.append(node("uuid", valid.uuid(uuid)))


def secret_reference(value: valid.UUID, type: str = "passphrase") -> Element:
    """Return the reference to a secret, by its UUID or the name of its usage."""
    if isinstance(value, str) and not valid.is_uuid(value):
        return node("secret", type=type, usage=valid.name("a secret", value, forbidden=""))
    return node("secret", type=type, uuid=valid.uuid(value))
