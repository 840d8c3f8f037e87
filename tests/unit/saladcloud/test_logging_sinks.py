from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Blocked, Refused
from virtual_kubelet_salad.kubelet.provider import Inputs
from virtual_kubelet_salad.saladcloud import logging_sinks
from virtual_kubelet_salad.saladcloud.pod_annotations import LOGGING_SECRET


def from_annotations(**annotations: str) -> dict[str, Any] | None:
    written = {f"salad.com/logging-{name.replace('_', '-')}": value for name, value in annotations.items()}
    return logging_sinks.logging(stored_pod(annotations=written), Inputs(environment=[], secrets={}))


def from_secret(sink: object, *, raw: str | None = None) -> dict[str, Any] | None:
    data = {"logging": base64.b64encode(json.dumps(sink).encode()).decode() if raw is None else raw}
    pod = stored_pod(annotations={LOGGING_SECRET: "sink"})
    assert logging_sinks.secret_names(pod) == ("sink",)
    return logging_sinks.logging(pod, Inputs(environment=[], secrets={"sink": {"data": data}}))


def test_no_annotation_means_no_sink() -> None:
    assert from_annotations() is None
    assert logging_sinks.secret_names(stored_pod()) == ()


def test_the_three_sinks_of_annotations() -> None:
    assert from_annotations(new_relic_host="h", new_relic_ingestion_key="k") == {
        "new_relic": {"host": "h", "ingestion_key": "k"}
    }
    assert from_annotations(splunk_host="h", splunk_token="t") == {"splunk": {"host": "h", "token": "t"}}
    assert from_annotations(tcp_host="h", tcp_port="514") == {"tcp": {"host": "h", "port": 514}}


@pytest.mark.parametrize(
    "annotations",
    [
        {"tcp_host": "h"},
        {"tcp_port": "514"},
        {"splunk_token": "t"},
        {"new_relic_host": "h"},
        {"tcp_host": "h", "tcp_port": "0"},
        {"tcp_host": "h\ni", "tcp_port": "1"},
        {"tcp_host": "h", "tcp_port": "514", "splunk_host": "h", "splunk_token": "t"},
        {"tcp_host": "h", "tcp_port": "514", "secret": "sink"},
        {"secret": " "},
    ],
)
def test_half_a_sink_and_two_sinks_are_refused(annotations: dict[str, str]) -> None:
    with pytest.raises(Refused, match="salad.com/logging-"):
        from_annotations(**annotations)


@pytest.mark.parametrize(
    "sink",
    [
        {"axiom": {"host": "h", "api_token": "t", "dataset": "d"}},
        {"datadog": {"host": "h", "api_key": "k", "tags": None}},
        {"datadog": {"host": "h", "api_key": "k", "tags": [{"name": "a", "value": "b"}]}},
        {"http": {"host": "h", "port": 1, "format": "json", "compression": "none"}},
        {
            "http": {
                "host": "h",
                "port": 65535,
                "format": "json_lines",
                "compression": "gzip",
                "headers": [],
                "user": None,
                "password": "p",
                "path": "/",
            }
        },
        {"new_relic": {"host": "h", "ingestion_key": "k"}},
        {"splunk": {"host": "h", "token": "t"}},
        {"tcp": {"host": "h", "port": 514}},
    ],
)
def test_a_secret_may_hold_any_of_the_six_sinks(sink: dict[str, Any]) -> None:
    assert from_secret(sink) == sink


@pytest.mark.parametrize(
    "sink",
    [
        [],
        {},
        {"canary": {}},
        {"tcp": "canary"},
        {"tcp": {"host": "canary"}},
        {"tcp": {"host": "canary", "port": "514"}},
        {"tcp": {"host": "canary", "port": True}},
        {"tcp": {"host": "canary", "port": 514, "canary": 1}},
        {"splunk": {"host": "h", "token": "canary" * 500}},
        {"splunk": {"host": "h", "token": ""}},
        {"datadog": {"host": "h", "api_key": "canary", "tags": [{"name": "a"}]}},
        {"http": {"host": "h", "port": 1, "format": "canary", "compression": "none"}},
        {"http": {"host": "h", "port": 1, "format": ["canary"], "compression": "none"}},
        {"tcp": {"host": "h", "port": 1}, "splunk": {"host": "h", "token": "canary"}},
    ],
)
def test_a_secret_that_holds_no_sink_blocks_without_telling_its_content(sink: object) -> None:
    with pytest.raises(Blocked) as obstacle:
        from_secret(sink)
    assert obstacle.value.reason == "InvalidLoggingSecret"
    assert "canary" not in str(obstacle.value)


@pytest.mark.parametrize("raw", ["%", base64.b64encode(b"canary").decode(), base64.b64encode(b"\xff").decode()])
def test_a_secret_that_is_no_json_blocks(raw: str) -> None:
    with pytest.raises(Blocked, match="is not JSON"):
        from_secret(None, raw=raw)


def test_a_secret_that_is_missing_or_lacks_the_key_blocks() -> None:
    pod = stored_pod(annotations={LOGGING_SECRET: "sink"})
    for secrets in ({}, {"sink": {"data": {"other": ""}}}, {"sink": {}}):
        with pytest.raises(Blocked, match="sink"):
            logging_sinks.logging(pod, Inputs(environment=[], secrets=secrets))
