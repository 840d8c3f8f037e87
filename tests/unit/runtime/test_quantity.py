from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet_salad.runtime import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("100m", Fraction(1, 10)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("+5", 5),
        ("-1", -1),
        ("1e3", 1000),
        ("1E3", 1000),
        ("15e-1", Fraction(3, 2)),
        ("1E", 10**18),
        ("2Gi", 2 * 2**30),
        ("1500M", 1_500_000_000),
        ("0.5Ki", 512),
        ("1n", Fraction(1, 10**9)),
        ("1u", Fraction(1, 10**6)),
        ("3Ei", 3 * 2**60),
        (4, 4),
        (0.5, Fraction(1, 2)),
    ],
)
def test_every_form_of_the_grammar_is_read_exactly(text: object, value: Fraction) -> None:
    assert quantity.parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1 Gi",
        "1gi",
        "1K",
        "Gi",
        "1e",
        "1ee3",
        "1.2.3",
        "0x10",
        "1_000",
        "٣",
        "1e99999999",
        "1Gii",
        "--1",
        True,
        None,
        [],
        "nan",
    ],
)
def test_what_the_api_server_would_not_store_is_refused(text: object) -> None:
    with pytest.raises(ValueError):
        quantity.parse(text)


def test_a_part_of_a_unit_takes_a_whole_one() -> None:
    assert quantity.ceil_to(quantity.parse("1500m")) == 2
    assert quantity.ceil_to(quantity.parse("2")) == 2
    assert quantity.ceil_to(quantity.parse("1500M"), quantity.GIBIBYTE_IN_BYTES) == 2
    assert quantity.ceil_to(quantity.parse("0")) == 0
    assert quantity.ceil_to(Fraction(1), Fraction(1, 10)) == 10


@given(st.integers(min_value=0, max_value=10**15), st.integers(min_value=1, max_value=10**12))
def test_rounding_up_holds_the_value_and_wastes_less_than_one_unit(value: int, unit: int) -> None:
    units = quantity.ceil_to(Fraction(value), unit)
    assert units * unit >= value
    assert (units - 1) * unit < value


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    try:
        assert isinstance(quantity.parse(text), Fraction)
    except ValueError:
        pass
