"""Any pod becomes a request that SaladCloud takes, or a reason why not; and no field of it is lost in silence.

The pods come from seeds, so a run is the same every time. What a failure prints is its seed and the least part of the
pod that fails.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker

from tests.support import official_api
from tests.support.any_pod import AnyPod
from tests.support.any_pod_values import OPT_OUTS
from tests.support.pod_judge import Outcome, complaints, outcome_of
from tests.support.pod_requests import planned, planned_update
from tests.support.pod_schema import fields_of_client
from tests.support.shrinking import shrunk
from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.kubelet import refusals
from virtual_kubelet_salad.kubelet.refusal_table import TABLE, Treatment
from virtual_kubelet_salad.runtime import quantity
from virtual_kubelet_salad.sandbox.salad_requests import CONTAINER_GROUP_PATCH, CONTAINER_GROUP_PROTOTYPE
from virtual_kubelet_salad.saladcloud import (
    command,
    container_group,
    countries,
    gpu,
    group_environment,
    networking,
    probes,
    registry,
    resources,
)
from virtual_kubelet_salad.saladcloud.schemas import requests

Json = dict[str, Any]

BATCHES, BATCH_SIZE = 10, 1_200
# Of each batch; a property of refusals alone would prove little.
LEAST_ACCEPTED = 0.3


@functools.cache
def validator(name: str) -> Any:
    """Our own description of the API behind a validator that is not ours."""
    schema = {"create": CONTAINER_GROUP_PROTOTYPE, "patch": CONTAINER_GROUP_PATCH}[name]
    return OAS31Validator(schema, format_checker=oas31_format_checker)


def faults(pod: Json, documents: list[Json]) -> tuple[str, list[str]]:
    """What becomes of a pod, and what is wrong with that."""
    try:
        outcome = outcome_of(lambda: planned(pod, documents))
        return outcome.kind, [*complaints(pod, documents, outcome), *violations(pod, documents, outcome)]
    except Exception as error:  # Any exception that is no refusal is the defect that is looked for.
        return "failed", [f"{type(error).__name__}: {error}"]


def violations(pod: Json, documents: list[Json], outcome: Outcome) -> Iterator[str]:
    """What the descriptions of the API say against the request, and against a change of its image."""
    if outcome.kind != "accepted":
        return
    yield from (
        f"{error.json_path}: {error.message[:200]}" for error in validator("create").iter_errors(outcome.request)
    )
    yield from official_api.violations("ContainerGroupPrototype", outcome.request)
    # The daemon looks once more before it sends; then there must be nothing left to find.
    requests.check_prototype(outcome.request)
    json.dumps(outcome.request)
    if len(outcome.request["container"]["image"]) <= container_group.CHANGED_IMAGE_LIMIT_IN_CHARS:
        patch = planned_update(pod, documents).request
        yield from (f"{error.json_path}: {error.message[:200]}" for error in validator("patch").iter_errors(patch))
        yield from official_api.violations("ContainerGroupPatch", patch)


def report(seed: int, made: AnyPod, found: list[str]) -> str:
    """A failure, as small as it can be made."""
    least = shrunk(made.pod, lambda pod: faults(pod, made.documents)[1][:1] == found[:1])
    return f"seed {seed}: {found}\n{json.dumps(least, indent=1)}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_any_pod_is_a_valid_request_or_a_reason_and_loses_no_field(batch: int) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(batch * BATCH_SIZE, (batch + 1) * BATCH_SIZE):
        made = AnyPod(seed)
        kind, found = faults(made.pod, made.documents)
        assert not found, report(seed, made, found)
        # What states nothing that cannot be had, or has opted out of it, must run.
        assert not (
            made.is_ordinary and kind == "refused"
        ), f"seed {seed} is refused:\n{json.dumps(made.pod, indent=1)}"
        kinds[kind] += 1
    print(f"\n{sum(kinds.values())} pods: {dict(kinds)}", end="")
    assert kinds["accepted"] >= LEAST_ACCEPTED * BATCH_SIZE
    assert kinds["refused"] and kinds["blocked"]


def test_the_pods_have_every_field_there_is_and_the_accepted_ones_too() -> None:
    wanted = set(fields_of_client())
    seen: set[str] = set()
    ordinary: set[str] = set()
    for seed in range(BATCHES * BATCH_SIZE):
        made = AnyPod(seed)
        fields = set(_paths(made.pod["spec"], "spec"))
        seen |= fields
        if made.is_ordinary:
            ordinary |= fields
    assert len(wanted) > 800
    assert sorted(wanted - seen) == []
    assert sorted(wanted - ordinary) == []


def _paths(value: Any, path: str) -> Iterator[str]:
    """The paths of the schema that a pod has, those of maps and texts included."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, f"{path}[]")


def test_a_seed_makes_the_same_pod_every_time() -> None:
    first, second = AnyPod(7), AnyPod(7)
    assert (first.pod, first.documents) == (second.pod, second.documents)


def test_there_is_an_opt_out_for_every_word_of_the_table() -> None:
    assert {row.opt_out for row in TABLE if row.opt_out} < set(OPT_OUTS)


# That the property can fail: each planted bug is found.


