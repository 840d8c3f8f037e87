"""The simulated SaladCloud keeps to the description of the API: its answers conform, and its validator judges as a
full one does.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from tests.support.salad_caller import GROUPS, HEADERS, ORGANIZATION, RTX_3060, SaladCaller, prototype
from virtual_kubelet_salad.sandbox.salad_catalog import GPU_CLASSES
from virtual_kubelet_salad.sandbox.salad_description import ROUTES
from virtual_kubelet_salad.sandbox.salad_requests import CONTAINER_GROUP_PROTOTYPE
from virtual_kubelet_salad.sandbox.salad_routing import find_route
from virtual_kubelet_salad.sandbox.salad_validation import compile_schema
from virtual_kubelet_salad.sandbox.salad_wire import Request, Response

PROBE = {
    "http": {"headers": [{"name": "Accept", "value": "*/*"}], "path": "/", "port": 80, "scheme": "http"},
    "failure_threshold": 3,
    "initial_delay_seconds": 0,
    "period_seconds": 1,
    "success_threshold": 1,
    "timeout_seconds": 1,
}
FULL = prototype(
    "full",
    image="registry.example/app:1",
    command=["sleep", "infinity"],
    environment={"A": "1"},
    resources={"cpu": 2, "memory": 2048, "gpu_classes": [RTX_3060], "storage_amount": 2**31, "shm_size": 128},
    priority="low",
    registry_authentication={"docker_hub": {"username": "me", "personal_access_token": "secret"}},
    display_name="Full group",
    country_codes=["no", "de"],
    networking={"auth": True, "port": 80, "protocol": "http", "load_balancer": "least_number_of_connections"},
    liveness_probe=PROBE,
    readiness_probe=PROBE,
    startup_probe=PROBE,
    queue_connection={"path": "/", "port": 80, "queue_name": "jobs"},
    queue_autoscaler={"desired_queue_length": 1, "min_replicas": 1, "max_replicas": 2},
    **{"scaling-actions": [{"schedule": "0 8 * * 1-5", "replicas": 1}], "scheduled-scaling-enabled": True},
)


class ConformingCaller(SaladCaller):
    """Checks every answer against the description. The gateway's host may be late, and problem types are bare words."""

    checked = 0

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Response:
        response = super().call(method, path, body, **headers)
        route = find_route(method, path).route
        assert route is not None
        described = route.answers[response.status] if response.status in route.answers else None
        if described is not None:
            assert response.content_type == described.content_type
            complaints = compile_schema(described.schema)(response.body)
            assert [text for text in complaints if not text.endswith("dns: is required")] == []
            self.checked += 1
        else:
            assert response.status not in route.answers or response.text == ""
        return response


def test_every_answer_conforms_to_the_description() -> None:
    salad = ConformingCaller(rows_while_allocating=True, node_skew_max=10.0)
    assert salad.call("POST", GROUPS, FULL).status == 201
    salad.create("plain", uid="u-1")
    salad.create("bad", image="does-not-exist")
    for _ in range(12):
        salad.wait(0.3)
        salad.names()
        for name in ("full", "plain", "bad"):
            salad.group(name)
            salad.instances(name)
            salad.events(name)
    salad.wait(100)
    instance = salad.instance("plain")
    path = f"{GROUPS}/plain/instances/{instance['id']}"
    assert salad.call("GET", path).status == 202
    assert salad.call("PATCH", path, {"deletion_cost": 5}).status == 200
    for action in ("restart", "recreate", "reallocate"):
        assert salad.call("POST", f"{path}/{action}").status == 202
        salad.wait(5)
        path = f"{GROUPS}/plain/instances/{salad.instance('plain')['id']}"
    assert (
        salad.patch("full", {"display_name": "Fuller", "container": {"image": "registry.example/app:2"}}).status == 200
    )
    assert salad.post("full", "stop").status == 202
    assert salad.post("full", "start").status == 202
    assert salad.logs('severity = "info"').status == 200
    assert salad.call("GET", f"{ORGANIZATION}/quotas").status == 200
    assert salad.call("GET", f"{ORGANIZATION}/gpu-classes").status == 200
    assert salad.call("POST", f"{ORGANIZATION}/availability/sce-cpu-availability", {"cpu": 1}).status == 200
    gpu = {"gpu_classes": [RTX_3060], "country_codes": ["no"], "memory": None}
    assert salad.call("POST", f"{ORGANIZATION}/availability/sce-gpu-availability", gpu).status == 200
    assert salad.delete("full").status == 202
    salad.wait(1)
    assert salad.call("GET", f"{GROUPS}/full").status == 404
    statistics = salad.model.statistics()
    assert statistics["schema_violations"] == 0
    assert set(statistics["requests_by_operation"]) == {route.operation for route in ROUTES}
    assert salad.checked > 100


