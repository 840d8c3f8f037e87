from __future__ import annotations

from typing import Any

import kubernetes.client
import pytest

from tests.support.in_memory_provider import IDENTITY
from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.kubelet import refusals
from virtual_kubelet_salad.kubelet.refusal_table import TABLE, Treatment

IGNORE = IDENTITY.ignore_annotation


def test_a_plain_pod_with_every_default_of_the_api_server_is_fine_and_ignores_nothing() -> None:
    verdict = refusals.examine(stored_pod(), IDENTITY)
    assert verdict == refusals.Verdict([], [])
    assert verdict.notices() == ()


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"workingDir": "/app"}, {}, "containers[0].workingDir: ", "workingDir"),
    ({"lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}}}, {}, "containers[0].lifecycle: ", "lifecycle"),
    ({"stdin": True}, {}, "containers[0].stdin: ", "stdin"),
    ({"tty": True}, {}, "containers[0].tty: ", "tty"),
    ({"securityContext": {"privileged": True}}, {}, "containers[0].securityContext.privileged: ", "privileged"),
    (
        {"securityContext": {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}}},
        {},
        "containers[0].securityContext.capabilities.add: ",
        "capabilities",
    ),
    ({"ports": [{"containerPort": 80, "hostPort": 80}]}, {}, "containers[0].ports[0].hostPort: ", "hostPort"),
    ({"resources": {"claims": [{"name": "gpu"}]}}, {}, "containers[0].resources.claims: ", "resourceClaims"),
    ({"volumeDevices": [{"name": "d", "devicePath": "/dev/xvda"}]}, {}, "containers[0].volumeDevices: ", "volumes"),
    (
        {"restartPolicyRules": [{"action": "Restart"}]},
        {},
        "containers[0].restartPolicyRules: ",
        "containerRestartPolicy",
    ),
    ({}, {"initContainers": [{"name": "init", "image": "busybox"}]}, "initContainers: ", "initContainers"),
    ({}, {"hostNetwork": True}, "hostNetwork: ", "hostNetwork"),
    ({}, {"hostPID": True}, "hostPID: ", "hostPID"),
    ({}, {"hostIPC": True}, "hostIPC: ", "hostIPC"),
    ({}, {"runtimeClassName": "nvidia"}, "runtimeClassName: ", "runtimeClassName"),
    ({}, {"resourceClaims": [{"name": "gpu"}]}, "resourceClaims: ", "resourceClaims"),
    ({}, {"securityContext": {"sysctls": [{"name": "net.x", "value": "1"}]}}, "securityContext.sysctls: ", "sysctls"),
]


@pytest.mark.parametrize(("container", "spec", "begins", "word"), REFUSED)
def test_what_cannot_be_honored_is_refused_and_says_how_to_opt_out(
    container: dict[str, Any], spec: dict[str, Any], begins: str, word: str
) -> None:
    verdict = refusals.examine(stored_pod(container=container, spec=spec), IDENTITY)
    assert [notice.type for notice in verdict.refusals] == ["Warning"]
    assert verdict.refusals[0].message.startswith(begins)
    assert verdict.refusals[0].message.endswith(f'{IGNORE}: "{word}"')


@pytest.mark.parametrize(("container", "spec", "begins", "word"), REFUSED)
def test_an_opted_out_refusal_becomes_an_ignored_field(
    container: dict[str, Any], spec: dict[str, Any], begins: str, word: str
) -> None:
    pod = stored_pod(container=container, spec=spec, annotations={IGNORE: f"other, {word.upper()} "})
    verdict = refusals.examine(pod, IDENTITY)
    assert verdict.refusals == []
    assert any(begins.rstrip(": ") in entry for entry in verdict.ignored)


def test_a_second_container_is_refused_by_its_name_and_the_text_names_the_injectors_way_out() -> None:
    pod = stored_pod()
    pod["spec"]["containers"].append({"name": "istio-proxy", "image": "istio/proxyv2"})
    (refusal,) = refusals.examine(pod, IDENTITY).refusals
    assert "istio-proxy" in refusal.message
    assert 'sidecar.istio.io/inject: "false"' in refusal.message


def test_several_places_of_one_row_are_one_refusal() -> None:
    volumes = [{"name": "a", "configMap": {"name": "a"}}, {"name": "b", "persistentVolumeClaim": {"claimName": "b"}}]
    (refusal,) = refusals.examine(stored_pod(volumes=volumes), IDENTITY).refusals
    assert "the volume a (configMap), the volume b (persistentVolumeClaim)" in refusal.message


@pytest.mark.parametrize(
    "field",
    [
        {"hostNetwork": False},
        {"hostUsers": True},
        {"initContainers": []},
        {"runtimeClassName": ""},
        {"os": {"name": "linux"}},
        {"automountServiceAccountToken": False},
        {"shareProcessNamespace": False},
        {"dnsPolicy": "Default"},
        {"affinity": {"nodeAffinity": {}}},
        {"nodeSelector": {"gpu": "yes"}},
        {"topologySpreadConstraints": [{"maxSkew": 1}]},
    ],
)
def test_a_field_that_asks_for_nothing_here_is_not_named(field: dict[str, Any]) -> None:
    assert refusals.examine(stored_pod(spec=field), IDENTITY) == refusals.Verdict([], [])


