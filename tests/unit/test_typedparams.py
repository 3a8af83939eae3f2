# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyvirt
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import BOOLEAN, DOUBLE, INT, LLONG, STRING, UINT, ULLONG, Params, to_dict
from pyvirt.enums import TypedParameterType
from pyvirt.enums.limits import TYPED_PARAM_FIELD_LENGTH
from pyvirt.errors import InvalidArgumentError, OperationUnsupportedError

NAMES = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=TYPED_PARAM_FIELD_LENGTH - 1)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
OF_TYPE = {
    INT: st.integers(-(2**31), 2**31 - 1),
    UINT: st.integers(0, 2**32 - 1),
    LLONG: st.integers(-(2**63), 2**63 - 1),
    ULLONG: st.integers(0, 2**64 - 1),
    DOUBLE: st.floats(allow_nan=False),
    BOOLEAN: st.booleans(),
    STRING: TEXT,
}
GUESSED = st.one_of(TEXT, st.booleans(), st.floats(allow_nan=False), OF_TYPE[ULLONG], OF_TYPE[LLONG])
TYPED = st.sampled_from(list(OF_TYPE)).flatmap(lambda kind: OF_TYPE[kind].map(lambda value: (kind, value)))


def there_and_back(values: dict[str, Any], types: dict[str, int] | None = None) -> dict[str, Any]:
    with Params(values, types) as params:
        return to_dict(params.pointer, params.count)


def test_the_type_numbers_equal_those_of_libvirt() -> None:
    assert {name: globals()[name] for name in TypedParameterType.__members__} == dict(TypedParameterType.__members__)


@given(st.dictionaries(NAMES, TYPED))
def test_values_of_given_types_are_kept(values: dict[str, tuple[int, Any]]) -> None:
    plain = {name: value for name, (_, value) in values.items()}
    types = {name: kind for name, (kind, _) in values.items()}
    with Params(plain, types) as params:
        assert [params.pointer[i].type for i in range(params.count)] == list(types.values())
        back = to_dict(params.pointer, params.count)
    assert back == plain
    assert {name: type(value) for name, value in back.items()} == {name: type(value) for name, value in plain.items()}


@given(
    st.dictionaries(NAMES, st.one_of(TEXT, st.booleans(), st.floats(allow_nan=False), OF_TYPE[ULLONG], OF_TYPE[LLONG]))
)
def test_values_of_guessed_types_are_kept(values: dict[str, Any]) -> None:
    assert there_and_back(values) == values


def test_types_are_guessed_from_values() -> None:
    with Params({"yes": True, "large": 2**64 - 1, "below": -1, "half": 0.5, "text": "x"}) as params:
        kinds = [params.pointer[i].type for i in range(params.count)]
    assert kinds == [BOOLEAN, ULLONG, LLONG, DOUBLE, STRING]


def test_nan_and_infinity_are_kept() -> None:
    back = there_and_back({"nan": math.nan, "more": math.inf, "less": -math.inf})
    assert math.isnan(back["nan"])
    assert (back["more"], back["less"]) == (math.inf, -math.inf)


def test_an_integer_is_accepted_as_a_double() -> None:
    assert there_and_back({"x": 3}, {"x": DOUBLE}) == {"x": 3.0}


@pytest.mark.parametrize(
    ("value", "kind"),
    [(2**31, INT), (-(2**31) - 1, INT), (2**32, UINT), (-1, UINT), (2**63, LLONG), (-1, ULLONG), (2**64, ULLONG)],
)
def test_a_number_too_large_for_its_type_is_refused(value: int, kind: int) -> None:
    with pytest.raises(InvalidArgumentError, match="parameter 'limit': "):
        Params({"limit": value}, {"limit": kind})


def test_a_number_too_large_for_any_type_is_refused() -> None:
    for value in (2**64, -(2**63) - 1):
        with pytest.raises(InvalidArgumentError, match="parameter 'limit': "):
            Params({"limit": value})


@pytest.mark.parametrize("value", [None, b"bytes", [1], {}, 1j], ids=repr)
def test_a_value_of_an_unsupported_type_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=f"parameter 'x' .*not {type(value).__name__}"):
        Params({"good": 1, "x": value})


@pytest.mark.parametrize(
    ("value", "kind"), [(5, STRING), (b"x", STRING), ("5", INT), (0.5, UINT), ("x", DOUBLE), (None, LLONG)]
)
def test_a_value_of_the_wrong_type_is_refused(value: Any, kind: int) -> None:
    with pytest.raises(TypeError, match="parameter 'x': "):
        Params({"x": value}, {"x": kind})


def test_an_unknown_parameter_type_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="parameter 'x'"):
        Params({"x": 1}, {"x": 9})


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_c_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        Params({"x": text})
    with pytest.raises(InvalidArgumentError):
        Params({text: 1})


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="too long"):
        Params({"n" * TYPED_PARAM_FIELD_LENGTH: 1})
    with pytest.raises(TypeError):
        Params({b"name": 1})  # type: ignore[dict-item]


def test_no_parameters_give_an_empty_array() -> None:
    assert there_and_back({}) == {}
    with Params({}) as params:
        assert (params.count, params.pointer) == (0, ffi.NULL)


def test_the_array_is_freed_once() -> None:
    params = Params({"x": "y"})
    with params:
        assert params.count == 1
    assert (params.count, params.pointer) == (0, ffi.NULL)
    with params:
        pass


def test_a_parameter_of_an_unknown_type_is_left_out() -> None:
    with Params({"before": 1, "new": 2, "after": "text"}) as params:
        params.pointer[1].type = 99
        assert to_dict(params.pointer, params.count) == {"before": 1, "after": "text"}
        params.pointer[1].type = ULLONG


def test_strings_may_be_null_or_not_utf8() -> None:
    array = ffi.new("virTypedParameter[2]")
    text = ffi.new("char[]", b"\xff")
    for param, name in zip(array, (b"null", b"bytes"), strict=True):
        param.type = STRING
        ffi.memmove(param.field, name, len(name))
    array[1].value.s = text
    assert to_dict(array, 2) == {"null": "", "bytes": "\udcff"}


# ---- arrays that libvirt allocates or fills in ----


def test_parameters_allocated_by_libvirt_are_returned(conn: pyvirt.Connection) -> None:
    domain = conn.domains["test"]
    events = domain._call_params(lib.virDomainGetPerfEvents, 0)
    assert len(events) > 10
    assert all(value is False for value in events.values())


def test_parameters_filled_in_by_libvirt_are_returned(conn: pyvirt.Connection) -> None:
    domain = conn.domains["test"]
    limits = domain._fill_params(lib.virDomainGetMemoryParameters, 0)
    assert set(limits) == {"hard_limit", "soft_limit", "swap_hard_limit"}
    assert all(type(value) is int for value in limits.values())
    numa = domain._fill_params(lib.virDomainGetNumaParameters, 0)
    assert type(numa["numa_nodeset"]) is str


def test_a_refused_call_raises(conn: pyvirt.Connection) -> None:
    domain = conn.domains["test"]
    with pytest.raises(OperationUnsupportedError):
        domain._call_params(lib.virDomainGetGuestInfo, 0, before=(0,))
    with pytest.raises(InvalidArgumentError):
        domain._fill_params(lib.virDomainGetMemoryParameters, 1 << 30)
