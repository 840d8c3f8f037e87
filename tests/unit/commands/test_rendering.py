"""What the daemon would make of a pod: the same as the daemon makes of it, and nothing of it is secret."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.gpu_catalog import CLASSES, FixedCatalog
from tests.support.pod_requests import CLUSTER_ID, NODE_NAME, SETTINGS, planned
from tests.support.stored_pods import as_stored
from virtual_kubelet_salad.commands import pod_templates, rendering
from virtual_kubelet_salad.commands.given_sources import GivenSources
from virtual_kubelet_salad.commands.manifests import Document
from virtual_kubelet_salad.commands.rendering import Rendered, Renderer
from virtual_kubelet_salad.errors import CouldNotAsk, Rejected
from virtual_kubelet_salad.saladcloud import container_group

Object = dict[str, Any]

CASES = sorted((Path(__file__).parents[2] / "golden" / "pods").glob("*.yaml"))
OUTCOMES = {".json": rendering.ACCEPTED, ".refused.txt": rendering.REFUSED, ".blocked.txt": rendering.BLOCKED}


def renderer(documents: list[Object], **changes: Any) -> Renderer:
    sources = GivenSources()
    problems: list[str] = []
    sources.add([Document("d.yaml", 1, None, one) for one in documents], "default", problems)
    assert problems == []
    settings = {"cluster_id": CLUSTER_ID, "node_name": NODE_NAME, "host_ip": "10.1.2.3", **changes}
    catalog = settings.pop("catalog", FixedCatalog())
    operator = settings.pop("operator", SETTINGS)
    return Renderer(sources, catalog, operator, **settings)


def golden(case: Path) -> tuple[Object, list[Object]]:
    """The pod as its author writes it, and the documents it needs."""
    documents: list[Object] = list(yaml.safe_load_all(case.read_text("utf-8")))
    return next(one for one in documents if one["kind"] == "Pod"), documents


def as_rendered(written: Object) -> Object:
    """The author's pod as `render` takes it, with the UID that the stored one has."""
    uid = as_stored(written)["metadata"]["uid"]
    manifest = {**written, "metadata": {**written["metadata"], "uid": uid}}
    problems: list[str] = []
    found = pod_templates.candidate(Document("d.yaml", 1, None, manifest), "default", problems)
    assert problems == [] and found is not None
    return found.pod


def secret_values(documents: list[Object]) -> Iterator[str]:
    """Each text in a Secret; of credentials and sinks in JSON the texts therein."""
    for one in documents:
        if one["kind"] == "Secret":
            for encoded in as_stored(one)["data"].values():
                text = base64.b64decode(encoded).decode()
                try:
                    yield from leaves(json.loads(text))
                except ValueError:
                    yield text


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_it_is_what_the_daemon_makes_of_the_pod_that_the_api_server_stores(case: Path) -> None:
    written, documents = golden(case)
    taken = as_rendered(written)
    rendered = renderer(documents).render(taken)
    suffix = next(suffix for suffix in OUTCOMES if case.with_suffix(suffix).exists())
    assert rendered.outcome == OUTCOMES[suffix]
    if rendered.request is None:
        assert rendered.reasons
        return
    plan, notices = planned(as_stored(written), [as_stored(document) for document in documents])
    assert json.dumps(renderer(documents).plan(taken).request) == json.dumps(plan.request)
    assert rendered.events == notices
    assert without_masked(rendered.request, plan.request) == without_masked(plan.request, rendered.request)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_no_secret_is_shown(case: Path) -> None:
    written, documents = golden(case)
    taken = as_rendered(written)
    before = copy.deepcopy(taken)
    rendered = renderer(documents).render(taken)
    told = "\n".join([*leaves(rendered.request), repr(rendered.reasons), repr(rendered.events)])
    assert [value for value in secret_values(documents) if len(value) > 3 and value in told] == []
    for name in ("salad.com/logging-new-relic-ingestion-key", "salad.com/logging-splunk-token"):
        token = written["metadata"].get("annotations", {}).get(name)
        assert token is None or token not in told
    assert taken == before


def without_masked(value: Any, other: Any) -> Any:
    """The value, where neither side holds a masked text."""
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return [(name, without_masked(inner, other.get(name))) for name, inner in value.items()]
    if isinstance(value, list) and isinstance(other, list):
        return [without_masked(*pair) for pair in zip(value, other, strict=True)]
    return None if "***" in str(value) or "***" in str(other) else value


def pod(**changes: Any) -> Object:
    container = {"name": "main", "image": "nginx:1", **changes.pop("container", {})}
    metadata = {"name": "web", "namespace": "default", "uid": "its-uid", **changes.pop("metadata", {})}
    return {"metadata": metadata, "spec": {"containers": [container], **changes}}


