from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet_salad.runtime.expansion import expand

VARIABLES = {"VAR_A": "A", "VAR_B": "B", "EMPTY": "", "REF": "$(VAR_A)"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("$(VAR_A)-1$(VAR_B)", "A-1B"),
        ("$$(VAR_A)", "$(VAR_A)"),
        ("$$$(VAR_A)", "$A"),
        ("$$$$(VAR_A)", "$$(VAR_A)"),
        ("$(VAR_A)$$", "A$"),
        ("$(MISSING)", "$(MISSING)"),
        ("$(EMPTY)", ""),
        ("foo$", "foo$"),
        ("$", "$"),
        ("$?", "$?"),
        ("$VAR_A", "$VAR_A"),
        ("$(VAR_A", "$(VAR_A"),
        ("$(VAR_A$$", "$(VAR_A$"),
        ("$()", "$()"),
        ("$(VAR_A))", "A)"),
        ("$($(VAR_A))", "$($(VAR_A))"),
        ("f000-$($VAR_A)", "f000-$($VAR_A)"),
        ("\n$(VAR_A)\n", "\nA\n"),
        ("$(VAR_\nA)", "$(VAR_\nA)"),
        ("$(REF)", "$(VAR_A)"),
        ("$é$(VAR_A)", "$éA"),
        ("", ""),
    ],
)
def test_expansion_follows_the_kubelet(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


@given(st.text(alphabet="$()AVR_\n x", max_size=30))
def test_a_text_without_a_reference_to_a_variable_only_loses_doubled_dollars(text: str) -> None:
    assert expand(text, {}).replace("$", "") == text.replace("$", "")
    assert expand(text.replace("$", "$$"), VARIABLES) == text
