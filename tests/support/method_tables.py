# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables of calls, and checks that every method in such a table must pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.errors import ClosedError, InvalidArgumentError
from tests.support.drivers import NEWER, check_closes, lacking, unless_lacking


class Call(NamedTuple):
    """A call of a method, or a property that is read, and the C function behind it."""

    function: str
    method: Callable[..., object] | property
    arguments: tuple[object, ...] = ()
    keywords: Mapping[str, object] = {}
    #: the expected value: of the result, or of what *look* returns
    expected: object = None
    #: gets the owner of the method and the result, and returns what must equal *expected*
    look: Callable[[Any, Any], object] = lambda owner, result: result

    def __call__(self, owner: object) -> object:
        """Call the method of *owner*."""
        if isinstance(self.method, property):
            return self.method.__get__(owner)
        return self.method(owner, *self.arguments, **self.keywords)

    def __str__(self) -> str:
        return f"{self.function}-{self.name.rpartition('.')[2]}"

    @property
    def name(self) -> str:
        """The class that defines the method, and its name."""
        method = self.method.fget if isinstance(self.method, property) else self.method
        assert method is not None
        return method.__qualname__

    @property
    def cls(self) -> str:
        """The name of the class that defines the method."""
        return self.name.partition(".")[0]

    def check(self, owner: object) -> None:
        """Call the method of *owner*, and compare with the expected value."""
        assert self.look(owner, self(owner)) == self.expected


def public_names(*classes: type) -> set[str]:
    """Return the public members that *classes* define themselves, as :attr:`Call.name` has them."""
    return {f"{cls.__name__}.{name}" for cls in classes for name in vars(cls) if not name.startswith("_")}


def functions_named(method: object) -> set[str]:
    """Return the C functions that the docstring of *method* names in parentheses."""
    return set(re.findall(r"\bvir\w+", " ".join(re.findall(r"\([^)]*\)", method.__doc__ or ""))))


def still_lacking(calls: list[Call], *learnt: str) -> list[Call]:
    """Return *calls* without those of C functions that the test driver of a newer libvirt has *learnt*."""
    assert set(learnt) <= {call.function for call in calls}
    return [call for call in calls if not (NEWER and call.function in learnt)]


def check_closed(call: Callable[[Domain], object]) -> None:
    """Check that *call* of a domain raises ClosedError once the connection is closed."""
    with pyvirt.connect("test:///default") as conn:
        domain = conn.domains["test"]
    with pytest.raises(ClosedError):
        call(domain)


def invalid(function: str) -> type[Exception]:
    """Return the error that bad arguments of *function* raise, also where libvirt lacks the function."""
    return unless_lacking(function, InvalidArgumentError)[0]


def check_lacking(domain: Domain, function: str, call: Callable[[Domain], object]) -> None:
    """Check the error of *call*, which libvirt's test driver lacks.  *domain* is one of ``test:///default``."""
    error, message = lacking(function)
    with pytest.raises(error, match=message) as caught:
        call(domain)
    assert caught.value.function == function
    check_closes(domain.connection)