def _without_readiness(original: Callable[..., Json]) -> Callable[..., Json]:
    return lambda *args: {key: probe for key, probe in original(*args).items() if key != "readiness_probe"}


def _with_a_negative_delay(original: Callable[..., Json]) -> Callable[..., Json]:
    return lambda *args: original(*args) | {"initial_delay_seconds": -1}


def _without_the_first(original: Callable[..., Json]) -> Callable[..., Json]:
    return lambda *args: dict(list(original(*args).items())[1:])


def _with_an_empty_one(original: Callable[..., Json]) -> Callable[..., Json]:
    return lambda *args: {"EMPTY": ""} | original(*args)


def _with_no_message(original: Callable[..., Refused]) -> Callable[..., Refused]:
    return lambda kind, problem: Refused("InvalidProbe", "")


def _told_with_its_value(original: Callable[..., str]) -> Callable[..., str]:
    return lambda text, *args: original(text, *args) and f"is {text!r}"


def _shortened(original: Callable[..., list[str] | None]) -> Callable[..., list[str] | None]:
    return lambda *args: (original(*args) or [])[:1] or None


def _broken(original: Callable[..., Any]) -> Callable[..., Any]:
    def raise_key_error(*args: Any) -> Any:
        raise KeyError("auth")

    return raise_key_error


def _nothing(original: Callable[..., Any]) -> Callable[..., None]:
    return lambda *args: None


def _rounded_down(original: Callable[..., int]) -> Callable[..., int]:
    return lambda value, unit=1: max(1, int(value // unit))


def _cut_window(original: Callable[..., tuple[int, int]]) -> Callable[..., tuple[int, int]]:
    return lambda failures, period: (min(failures, 20), min(period, 120))


def _command_alone(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda pod, inputs: list(inputs.command) or None


def _open_to_all(original: Callable[..., Json | None]) -> Callable[..., Json | None]:
    return lambda pod: (found := original(pod)) and found | {"auth": False}


def _without_hostname(original: dict[str, Any]) -> dict[str, Any]:
    return original | {"spec.hostname": dataclasses.replace(original["spec.hostname"], asks=lambda value: False)}


def _with_whole_probes(original: dict[str, Any]) -> dict[str, Any]:
    path = "spec.containers[].livenessProbe"
    return original | {path: dataclasses.replace(original[path], parts=())}


def _with_init_containers(original: dict[str, Any]) -> dict[str, Any]:
    path = "spec.initContainers"
    return original | {path: dataclasses.replace(original[path], asks=lambda value: False)}


PLANTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "a dropped probe": (probes, "probes", _without_readiness),
    "a negative number sent": (probes, "_timing", _with_a_negative_delay),
    "a probe that gives up too early": (probes, "fitted_window", _cut_window),
    "a refusal without a word": (probes, "_refused", _with_no_message),
    "a lost variable": (group_environment, "environment_variables", _without_the_first),
    "an empty variable": (group_environment, "environment_variables", _with_an_empty_one),
    "a value that is told": (group_environment, "problem_of", _told_with_its_value),
    "lost arguments": (command, "command", _command_alone),
    "fewer countries": (countries, "country_codes", _shortened),
    "a lost GPU": (gpu, "wish", _nothing),
    "an exception": (registry, "authentication", _broken),
    "an anonymous pull": (registry, "authentication", _nothing),
    "less than was asked for": (quantity, "ceil_to", _rounded_down),
    "lost shared memory": (resources, "_shared_memory_in_mib", _nothing),
    "a lost gateway": (networking, "networking", _nothing),
    "an open gateway": (networking, "networking", _open_to_all),
    "a lost restart policy": (container_group, "_restart_policy", lambda original: lambda pod: "always"),
    "a lost priority": (container_group, "_priority", lambda original: lambda pod, default: "batch"),
    "an ignored field that is not named": (refusals, "_ROWS", _without_hostname),
    "a field of the future that is not named": (refusals, "_ROWS", _with_whole_probes),
    "a refused field that is accepted": (refusals, "_ROWS", _with_init_containers),
    "nothing named": (refusals.Verdict, "notices", lambda original: lambda verdict: ()),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, planted = PLANTED[name]
    monkeypatch.setattr(owner, attribute, planted(getattr(owner, attribute)))
    for seed in range(BATCHES * BATCH_SIZE):
        made = AnyPod(seed)
        if faults(made.pod, made.documents)[1]:
            return
    pytest.fail(f"{name} was not found")


def test_a_pod_that_runs_and_is_refused_all_the_same_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    row = dataclasses.replace(refusals._ROWS["spec.securityContext"], treatment=Treatment.REFUSED)
    monkeypatch.setattr(refusals, "_ROWS", refusals._ROWS | {"spec.securityContext": row})
    pods = (AnyPod(seed) for seed in range(BATCHES * BATCH_SIZE))
    assert any(made.is_ordinary and faults(made.pod, made.documents)[0] == "refused" for made in pods)


def test_a_failure_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "probes", _without_readiness(probes.probes))
    made = next(made for seed in range(BATCH_SIZE) if faults((made := AnyPod(seed)).pod, made.documents)[1])
    text = report(0, made, faults(made.pod, made.documents)[1])
    assert "readinessProbe" in text
    assert len(text) < len(json.dumps(stored_pod(), indent=1))