@pytest.mark.parametrize(
    ("container", "spec", "named"),
    [
        ({}, {"hostname": "db"}, "hostname"),
        ({}, {"securityContext": {"runAsUser": 1000}}, "securityContext.runAsUser"),
        ({}, {"securityContext": {"runAsUser": 0}}, "securityContext.runAsUser"),
        ({}, {"terminationGracePeriodSeconds": 5}, "terminationGracePeriodSeconds"),
        ({}, {"terminationGracePeriodSeconds": 0}, "terminationGracePeriodSeconds"),
        ({}, {"serviceAccountName": "robot"}, "serviceAccountName"),
        ({}, {"dnsConfig": {"searches": ["x"]}}, "dnsConfig"),
        ({}, {"fieldOfTheFuture": {"a": 1}}, "fieldOfTheFuture"),
        ({"fieldOfTheFuture": True}, {}, "containers[0].fieldOfTheFuture"),
        ({"imagePullPolicy": "Never"}, {}, "containers[0].imagePullPolicy"),
        (
            {"securityContext": {"readOnlyRootFilesystem": True}},
            {},
            "containers[0].securityContext.readOnlyRootFilesystem",
        ),
        (
            {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
            {},
            "containers[0].securityContext.seccompProfile",
        ),
        (
            {"livenessProbe": {"exec": {"command": ["a"]}, "terminationGracePeriodSeconds": 5}},
            {},
            "containers[0].livenessProbe.terminationGracePeriodSeconds",
        ),
    ],
)
def test_what_is_ignored_is_named_in_one_notice(container: dict[str, Any], spec: dict[str, Any], named: str) -> None:
    verdict = refusals.examine(stored_pod(container=container, spec=spec), IDENTITY)
    assert verdict.refusals == []
    assert len(verdict.ignored) == 1 and verdict.ignored[0].startswith(f"{named} (")
    (notice,) = verdict.notices()
    assert (notice.type, notice.reason) == ("Normal", "FieldsIgnored")
    assert named in notice.message


def _with_mount(volume: dict[str, Any], path: str) -> dict[str, Any]:
    pod = stored_pod(volumes=[{"name": "v", **volume}])
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "v", "mountPath": path})
    return pod


def test_an_empty_dir_runs_on_the_containers_own_disk_and_is_named() -> None:
    verdict = refusals.examine(_with_mount({"emptyDir": {}}, "/cache"), IDENTITY)
    assert verdict.refusals == []
    assert verdict.ignored[0].startswith("the volume v (emptyDir) (")


def test_an_empty_dir_at_dev_shm_is_honored() -> None:
    pod = _with_mount({"emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}, "/dev/shm")
    assert refusals.examine(pod, IDENTITY) == refusals.Verdict([], [])


@pytest.mark.parametrize(
    "volume",
    [
        {"emptyDir": {"medium": "Memory"}},
        {"emptyDir": {"medium": "HugePages"}},
        {"secret": {"secretName": "s"}},
        {"hostPath": {"path": "/"}},
        {"projected": {"sources": [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}]}},
        {"kindOfTheFuture": {}},
    ],
)
def test_every_other_volume_is_refused(volume: dict[str, Any]) -> None:
    verdict = refusals.examine(_with_mount(volume, "/data"), IDENTITY)
    assert [refusal.reason for refusal in verdict.refusals] == ["UnsupportedField"]
    assert '"volumes"' in verdict.refusals[0].message


def test_a_pod_without_a_spec_is_judged_too() -> None:
    assert refusals.examine({}, IDENTITY) == refusals.Verdict([], [])


def _paths(model: str, path: str, above: frozenset[str] = frozenset()) -> list[str]:
    """All the fields below a model of the official client."""
    if model.startswith(("list[", "List[")):
        return _paths(model[5:-1], f"{path}[]", above)
    described = getattr(kubernetes.client, model, None)
    if not hasattr(described, "openapi_types") or model in above:
        return [path]
    return [
        found
        for attribute, inner in described.openapi_types.items()
        for found in _paths(inner, f"{path}.{described.attribute_map[attribute]}", above | {model})
    ]


def _has_row(path: str) -> bool:
    rows = {row.path for row in TABLE}
    return any(path == row or path.startswith((f"{row}.", f"{row}[]")) for row in rows)


def test_every_field_of_the_pod_spec_has_a_row() -> None:
    fields = _paths("V1PodSpec", "spec")
    assert len(fields) > 300
    missing = [path for path in fields if not path.startswith("spec.volumes[]") and not _has_row(path)]
    assert missing == []


def test_no_row_names_a_field_that_does_not_exist() -> None:
    fields = _paths("V1PodSpec", "spec")
    own = ("spec.volumes[]", "spec.containers[1…]", "spec.workloadRef")
    unknown = [
        row.path
        for row in TABLE
        if not row.path.startswith(own)
        and not any(field == row.path or field.startswith((f"{row.path}.", f"{row.path}[]")) for field in fields)
    ]
    assert unknown == []


def test_the_published_table_has_a_line_for_every_row() -> None:
    lines = refusals.pod_table_markdown().splitlines()
    assert len(lines) == len(TABLE) + 2
    assert "| `containers[].workingDir` | refused |" in refusals.pod_table_markdown()
    assert all(line.count("|") == 5 for line in lines)


def test_every_refusal_has_a_reason_and_nearly_all_an_opt_out() -> None:
    refused = [row for row in TABLE if row.treatment is Treatment.REFUSED]
    assert all(row.text for row in refused)
    assert {row.path for row in refused if not row.opt_out} == {
        "spec.containers[].env[].valueFrom.fieldRef.fieldPath",
        "spec.containers[].env[].valueFrom.fileKeyRef",
        "spec.os.name",
    }