def secret(name: str, **values: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def from_secret(variable: str, name: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def environment(rendered: Rendered) -> Object:
    assert rendered.request is not None, rendered
    variables = dict(rendered.request["container"]["environment_variables"])
    del variables["SALAD_VK_OWNER"]
    return variables


def test_a_secret_is_masked_wherever_it_was_expanded_and_what_stands_beside_it_is_shown() -> None:
    container = {
        "envFrom": [{"secretRef": {"name": "all"}, "prefix": "ALL_"}],
        "env": [
            from_secret("PASSWORD", "db", "password"),
            {"name": "URL", "value": "postgres://app:$(PASSWORD)@db/app"},
            {"name": "TWICE", "value": "[$(URL)]"},
            {"name": "ESCAPED", "value": "$$(PASSWORD)"},
            {"name": "PLAIN", "value": "shown"},
        ],
        "command": ["serve", "--token=$(ALL_token)"],
        "args": ["--url", "$(URL)"],
    }
    documents = [secret("db", password="hunter2hunter2"), secret("all", token="0123456789", other="x", none="")]
    rendered = renderer(documents).render(pod(container=container))
    assert environment(rendered) == {
        "ALL_other": "********",
        "ALL_token": "********",
        "PASSWORD": "********",
        "URL": "postgres://app:********@db/app",
        "TWICE": "[postgres://app:********@db/app]",
        "ESCAPED": "$(PASSWORD)",
        "PLAIN": "shown",
    }
    assert rendered.request is not None
    assert rendered.request["container"]["command"] == [
        "serve",
        "--token=********",
        "--url",
        "postgres://app:********@db/app",
    ]
    assert [event.reason for event in rendered.events] == ["EmptyVariablesDropped"]


def test_masking_breaks_no_limit_that_the_value_keeps() -> None:
    container = {"env": [from_secret("A", "db", "a"), {"name": "MANY", "value": "$(A)" * 900}]}
    rendered = renderer([secret("db", a="x")]).render(pod(container=container))
    assert environment(rendered) == {"A": "*", "MANY": "*" * 900}


def test_all_refusals_are_told_each_with_its_reason() -> None:
    refused = pod(
        hostNetwork=True,
        volumes=[{"name": "data", "hostPath": {"path": "/"}}],
        container={"args": ["x"], "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
    )
    rendered = renderer([], namespaces=["other"]).render(refused)
    assert rendered.outcome == rendering.REFUSED
    text = "\n".join(f"{notice.reason}: {notice.message}" for notice in rendered.reasons)
    for part in ("NamespaceNotAllowed", "hostNetwork", "hostPath", "status.podIP", "InvalidCommand"):
        assert part in text
    assert len(rendered.reasons) == 5


def test_all_missing_sources_are_told() -> None:
    container = {"env": [from_secret("A", "one", "a"), from_secret("B", "two", "b")]}
    rendered = renderer([]).render(pod(container=container))
    assert (rendered.outcome, rendered.lacks_sources) == (rendering.BLOCKED, True)
    assert [notice.reason for notice in rendered.reasons] == ["MandatorySecretNotFound"] * 2


def test_the_price_is_that_of_the_classes_that_were_chosen() -> None:
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    low = {"annotations": {"salad.com/container-group-priority": "low", "salad.com/max-price-per-hour": "0.15"}}
    rendered = renderer([]).render(pod(container=gpu, metadata=low))
    assert str(rendered.price) == "$0.048 to $0.120 per hour at priority low"
    assert str(renderer([]).render(pod()).price) == "$0.005 per hour at priority high"


def test_an_unknown_price_is_none() -> None:
    named = {"annotations": {"salad.com/gpu-classes": "GTX 1660"}}
    rendered = renderer([], operator=container_group.Settings()).render(pod(metadata=named))
    assert (rendered.outcome, rendered.price) == (rendering.ACCEPTED, None)


def test_a_pod_of_a_daemon_set_gets_no_group() -> None:
    owner = {"kind": "DaemonSet", "name": "agent", "controller": True}
    rendered = renderer([]).render(pod(metadata={"ownerReferences": [owner]}, hostNetwork=True))
    assert (rendered.outcome, rendered.request) == (rendering.NOT_RUN, None)
    assert [notice.reason for notice in rendered.reasons] == ["NotRunOnVirtualNode"]


@pytest.mark.parametrize("error", [CouldNotAsk("it does not answer"), Rejected("Gone", "it does not want to")])
def test_who_cannot_be_asked_blocks_with_the_reason(error: Exception) -> None:
    class Silent:
        def classes(self) -> tuple[Any, ...]:
            raise error

    gpu = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    rendered = renderer([], catalog=Silent()).render(pod(container=gpu))
    assert (rendered.outcome, rendered.reasons[0].message) == (rendering.BLOCKED, str(error))
    assert not rendered.lacks_sources


def test_a_claimed_pod_is_shown_as_the_attempt_that_it_claims() -> None:
    claim = {"finalizers": ["salad.com/container-group"], "annotations": {"salad.com/attempt": "3"}}

    def attempt_of(metadata: Object) -> object:
        request = renderer([]).render(pod(metadata=metadata)).request
        assert request is not None
        return json.loads(request["container"]["environment_variables"]["SALAD_VK_OWNER"])["attempt"]

    assert attempt_of(claim) == 3
    assert attempt_of({"annotations": claim["annotations"]}) == 0
    assert attempt_of({}) == 0


def test_the_offer_has_something_to_choose_from() -> None:
    assert len(CLASSES) > 5 and len(CASES) > 60