def test_what_a_create_says_is_what_a_read_shows() -> None:
    salad = SaladCaller()
    salad.call("POST", GROUPS, FULL)
    shown = salad.group("full")
    for key, value in FULL.items():
        if key not in ("container", "networking"):
            assert shown[key] == value
    container = {
        key: value for key, value in FULL["container"].items() if key not in ("priority", "registry_authentication")
    }
    assert {key: shown["container"][key] for key in container} == container
    assert shown["priority"] == "low"
    assert shown["networking"]["client_request_timeout"] == 100_000


def test_the_gpu_classes_have_the_traps_of_the_live_list() -> None:
    names = [gpu_class["name"] for gpu_class in GPU_CLASSES]
    assert len(set(names)) == len({gpu_class["id"] for gpu_class in GPU_CLASSES}) == 12
    assert any(name.startswith(" ") for name in names)
    assert names != sorted(names)
    assert any(name.startswith("RX ") for name in names)
    assert [gpu_class["gpu_count"] for gpu_class in GPU_CLASSES if gpu_class["gpu_count"] > 1] == [8]
    assert {"RTX 3060 (12 GB)", "RTX 3060 (8 GB)", "RTX 3060 Ti (8 GB)"} <= set(names)
    for gpu_class in GPU_CLASSES:
        prices = [float(price["price"]) for price in gpu_class["prices"]]
        assert prices == sorted(prices, reverse=True) and len(prices) == 4


def for_the_reference(schema: Any) -> Any:
    """The same schema for a full validator. Two deliberate differences are written out: a nullable field may be null
    although the official enumeration does not list it, and $ is the very end, as in ECMA-262 and not as in Python.
    """
    if isinstance(schema, list):
        return [for_the_reference(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: for_the_reference(part) for key, part in schema.items()}
    if "enum" in schema and "null" in schema.get("type", ()):
        result["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("pattern"), str):
        result["pattern"] = schema["pattern"].removesuffix("$") + r"\Z"
    return result


SCHEMAS = [route.sends.schema for route in ROUTES if route.sends is not None]
REFERENCE = OAS31Validator(for_the_reference(CONTAINER_GROUP_PROTOTYPE), format_checker=OAS31Validator.FORMAT_CHECKER)
OURS = compile_schema(CONTAINER_GROUP_PROTOTYPE)

# Pieces from which a wrong value can be made: null, wrong types, bounds, and lines.
PIECES = [
    None,
    True,
    0,
    -1,
    1,
    1.5,
    501,
    2**31,
    2**63,
    "",
    "x",
    "x\n",
    "a b",
    "always",
    "high",
    "x" * 1001,
    [],
    [None],
    {},
    {"x": 1},
]


def mutated(value: Any, random_source: random.Random) -> Any:
    """The value with one thing changed somewhere."""
    if isinstance(value, dict) and value and random_source.random() < 0.9:
        key = random_source.choice(sorted(value))
        choice = random_source.random()
        if choice < 0.1:
            return {name: part for name, part in value.items() if name != key}
        if choice < 0.2:
            return {**value, "unheard_of": random_source.choice(PIECES)}
        return {**value, key: mutated(value[key], random_source)}
    if isinstance(value, list) and value and random_source.random() < 0.8:
        index = random_source.randrange(len(value))
        return [*value[:index], mutated(value[index], random_source), *value[index + 1 :]]
    return random_source.choice(PIECES)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), rounds=st.integers(0, 2))
def test_our_validator_judges_as_a_full_one_does(seed: int, rounds: int) -> None:
    source = random.Random(seed)
    value: Any = FULL
    for _ in range(rounds):
        value = mutated(value, source)
    assert (OURS(value) == []) == REFERENCE.is_valid(value)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    )
)
def test_no_value_is_too_strange_to_be_judged(value: Any) -> None:
    for schema in SCHEMAS:
        compile_schema(schema)(value)


def test_a_schema_with_an_unknown_keyword_is_an_error() -> None:
    with pytest.raises(ValueError, match="multipleOf"):
        compile_schema({"type": "integer", "multipleOf": 2})


def test_the_model_survives_every_mutated_create() -> None:
    salad = SaladCaller()
    source = random.Random(1)
    for number in range(2_000):
        body = mutated(mutated({**FULL, "name": f"full-{number}"}, source), source)
        response = salad.model.handle(Request("POST", GROUPS, {**HEADERS, "Content-Type": "application/json"}, body))
        assert response.status in (201, 400)
    salad.wait(20)
    salad.names()
