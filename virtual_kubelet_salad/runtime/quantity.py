"""Kubernetes quantities ("100m", "1.5", "2Gi", "1e3"), read strictly and exactly.

Guarantees: the value is exact (no floating point), every form that the API server accepts is accepted, and nothing
else. Pure. Source: k8s.io/apimachinery/pkg/api/resource, quantity.go (the grammar in its comment).
"""

from __future__ import annotations

import re
from fractions import Fraction

GIBIBYTE_IN_BYTES = 2**30
MEBIBYTE_IN_BYTES = 2**20

_SUFFIXES: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}
_FORM = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<suffix>[a-zA-Z]*))"
)

# The API server holds 64 bits; a longer text or exponent is a mistake, and an unbounded one would eat memory.
_GREATEST_LENGTH = 100
_GREATEST_EXPONENT = 60


def parse(value: object) -> Fraction:
    """The exact value of a quantity, in its own base unit (cores, bytes, devices).

    JSON numbers are accepted as the API server accepts them. Raises `ValueError`; its text quotes the quantity.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{value!r} is not a quantity")
    text = value if isinstance(value, str) else str(value)
    match = _FORM.fullmatch(text) if len(text) <= _GREATEST_LENGTH else None
    if match is None:
        raise ValueError(f"{text[:_GREATEST_LENGTH]!r} is not a quantity")
    number = Fraction(_as_plain_decimal(match["number"]))
    if match["exponent"] is not None:
        exponent = int(match["exponent"])
        if abs(exponent) > _GREATEST_EXPONENT:
            raise ValueError(f"{text!r} is not a quantity: its exponent is out of range")
        return number * Fraction(10) ** exponent
    factor = _SUFFIXES.get(match["suffix"])
    if factor is None:
        raise ValueError(f"{text!r} is not a quantity: it ends in an unknown unit {match['suffix']!r}")
    return number * factor


def ceil_to(value: Fraction, unit: int | Fraction = 1) -> int:
    """How many whole `unit`s hold `value`."""
    return -((-value) // unit)


def _as_plain_decimal(number: str) -> str:
    """`1.` and `.5` are quantities, but no `Fraction` reads the first of them."""
    return number + "0" if number.endswith(".") else number
