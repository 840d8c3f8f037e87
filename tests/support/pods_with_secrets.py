"""Pods that use each kind of Secret, with a canary in every value: some run, some cannot, some fail."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.support.canaries import Canary
from tests.support.cluster import Object

KEYS = {name: Canary(name) for name in ("key-of-a-file", "rotated-key", "key-of-a-variable")}
BEARER_TOKEN = Canary("bearer-token")
CALLERS_TOKEN = Canary("callers-token")
VALUES = {
    name: Canary(name)
    for name in (
        *("env", "env-from", "argument"),
        *("pull-user", "pull-password", "pull-auth", "dockercfg", "aws-access", "aws-secret", "google"),
        *("axiom", "datadog", "http-password", "http-header", "new-relic", "splunk"),
    )
}
# In Secrets that are no use, so they must not even reach SaladCloud.
UNFIT = {name: Canary(name) for name in ("two-lines", "too-long", "bad-json", "bad-auth", "bad-sink", "strange")}
# Its author writes it into the pod, so the pod has it; nothing else may.
ANNOTATED = Canary("annotated-splunk")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _secret(name: str, values: dict[str, str], kind: str = "Opaque") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": kind,
        "data": {key: _encoded(value) for key, value in values.items()},
    }


def _docker(name: str, host: str, entry: object) -> Object:
    configuration = json.dumps({"auths": {host: entry}})
    return _secret(name, {".dockerconfigjson": configuration}, "kubernetes.io/dockerconfigjson")


def _sink(name: str, **sinks: Object) -> Object:
    return _secret(name, {"logging": json.dumps(sinks)})


def secrets() -> list[Object]:
    value = {name: canary.text for name, canary in VALUES.items()}
    word = {name: canary.word for name, canary in VALUES.items()}
    google = json.dumps({"type": "service_account", "private_key": f"-----BEGIN-----\n{value['google']}\n"})
    dockercfg = json.dumps({"cfg.example": {"username": "u", "password": value["dockercfg"]}})
    header = [{"name": "Authorization", "value": value["http-header"]}]
    return [
        _secret("tokens", {"plain": value["env"], "argument": value["argument"]}),
        _secret("many", {"FROM_MANY": value["env-from"], "not a name": value["env-from"]}),
        _docker("pull", "registry.example", {"username": value["pull-user"], "password": value["pull-password"]}),
        _docker("pull-auth", "auth.example", {"auth": _encoded(f"u:{value['pull-auth']}")}),
        _secret("pull-cfg", {".dockercfg": dockercfg}, "kubernetes.io/dockercfg"),
        _secret("pull-aws", {"AWS_ACCESS_KEY_ID": word["aws-access"], "AWS_SECRET_ACCESS_KEY": word["aws-secret"]}),
        _docker("pull-google", "europe-docker.pkg.dev", {"username": "_json_key", "password": google}),
        _sink("axiom", axiom={"host": "h.example", "api_token": value["axiom"], "dataset": "d"}),
        _sink("datadog", datadog={"host": "h.example", "api_key": value["datadog"], "tags": []}),
        _sink("http", http={
            "host": "h.example", "port": 443, "format": "json", "compression": "none",
            "user": "u", "password": value["http-password"], "headers": header,
        }),
        _sink("new-relic", new_relic={"host": "h.example", "ingestion_key": value["new-relic"]}),
        _sink("splunk", splunk={"host": "h.example", "token": value["splunk"]}),
        # What is no use.
        _secret("two-lines", {"v": f"a\n{UNFIT['two-lines'].text}"}),
        _secret("too-long", {"v": UNFIT["too-long"].text * 40}),
        _secret("bad-json", {".dockerconfigjson": f'{{"auths": "{UNFIT["bad-json"].text}'},
                "kubernetes.io/dockerconfigjson"),
        _docker("bad-auth", "registry.example", {"auth": UNFIT["bad-auth"].text}),
        _sink("bad-sink", http={UNFIT["bad-sink"].text: 1, "host": UNFIT["bad-sink"].text}),
    ]  # fmt: skip


def pod(name: str, *, image: str = "registry.example/a:1", pull: str = "pull", **changes: Any) -> Object:
    """A pod that uses most kinds of Secrets. `annotations` and `environment` are added, other changes are the spec's.
    """
    annotations = changes.pop("annotations", {})
    simulated = changes.pop("environment", {})
    wants = {"PLAIN": ("tokens", "plain"), "ARGUMENT": ("tokens", "argument"), **changes.pop("wants", {})}
    references = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for variable, (secret, key) in wants.items()
    ]
    container = {
        "name": "main",
        "image": image,
        "command": ["serve"],
        "args": ["--token=$(ARGUMENT)", "--url=https://user:$(PLAIN)@example/"],
        "env": [*references, *({"name": key, "value": value} for key, value in simulated.items())],
        "envFrom": [{"secretRef": {"name": "many"}}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {
            "tolerations": [{"operator": "Exists"}],
            "imagePullSecrets": [{"name": pull}],
            "containers": [container],
            **changes,
        },
    }


def logs_to(secret: str) -> dict[str, str]:
    return {"salad.com/logging-secret": secret}


RUNNING = (
    pod("web", annotations=logs_to("datadog")),
    pod("auth", image="auth.example/a:1", pull="pull-auth", annotations=logs_to("axiom")),
    pod("cfg", image="cfg.example/a:1", pull="pull-cfg", annotations=logs_to("http")),
    pod("aws", image="1.dkr.ecr.eu-west-1.amazonaws.com/a:1", pull="pull-aws", annotations=logs_to("new-relic")),
    pod("google", image="europe-docker.pkg.dev/p/a:1", pull="pull-google", annotations=logs_to("splunk")),
    pod("annotated", annotations={
        "salad.com/logging-splunk-host": "h.example", "salad.com/logging-splunk-token": ANNOTATED.word,
    }),
)  # fmt: skip
REFUSED = pod("refused", hostNetwork=True)
WAITING = {
    "two-lines": pod("two-lines", wants={"V": ("two-lines", "v")}),
    "too-long": pod("too-long", wants={"V": ("too-long", "v")}),
    "bad-json": pod("bad-json", pull="bad-json"),
    "bad-auth": pod("bad-auth", pull="bad-auth"),
    "bad-sink": pod("bad-sink", annotations=logs_to("bad-sink")),
    "absent": pod("absent", wants={"V": ("absent", "v")}),
}
FAILING = (
    pod("exits", restartPolicy="Never", environment={"SIM_EXIT": "3 after 1s"}),
    pod("no-image", environment={"SIM_IMAGE": "fail access denied"}),
    pod("no-start", environment={"SIM_START": "fail"}),
)
