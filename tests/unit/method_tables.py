# SPDX-License-Identifier: LGPL-2.1-or-later
"""What holds for every method of a table of calls to the sides of a domain."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from drivers import check_closes

import pyvirt
from pyvirt.domain import Domain
from pyvirt.errors import ClosedError, OperationUnsupportedError


def functions_named(method: object) -> set[str]:
    """Return the C functions that a docstring has in parentheses."""
    return set(re.findall(r"\bvir\w+", " ".join(re.findall(r"\([^)]*\)", method.__doc__ or ""))))


def check_closed(call: Callable[[Domain], object]) -> None:
    """Call it for a domain of a connection that is closed."""
    with pyvirt.connect("test:///default") as conn:
        domain = conn.domains["test"]
    with pytest.raises(ClosedError):
        call(domain)


def check_lacking(domain: Domain, function: str, call: Callable[[Domain], object]) -> None:
    """Call what the driver of *domain*, that of ``test:///default``, does not have."""
    with pytest.raises(OperationUnsupportedError, match=function) as caught:
        call(domain)
    assert caught.value.function == function
    check_closes(domain.connection)
