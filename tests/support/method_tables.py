# SPDX-License-Identifier: LGPL-2.1-or-later
"""What holds for every method of a table of calls to the sides of a domain."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.errors import ClosedError, InvalidArgumentError
from tests.support.drivers import check_closes, lacking, unless_lacking


def functions_named(method: object) -> set[str]:
    """Return the C functions that a docstring has in parentheses."""
    return set(re.findall(r"\bvir\w+", " ".join(re.findall(r"\([^)]*\)", method.__doc__ or ""))))


def check_closed(call: Callable[[Domain], object]) -> None:
    """Call it for a domain of a connection that is closed."""
    with pyvirt.connect("test:///default") as conn:
        domain = conn.domains["test"]
    with pytest.raises(ClosedError):
        call(domain)


def invalid(function: str) -> type[Exception]:
    """Return what bad arguments of *function* raise, also where there is no such function."""
    return unless_lacking(function, InvalidArgumentError)[0]


def check_lacking(domain: Domain, function: str, call: Callable[[Domain], object]) -> None:
    """Call what the driver of *domain*, that of ``test:///default``, does not have."""
    error, message = lacking(function)
    with pytest.raises(error, match=message) as caught:
        call(domain)
    assert caught.value.function == function
    check_closes(domain.connection)
