# SPDX-License-Identifier: LGPL-2.1-or-later
"""Create elements from values: the helper functions of the builders."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lxml import etree

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid

Element = etree._Element


def node(tag: str, *content: Element | str | int | None, **attributes: object) -> Element:
    """Return an element.  Attributes and content that are ``None`` are omitted; bool attributes become yes or no.

    If the name of an attribute is a keyword of Python, append an underscore to it.
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
    """Append an element, unless all its content and attributes are ``None``."""
    if any(one is not None for one in (*content, *attributes.values())):
        parent.append(node(tag, *content, **attributes))


def copy_element(element: Element) -> Element:
    """Return a copy of an element, because lxml would move the element itself out of its tree."""
    if not isinstance(element, etree._Element):
        raise InvalidArgumentError(f"expected an lxml element, got {element!r}")
    copied = copy.deepcopy(element)
    copied.tail = None
    return copied


def copy_elements(elements: Element | Iterable[Element]) -> list[Element]:
    """Return copies of elements.  A single element is one element, although lxml would iterate over its children."""
    return [copy_element(one) for one in ((elements,) if isinstance(elements, etree._Element) else elements)]


def add_uuid(parent: Element, uuid: valid.UUID | None) -> None:
    """Append a ``<uuid>`` element, if *uuid* is not ``None``."""
    if uuid is not None:
        parent.append(node("uuid", valid.uuid(uuid)))


def secret_reference(value: valid.UUID, type: str = "passphrase") -> Element:
    """Return a reference to a secret, by its UUID or the name of its usage."""
    if isinstance(value, str) and not valid.is_uuid(value):
        return node("secret", type=type, usage=valid.name("a secret", value, forbidden=""))
    return node("secret", type=type, uuid=valid.uuid(value))
