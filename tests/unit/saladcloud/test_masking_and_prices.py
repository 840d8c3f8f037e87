"""What of a request may be shown, and what a group costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.gpu_catalog import CLASSES, RTX_3060, RTX_4090
from virtual_kubelet_salad.saladcloud import masking, prices

POD: dict[str, Any] = {"metadata": {"annotations": {}}, "spec": {}}
POD_WITH_SECRET: dict[str, Any] = {"metadata": {"annotations": {"salad.com/logging-secret": "sink"}}}


@pytest.mark.parametrize(
    "credentials",
    [
        {"basic": {"username": "u", "password": "p"}},
        {"gcp_gar": {"service_key": "k"}},
        {"aws_ecr": {"access_key_id": "a", "secret_access_key": "s"}},
    ],
)
def test_credentials_of_the_registry_are_masked_and_their_kind_is_shown(credentials: dict[str, Any]) -> None:
    request = {"name": "web", "container": {"image": "x", "registry_authentication": credentials}}
    shown = masking.masked(request, POD)
    ((kind, parts),) = shown["container"]["registry_authentication"].items()
    assert {kind} == set(credentials)
    assert parts == {name: masking.MASK for name in credentials[kind]}
    assert (shown["name"], shown["container"]["image"]) == ("web", "x")
    assert request["container"]["registry_authentication"] is credentials  # type: ignore[index]


def test_a_sink_out_of_a_secret_is_masked_whole() -> None:
    http = {"host": "h", "port": 443, "headers": [{"name": "n", "value": "v"}], "user": None}
    shown = masking.masked({"container": {"logging": {"http": http}}}, POD_WITH_SECRET)
    mask = masking.MASK
    assert shown["container"]["logging"] == {
        "http": {"host": mask, "port": mask, "headers": [{"name": mask, "value": mask}], "user": None}
    }


def test_a_sink_out_of_annotations_shows_where_it_is() -> None:
    shown = masking.masked({"container": {"logging": {"splunk": {"host": "h", "token": "t"}}}}, POD)
    assert shown["container"]["logging"] == {"splunk": {"host": "h", "token": masking.MASK}}


def test_a_group_may_cost_what_any_of_its_classes_costs() -> None:
    ids = [RTX_4090.id, RTX_3060.id, "one that is gone"]
    assert prices.per_hour(ids, "high", 1, 1024, CLASSES) == [Decimal("0.10"), Decimal("0.30")]
    assert prices.per_hour(["one that is gone"], "high", 1, 1024, CLASSES) == []


def test_without_a_gpu_cores_and_memory_are_paid() -> None:
    (price,) = prices.per_hour([], "high", 2, 4096, ())
    assert price == Decimal("0.012")


def test_a_range_of_one_price_is_one_price() -> None:
    assert prices.in_words([Decimal("0.30"), Decimal("0.10")], "low") == "$0.10 to $0.30 per hour at priority low"
    assert prices.in_words([Decimal("0.30")], "low") == "$0.30 per hour at priority low"
