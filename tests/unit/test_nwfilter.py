# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network filters on libvirt's test driver, which has none; tests/daemon has real ones."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

import pyvirt
from pyvirt.enums import NWFilterDefineFlags
from pyvirt.errors import ClosedError, InvalidArgumentError, NotSupportedError, OperationUnsupportedError
from pyvirt.nwfilter import NWFilterBindings, NWFilters

UNKNOWN = uuid.UUID(int=77)


class Both(NamedTuple):
    filters: NWFilters
    bindings: NWFilterBindings


@pytest.fixture
def both() -> Iterator[Both]:
    with pyvirt.connect("test:///default") as conn:
        yield Both(NWFilters(conn), NWFilterBindings(conn))


CALLS: dict[str, Callable[[Both], object]] = {
    "virConnectListAllNWFilters": lambda both: list(both.filters),
    "virConnectNumOfNWFilters": lambda both: len(both.filters),
    "virNWFilterLookupByName": lambda both: both.filters["clean-traffic"],
    "virNWFilterLookupByUUID": lambda both: both.filters.get(uuid=UNKNOWN, default=None),
    "virNWFilterDefineXML": lambda both: both.filters.define("<filter name='f'/>"),
    "virNWFilterDefineXMLFlags": lambda both: both.filters.define("<filter/>", flags=NWFilterDefineFlags.VALIDATE),
    "virConnectListAllNWFilterBindings": lambda both: both.bindings.list(),
    "virNWFilterBindingLookupByPortDev": lambda both: both.bindings.get("vnet0", default=None),
    "virNWFilterBindingCreateXML": lambda both: both.bindings.create("<filterbinding/>"),
}


@pytest.mark.parametrize(("function", "call"), CALLS.items(), ids=list(CALLS))
def test_calls_that_the_driver_lacks_raise_unsupported(
    both: Both, function: str, call: Callable[[Both], object]
) -> None:
    with pytest.raises(NotSupportedError, match=re.escape(function)) as caught:
        call(both)
    assert caught.value.function == function
    # Except where the installed libvirt is too old for the function itself.
    assert isinstance(caught.value, OperationUnsupportedError) or "needs libvirt" in caught.value.message


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_every_call_on_a_closed_connection_raises_closed_error(call: Callable[[Both], object]) -> None:
    with pyvirt.connect("test:///default") as conn:
        both = Both(NWFilters(conn), NWFilterBindings(conn))
    with pytest.raises(ClosedError):
        call(both)


def test_invalid_arguments_are_refused(both: Both) -> None:
    with pytest.raises(TypeError, match="exactly one of name and uuid"):
        both.filters.get()
    with pytest.raises(TypeError, match="exactly one of name and uuid"):
        both.filters.get("f", uuid=UNKNOWN)
    with pytest.raises(InvalidArgumentError, match="is not a valid UUID"):
        both.filters.get(uuid="clean-traffic")
    with pytest.raises(InvalidArgumentError, match="NUL"):
        both.filters["f\0"]
    with pytest.raises(InvalidArgumentError, match="surrogate"):
        both.bindings.create("\ud800")
    with pytest.raises(TypeError, match="expected str, got bytes"):
        both.bindings.get(b"vnet0")  # type: ignore[arg-type]


def test_a_repr_names_the_connection(both: Both) -> None:
    assert repr(both.filters) == f"<pyvirt.NWFilters of {both.filters._conn!r}>"
    assert repr(both.bindings) == f"<pyvirt.NWFilterBindings of {both.filters._conn!r}>"
