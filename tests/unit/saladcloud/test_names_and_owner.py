"""The name and the owner record of a container group."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet_salad.kubelet.provider import Owner
from virtual_kubelet_salad.saladcloud import names, owner

OWNER = Owner("cluster", "node", "default", "web", "some-uid", 3, "0123456789abcdef")


@given(st.text(max_size=300), st.integers(0, 9_999))
def test_every_pod_has_a_name_that_saladcloud_takes(pod_name: str, attempt: int) -> None:
    name = names.workload_name("cluster", pod_name, "uid", attempt)
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", name)
    assert len(name) <= 45 + 1 + 12


def test_a_name_is_the_same_for_the_same_attempt_and_different_for_every_other() -> None:
    arguments = [("c", "web", "u", 0), ("c2", "web", "u", 0), ("c", "web", "u2", 0), ("c", "web", "u", 1)]
    found = [names.workload_name(*each) for each in arguments]
    assert found == [names.workload_name(*each) for each in arguments]
    assert len({name.rsplit("-", 1)[1] for name in found}) == 4


def test_a_name_starts_with_the_pods_own() -> None:
    assert names.workload_name("c", "my.Web_1", "u", 0).startswith("my-web-1-")
    assert names.workload_name("c", "7zip", "u", 0).startswith("pod-7zip-")


def test_a_record_comes_back_as_it_was() -> None:
    assert owner.decode(owner.encode(OWNER)) == OWNER


def test_the_longest_names_of_kubernetes_fit() -> None:
    longest = Owner("c" * 63, "n" * 253, "s" * 63, "p" * 253, "u" * 36, 9_999, "0" * 16)
    text = owner.encode(longest)
    assert len(text) <= 1000 and owner.decode(text) == longest


def test_a_record_that_would_be_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="too long"):
        owner.encode(Owner("c" * 900, "n" * 253, "s", "p", "u", 0, ""))


@pytest.mark.parametrize(
    "change", [{"v": 2}, {"attempt": "3"}, {"attempt": -1}, {"attempt": True}, {"uid": None}, {"pod": 5}]
)
def test_a_record_with_something_odd_is_none(change: dict[str, object]) -> None:
    assert owner.decode(json.dumps({**json.loads(owner.encode(OWNER)), **change})) is None


@pytest.mark.parametrize("text", [None, 5, "", "{", "[]", "null", '"text"', "{}"])
def test_what_is_no_record_is_none(text: object) -> None:
    assert owner.decode(text) is None


@pytest.mark.parametrize(
    "group",
    [
        {},
        {"container": None},
        {"container": {"environment_variables": None}},
        {"container": {"environment_variables": {"OTHER": "x"}}},
    ],
)
def test_a_group_without_a_record_has_no_owner(group: dict[str, object]) -> None:
    assert owner.owner_of(group) is None
