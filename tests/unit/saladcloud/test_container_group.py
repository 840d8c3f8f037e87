from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from tests.support.gpu_catalog import FixedCatalog
from tests.support.pod_requests import owner_of
from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Blocked, CouldNotAsk, Refused
from virtual_kubelet_salad.kubelet.provider import Inputs, Owner, Plan, Pod
from virtual_kubelet_salad.saladcloud import container_group
from virtual_kubelet_salad.saladcloud.container_group import Settings

NOTHING = Inputs(environment=[], secrets={})
FROM_A_SECRET = {"envFrom": [{"secretRef": {"name": "s"}}]}


def build(
    pod: Pod, inputs: Inputs = NOTHING, *, catalog: FixedCatalog | None = None, settings: Settings = Settings()
) -> Plan:
    return container_group.build(pod, inputs, owner_of(pod), catalog or FixedCatalog(), settings)


def environment(*pairs: tuple[str, str]) -> Inputs:
    return Inputs(environment=pairs, secrets={})


def test_a_plain_pod_is_one_replica_that_starts_by_itself() -> None:
    request = build(stored_pod()).request
    assert (request["replicas"], request["autostart_policy"], request["restart_policy"]) == (1, True, "always")
    assert request["container"]["image"] == "nginx:1.29"
    assert set(request) == {"name", "display_name", "replicas", "autostart_policy", "restart_policy", "container"}


@pytest.mark.parametrize(("pods", "groups"), [("Always", "always"), ("OnFailure", "on_failure"), ("Never", "never")])
def test_the_restart_policy_is_kept(pods: str, groups: str) -> None:
    assert build(stored_pod(spec={"restartPolicy": pods})).request["restart_policy"] == groups


def test_a_priority_is_always_sent_the_pods_before_the_operators() -> None:
    low = Settings(default_priority="low")
    assert build(stored_pod(), settings=low).request["container"]["priority"] == "low"
    pod = stored_pod(annotations={"salad.com/container-group-priority": " Batch"})
    assert build(pod, settings=low).request["container"]["priority"] == "batch"


def test_the_owner_record_is_the_last_variable() -> None:
    variables = build(stored_pod(), environment(("A", "1"), ("Z", "2"))).request["container"]["environment_variables"]
    assert list(variables) == ["A", "Z", "SALAD_VK_OWNER"]
    assert len(variables["SALAD_VK_OWNER"]) <= 1000


def test_a_pod_that_names_the_owner_record_is_refused_and_a_source_that_does_blocks() -> None:
    pod = stored_pod(container={"env": [{"name": "SALAD_VK_OWNER", "value": "me"}]})
    assert [notice.reason for notice in container_group.refusals(pod)] == ["InvalidEnvironment"]
    with pytest.raises(Refused):
        build(pod, environment(("SALAD_VK_OWNER", "me")))
    with pytest.raises(Blocked):
        build(stored_pod(container=FROM_A_SECRET), environment(("SALAD_VK_OWNER", "me")))


def test_empty_variables_are_left_out_and_told_by_name() -> None:
    plan = build(stored_pod(), environment(("EMPTY", ""), ("A", "1")))
    assert "EMPTY" not in plan.request["container"]["environment_variables"]
    assert [(notice.reason, "EMPTY" in notice.message) for notice in plan.notices] == [("EmptyVariablesDropped", True)]


@pytest.mark.parametrize("value", ["canary" * 200, "can\nary", "can\rary", "can\u2028ary"])
def test_a_value_beyond_the_limits_is_told_by_name_never_by_value(value: str) -> None:
    literal = stored_pod(container={"env": [{"name": "BIG", "value": value}]})
    with pytest.raises(Refused) as refusal:
        build(literal, environment(("BIG", value)))
    with pytest.raises(Blocked) as obstacle:
        build(stored_pod(container=FROM_A_SECRET), environment(("BIG", value)))
    for error in (refusal, obstacle):
        assert "BIG" in str(error.value)
        assert "ary" not in str(error.value)
    assert [notice.reason for notice in container_group.refusals(literal)] == ["InvalidEnvironment"]


@pytest.mark.parametrize("name", ["", "N" * 1001, "a\nb"])
def test_a_name_beyond_the_limits_is_refused_in_a_pod_and_blocks_out_of_a_source(name: str) -> None:
    pod = stored_pod(container={"env": [{"name": name, "value": "1"}]})
    assert [notice.reason for notice in container_group.refusals(pod)] == ["InvalidEnvironment"]
    with pytest.raises(Blocked, match="name of an environment variable"):
        build(stored_pod(container=FROM_A_SECRET), environment((name, "1")))


def test_a_value_that_the_pods_own_references_made_too_long_is_refused_for_nothing_can_mend_it() -> None:
    pod = stored_pod(container={"env": [{"name": "A", "value": "x" * 600}, {"name": "B", "value": "$(A)$(A)"}]})
    with pytest.raises(Refused, match="variable B has 1200 characters"):
        build(pod, environment(("A", "x" * 600), ("B", "x" * 1200)))


def test_a_literal_that_a_later_source_replaces_is_not_held_against_the_pod() -> None:
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    pod = stored_pod(container={"env": [{"name": "A", "value": "x" * 2000}, {"name": "A", "valueFrom": reference}]})
    assert container_group.refusals(pod) == []
    assert build(pod, environment(("A", "short"))).request["container"]["environment_variables"]["A"] == "short"


