"""Any pod that an API server would store becomes a request that SaladCloud takes, or a reason why not."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import official_api
from tests.support.gpu_catalog import CLASSES, FixedCatalog
from tests.support.pod_requests import SETTINGS, owner_of
from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Blocked, Refused
from virtual_kubelet_salad.kubelet.provider import Inputs
from virtual_kubelet_salad.sandbox.salad_requests import CONTAINER_GROUP_PATCH, CONTAINER_GROUP_PROTOTYPE
from virtual_kubelet_salad.sandbox.salad_validation import compile_schema
from virtual_kubelet_salad.saladcloud import container_group, pod_annotations
from virtual_kubelet_salad.saladcloud.schemas import requests

violations_of_create = compile_schema(CONTAINER_GROUP_PROTOTYPE)
violations_of_patch = compile_schema(CONTAINER_GROUP_PATCH)

texts = st.one_of(st.text(max_size=20), st.sampled_from(["", "x" * 1000, "x" * 1001, "a\nb", "$(A)", " a ", "\u2028"]))
names = st.sampled_from(["A", "B", "SALAD_VK_OWNER", "C.D", "e-f"])
quantities = st.sampled_from(
    [
        "0",
        "1",
        "100m",
        "1500m",
        "2",
        "64",
        "2k",
        "1Gi",
        "1500M",
        "1e3",
        "12e6",
        "0.5Gi",
        "61Gi",
        "3Pi",
        "5E",
        "1E9",
        "8Ei",
    ]
)
numbers = st.integers(min_value=0, max_value=5000)
ports = st.one_of(st.integers(min_value=1, max_value=65535), st.sampled_from(["http", "grpc", "8080"]))
images = st.one_of(
    st.sampled_from(
        ["nginx", "ghcr.io/a/b:1", "gcr.io/p/i", "r:5000/x@sha256:12", "1.dkr.ecr.eu-west-1.amazonaws.com/a"]
    ),
    st.text(min_size=1, max_size=30),
)
values_of_annotations = st.one_of(
    texts,
    st.sampled_from(
        [
            "us,de",
            "no",
            "uk",
            "true",
            "false",
            "http",
            "80",
            "high",
            "batch",
            "0.25",
            "24",
            "24Gi",
            "continue",
            '["a"]',
            "sink",
        ]
    ),
    st.sampled_from([one.name for one in CLASSES]),
)
annotations = st.dictionaries(
    st.sampled_from((*pod_annotations.READ_FROM_PODS, "salad.com/other")), values_of_annotations, max_size=4
)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


resources = st.dictionaries(
    st.sampled_from(["cpu", "memory", "ephemeral-storage", "nvidia.com/gpu", "amd.com/gpu"]), quantities, max_size=3
)
headers = st.lists(st.fixed_dictionaries({"name": texts, "value": texts}), max_size=3)
actions = st.one_of(
    st.fixed_dictionaries({"exec": optional(command=st.lists(texts, max_size=3))}),
    st.fixed_dictionaries(
        {
            "httpGet": st.fixed_dictionaries(
                {"port": ports},
                optional={
                    "path": texts,
                    "host": st.sampled_from(["", "localhost", "db"]),
                    "scheme": st.sampled_from(["HTTP", "HTTPS"]),
                    "httpHeaders": headers,
                },
            )
        }
    ),
    st.fixed_dictionaries({"tcpSocket": st.fixed_dictionaries({"port": ports})}),
    st.fixed_dictionaries({"grpc": st.fixed_dictionaries({"port": numbers}, optional={"service": texts})}),
)
timings = optional(
    initialDelaySeconds=numbers,
    periodSeconds=numbers,
    timeoutSeconds=numbers,
    failureThreshold=numbers,
    successThreshold=numbers,
)
probes = st.builds(lambda action, timing: {**action, **timing}, actions, timings)
variables = st.one_of(
    st.fixed_dictionaries({"name": names}, optional={"value": texts}),
    st.fixed_dictionaries({"name": names, "valueFrom": st.just({"secretKeyRef": {"name": "s", "key": "k"}})}),
)
containers = st.fixed_dictionaries(
    {"image": images},
    optional={
        "command": st.lists(texts, max_size=3),
        "args": st.lists(texts, max_size=3),
        "env": st.lists(variables, max_size=3),
        "resources": optional(requests=resources, limits=resources),
        "ports": st.just([{"name": "http", "containerPort": 8000, "protocol": "TCP"}]),
        "livenessProbe": probes,
        "readinessProbe": probes,
        "startupProbe": probes,
    },
)
specs = optional(
    restartPolicy=st.sampled_from(["Always", "OnFailure", "Never"]),
    imagePullSecrets=st.lists(st.sampled_from([{"name": "pull"}, {"name": "absent"}, {}]), max_size=2),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
auths = st.dictionaries(
    st.sampled_from(["ghcr.io", "https://index.docker.io/v1/", "gcr.io", "*.io", "r:5000", ""]),
    st.one_of(json_values, optional(username=texts, password=texts, auth=texts)),
    max_size=3,
)


def encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


pull_secrets = st.one_of(
    st.builds(lambda value: {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": value}}, texts),
    st.builds(lambda value: {"data": {".dockerconfigjson": encoded(value)}}, json_values),
    st.builds(lambda value: {"data": {".dockerconfigjson": encoded({"auths": value})}}, auths),
    st.just({"data": {"AWS_ACCESS_KEY_ID": "QQ==", "AWS_SECRET_ACCESS_KEY": "QQ=="}}),
)
sinks = st.builds(lambda value: {"data": {"logging": encoded(value)}}, json_values)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(containers, specs, annotations, st.lists(st.tuples(names, texts), max_size=4), pull_secrets, sinks)
def test_any_pod_is_a_valid_request_or_a_reason(
    container: dict[str, Any],
    spec: dict[str, Any],
    written: dict[str, str],
    environment: list[tuple[str, str]],
    pull_secret: dict[str, Any],
    sink: dict[str, Any],
) -> None:
    pod = stored_pod(container=container, spec=spec, annotations=written)
    inputs = Inputs(
        environment=environment,
        secrets={"pull": pull_secret, "sink": sink},
        command=tuple(container.get("command", ())),
        args=tuple(container.get("args", ())),
    )
    refusals = container_group.refusals(pod)
    assert all(refusal.reason and refusal.message for refusal in refusals)
    try:
        plan = container_group.build(pod, inputs, owner_of(pod), FixedCatalog(), SETTINGS)
    except Refused as refusal:
        assert refusal.reason and str(refusal)
        return
    except Blocked as obstacle:
        assert obstacle.reason and str(obstacle)
        return
    # What the pod alone makes impossible is found before any source is read.
    assert refusals == []
    assert violations_of_create(plan.request) == []
    requests.check_prototype(plan.request)
    assert official_api.violations("ContainerGroupPrototype", plan.request) == []
    if len(plan.request["container"]["image"]) <= container_group.CHANGED_IMAGE_LIMIT_IN_CHARS:
        patch = container_group.build_update(pod, inputs, owner_of(pod)).request
        assert violations_of_patch(patch) == []
        requests.check_patch(patch)
        assert official_api.violations("ContainerGroupPatch", patch) == []
