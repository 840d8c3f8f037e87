"""Reading SaladCloud's answers: whatever is odd in them must not hide the rest."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.saladcloud.schemas import answers, requests

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
INSTANCE = {"id": "i", "machine_id": "m", "state": "running", "update_time": "2026-01-01T00:00:00Z", "version": 1}


@given(JSON)
def test_no_answer_is_an_exception(raw: Any) -> None:
    answers.instances(raw)
    answers.instances({"instances": raw})
    answers.log_page({"items": raw, "page_max_time": raw})
    answers.system_logs({"items": raw}, "web")
    answers.quota({"container_groups_quotas": raw})
    answers.gpu_classes({"items": raw})
    answers.gpu_classes({"items": [{"id": "i", "name": "n", "prices": raw, "gpu_count": raw}]})
    answers.instances({"instances": [{**INSTANCE, "pulling_progress": raw, "ready": raw, "update_time": raw}]})
    if isinstance(raw, dict):
        answers.group(raw)
    answers.group({"name": "web", "current_state": raw, "container": raw, "networking": raw, "version": raw})


def test_a_group_without_anything_but_a_name_is_read() -> None:
    group = answers.group({"name": "web"})
    assert group is not None and (group.status, group.running_count, group.owner) == ("", 0, None)


def test_null_where_the_description_forbids_it_is_a_default() -> None:
    raw = {"name": "web", "current_state": {"status": "running", "description": None, "instance_status_counts": None}}
    group = answers.group(raw)
    assert group is not None and (group.status, group.description, group.creating_count) == ("running", "", 0)


def test_unknown_words_are_kept_as_they_are() -> None:
    group = answers.group({"name": "web", "current_state": {"status": "hibernating"}})
    instances = answers.instances({"instances": [{**INSTANCE, "state": "dreaming", "new_field": 1}]})
    assert group is not None and group.status == "hibernating"
    assert instances is not None and instances[0].state == "dreaming"


@pytest.mark.parametrize(
    ("sent", "percent"),
    [(0, 0.0), (0.42, 42.0), (1, 100.0), (42.5, 42.5), (100, 100.0), (101, None), (-1, None), ("x", None)],
)
def test_progress_is_percent_in_both_forms(sent: object, percent: float | None) -> None:
    instances = answers.instances({"instances": [{**INSTANCE, "pulling_progress": sent}]})
    assert instances is not None and instances[0].progress_in_percent == percent


def test_a_row_that_cannot_be_read_does_not_hide_the_others() -> None:
    found = answers.instances({"instances": [{"id": "x"}, None, 5, INSTANCE]})
    assert found is not None and [one.id for one in found] == ["i"]


def test_times_have_a_zone_in_every_form() -> None:
    expected = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    for text in ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00.000000+00:00", "2026-01-01T13:00:00+01:00"):
        assert answers.moment(text) == expected
    assert answers.moment("2026-01-01T12:00:00") == expected
    assert answers.moment("2026-01-01T12:00:00.1234567Z") is not None
    assert answers.moment("yesterday") is None


def test_prices_are_exact_and_odd_ones_left_out() -> None:
    prices = [
        {"priority": "high", "price": "0.0801"},
        {"priority": "low", "price": "free"},
        {"priority": "batch", "price": "NaN"},
        {"priority": None, "price": "1"},
        "x",
        {"priority": "medium", "price": 0.05},
    ]
    classes = answers.gpu_classes({"items": [{"id": "i", "name": " RTX", "prices": prices}, {"id": "no name"}]})
    assert classes is not None and len(classes) == 1
    assert classes[0].prices == {"high": Decimal("0.0801"), "medium": Decimal("0.05")}
    assert classes[0].gpu_count is None


def test_an_answer_of_another_kind_is_told_apart_from_an_empty_one() -> None:
    assert answers.instances({"items": []}) is None and answers.instances({"instances": []}) == ()
    assert answers.gpu_classes([]) is None and answers.gpu_classes({"items": []}) == ()
    assert answers.quota({}) is None and answers.log_page(None) is None and answers.system_logs({}, "web") is None


# -- requests


PROTOTYPE: dict[str, Any] = {
    "name": "web-abc",
    "autostart_policy": True,
    "replicas": 1,
    "restart_policy": "always",
    "container": {"image": "nginx", "resources": {"cpu": 1, "memory": 1024}, "environment_variables": {"A": "hidden"}},
}


def _with(place: str, value: object) -> dict[str, Any]:
    changed: dict[str, Any] = {**PROTOTYPE, "container": {**PROTOTYPE["container"]}}
    target, _, key = place.rpartition(".")
    (changed[target] if target else changed)[key] = value
    return changed


def test_a_good_request_passes() -> None:
    requests.check_prototype(PROTOTYPE)
    requests.check_patch({"container": {"image": "nginx:2", "environment_variables": {"A": "b"}}})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("name", "Web"),
        ("name", "web-abc\n"),
        ("replicas", "1"),
        ("autostart_policy", "true"),
        ("restart_policy", "Always"),
        ("country_codes", []),
        ("country_codes", ["USA"]),
        ("display_name", "a/b"),
        ("unknown_field", 1),
        ("container.image", ""),
        ("container.command", [""]),
        ("container.command", ["a\nb"]),
        ("container.command", ["x" * 1001]),
        ("container.environment_variables", {"A": ""}),
        ("container.environment_variables", {"A": "hidden\nvalue"}),
        ("container.environment_variables", {"A": "hidden" * 200}),
        ("container.environment_variables", {"A": 5}),
        ("container.priority", "urgent"),
        ("container.resources", {"cpu": 0, "memory": 1024}),
        ("container.resources", {"cpu": 1, "memory": 1023}),
        ("container.resources", {"cpu": 1, "memory": 1024, "gpu_classes": ["RTX"]}),
        ("container.registry_authentication", {}),
        ("container.registry_authentication", {"basic": {"username": "hidden"}}),
        ("container.logging", {"tcp": {}, "splunk": {}}),
        ("networking", {"port": 80, "auth": True}),
        ("liveness_probe", {"tcp": {"port": 80}}),
    ],
)
def test_what_the_api_would_refuse_is_refused_before_it_is_sent_and_by_place(place: str, value: object) -> None:
    with pytest.raises(Refused) as caught:
        requests.check_prototype(_with(place, value))
    assert place in str(caught.value) and "hidden" not in str(caught.value)


@pytest.mark.parametrize("patch", [{}, {"name": "x"}, {"container": {}}, {"container": {"image": "x" * 1025}}])
def test_a_patch_has_limits_of_its_own(patch: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        requests.check_patch(patch)
