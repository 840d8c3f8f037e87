"""Whatever a Secret holds, it becomes a request that SaladCloud takes, or a reason that does not show it."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import official_api
from tests.support.gpu_catalog import FixedCatalog
from tests.support.pod_requests import SETTINGS, owner_of
from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Blocked
from virtual_kubelet_salad.kubelet.provider import Inputs
from virtual_kubelet_salad.sandbox.salad_requests import CONTAINER_GROUP_PROTOTYPE
from virtual_kubelet_salad.sandbox.salad_validation import compile_schema
from virtual_kubelet_salad.saladcloud import container_group
from virtual_kubelet_salad.saladcloud.pod_annotations import LOGGING_SECRET
from virtual_kubelet_salad.saladcloud.schemas import requests

violations_of_create = compile_schema(CONTAINER_GROUP_PROTOTYPE)

CANARY = "cAnArY"
texts = st.one_of(
    st.text(max_size=20), st.sampled_from(["", CANARY, CANARY * 200, f"{CANARY}\nb", "host", "\u2028", "json", "gzip"])
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


images = st.sampled_from(["nginx", "ghcr.io/a/b:1", "gcr.io/p/i", "r:5000/x", "1.dkr.ecr.eu-west-1.amazonaws.com/a"])
auths = st.dictionaries(
    st.sampled_from(["ghcr.io", "https://index.docker.io/v1/", "gcr.io", "*.io", "r:5000", "", "https://"]),
    st.one_of(json_values, optional(username=texts, password=texts, auth=texts)),
    max_size=3,
)
pull_secrets = st.one_of(
    st.builds(lambda text: {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": text}}, texts),
    st.builds(lambda value: {"data": {".dockerconfigjson": encoded(value)}}, json_values),
    st.builds(lambda value: {"data": {".dockerconfigjson": encoded({"auths": value})}}, auths),
    st.builds(lambda value: {"type": "kubernetes.io/dockercfg", "data": {".dockercfg": encoded(value)}}, auths),
    st.builds(lambda text: {"data": {"AWS_ACCESS_KEY_ID": "QQ==", "AWS_SECRET_ACCESS_KEY": text}}, texts),
)
parts = st.dictionaries(
    st.sampled_from(
        ["host", "port", "token", "api_key", "api_token", "dataset", "tags", "format", "compression", "headers", "path"]
    ),
    st.one_of(json_values, st.just("json"), st.just("gzip"), st.just(514)),
    max_size=6,
)
sinks = st.builds(
    lambda value: {"data": {"logging": encoded(value)}},
    st.one_of(
        json_values,
        st.dictionaries(st.sampled_from(["axiom", "datadog", "http", "new_relic", "splunk", "tcp"]), parts, max_size=2),
    ),
)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(images, st.lists(pull_secrets, max_size=2), st.none() | sinks)
def test_any_secret_becomes_a_valid_request_or_a_reason_that_does_not_show_it(
    image: str, pulls: list[dict[str, Any]], sink: dict[str, Any] | None
) -> None:
    secrets = {f"pull-{number}": secret for number, secret in enumerate(pulls)}
    pod = stored_pod(
        container={"image": image},
        spec={"imagePullSecrets": [{"name": name} for name in secrets]},
        annotations={LOGGING_SECRET: "sink"} if sink else {},
    )
    inputs = Inputs(environment=[], secrets={**secrets, **({"sink": sink} if sink else {})})
    try:
        plan = container_group.build(pod, inputs, owner_of(pod), FixedCatalog(), SETTINGS)
    except Blocked as obstacle:
        assert obstacle.reason and CANARY not in str(obstacle)
        return
    assert not any(CANARY in notice.message for notice in plan.notices)
    assert violations_of_create(plan.request) == []
    requests.check_prototype(plan.request)
    assert official_api.violations("ContainerGroupPrototype", plan.request) == []
