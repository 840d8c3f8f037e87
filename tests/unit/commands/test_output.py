"""What commands print: tables, and text for a reader who has gone."""

from __future__ import annotations

import os

import pytest

from virtual_kubelet_salad.commands import output


def test_columns_are_as_wide_as_they_need_to_be() -> None:
    assert output.table([["NAME", "N"], ["a", "10"], ["longer", ""]]) == "NAME    N\na       10\nlonger\n"


def test_a_reader_who_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        output.write("nobody reads this\n")
        output.write("nor this\n")