def test_every_refusal_is_found_at_once_and_each_only_once() -> None:
    pod = stored_pod(
        container={"args": ["x"], "resources": {"requests": {"cpu": "9999"}}},
        annotations={"salad.com/country-codes": "xx", "salad.com/on-interruption": "stop", "salad.com/nonsense": "1"},
    )
    assert sorted(notice.reason for notice in container_group.refusals(pod)) == [
        "InvalidAnnotation",
        "InvalidAnnotation",
        "InvalidCommand",
        "InvalidResources",
        "UnknownAnnotation",
    ]
    assert all(notice.type == "Warning" for notice in container_group.refusals(pod))


def test_what_refusals_finds_build_refuses_too() -> None:
    for wrong in (
        "salad.com/country-codes",
        "salad.com/container-group-priority",
        "salad.com/on-interruption",
        "salad.com/x",
    ):
        pod = stored_pod(annotations={wrong: "xx"})
        assert container_group.refusals(pod)
        with pytest.raises(Refused):
            build(pod)


def test_annotations_of_others_and_those_the_node_writes_are_fine() -> None:
    own = {"salad.com/container-group": "o/p/n", "salad.com/attempt": "1", "salad.com/machine-id": "m"}
    assert container_group.refusals(stored_pod(annotations={**own, "example.com/salad": "x"})) == []


def test_a_misspelled_annotation_is_refused_unless_opted_out() -> None:
    annotations = {"salad.com/gpu-clases": "x"}
    (refusal,) = container_group.refusals(stored_pod(annotations=annotations))
    assert "did you mean salad.com/gpu-classes?" in refusal.message
    annotations["salad.com/ignore-unsupported"] = "volumes, annotations"
    assert container_group.refusals(stored_pod(annotations=annotations)) == []


def test_an_image_beyond_the_limit_is_refused() -> None:
    assert container_group.refusals(stored_pod(container={"image": "a/" + "x" * 2046})) == []
    (refusal,) = container_group.refusals(stored_pod(container={"image": "a/" + "x" * 2047}))
    assert refusal.reason == "InvalidImage"


def test_the_catalog_is_asked_only_for_pods_that_want_a_gpu_and_unread_classes_are_no_answer() -> None:
    build(stored_pod(), catalog=FixedCatalog(None))
    pod = stored_pod(container={"resources": {"limits": {"nvidia.com/gpu": "1"}}})
    with pytest.raises(CouldNotAsk):
        build(pod, catalog=FixedCatalog(None))


def test_the_operators_price_cap_bounds_the_classes() -> None:
    pod = stored_pod(container={"resources": {"limits": {"nvidia.com/gpu": "1"}}})
    capped = build(pod, settings=Settings(max_price_per_hour=Decimal("0.10")))
    assert len(capped.request["container"]["resources"]["gpu_classes"]) == 2


def test_wanted_secrets_are_those_of_the_pull_and_of_the_logging_sink_each_once() -> None:
    pod = stored_pod(
        spec={"imagePullSecrets": [{"name": "a"}, {"name": "b"}, {"name": "a"}, {}]},
        annotations={"salad.com/logging-secret": "b"},
    )
    assert container_group.wanted_secrets(pod) == ("a", "b")


def _owner(namespace: str, pod: str) -> Owner:
    return Owner("c", "n", namespace, pod, "u", 0, "h")


def test_the_display_name_is_readable_and_within_its_limits() -> None:
    assert container_group.display_name(_owner("ml", "web-0")) == "ml, web-0"
    long = container_group.display_name(_owner("n" * 63, "p" * 253))
    assert 2 <= len(long) <= 63
    assert not container_group.display_name(_owner("n" * 62, "p")).endswith((" ", ","))


def test_a_change_of_the_image_sends_image_credentials_and_the_whole_environment_and_nothing_else() -> None:
    pod = stored_pod(container={"image": "nginx:1.30", "resources": {"limits": {"nvidia.com/gpu": "1"}}})
    inputs = environment(("A", "1"))
    update = container_group.build_update(pod, inputs, owner_of(pod))
    created = build(pod, inputs).request["container"]
    assert update.request["container"].items() <= created.items()
    assert set(update.request) == {"container"}
    assert set(update.request["container"]) == {"image", "environment_variables"}
    assert update.request["container"]["environment_variables"]["A"] == "1"


def test_an_image_that_only_a_create_takes_is_refused_in_a_change() -> None:
    pod = stored_pod(container={"image": "a/" + "x" * 1023})
    build(pod)
    with pytest.raises(Refused, match="Delete the pod"):
        container_group.build_update(pod, NOTHING, owner_of(pod))


def test_building_changes_neither_pod_nor_inputs() -> None:
    pod: dict[str, Any] = stored_pod(container={"command": ["a"], "env": [{"name": "A", "value": "1"}]})
    before = copy.deepcopy(pod)
    first = build(pod, environment(("A", "1")))
    assert pod == before
    assert build(pod, environment(("A", "1"))) == first


def test_a_plan_never_shows_its_request() -> None:
    assert "canary" not in repr(build(stored_pod(), environment(("A", "canary"))))
