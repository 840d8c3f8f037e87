from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support import pod_schema
from tests.support.in_memory_provider import IDENTITY
from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.kubelet import refusal_table, refusals
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
    (
        {"startupProbe": {"grpc": {"port": 1, "mode": "TLS"}}},
        {},
        "containers[0].startupProbe.grpc.mode: ",
        "probeProtocol",
    ),
    (
        {"startupProbe": {"httpGet": {"port": 1, "protocol": "HTTP2"}}},
        {},
        "containers[0].startupProbe.httpGet.protocol: ",
        "probeProtocol",
    ),
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


def test_what_is_ignored_is_told_in_full_however_much_it_is() -> None:
    pod = stored_pod(spec={f"fieldOfTheFuture{number}": 1 for number in range(80)})
    notices = refusals.examine(pod, IDENTITY).notices()
    assert len(notices) > 1
    assert all(len(notice.message.encode()) <= 1024 for notice in notices)
    assert all(
        any(f"Future{number} (" in n.message or f"Future{number}," in n.message for n in notices)
        for number in range(80)
    )


@pytest.mark.parametrize(
    ("container", "spec", "named"),
    [
        ({"livenessProbe": {"tcpSocket": {"port": 1}, "new": 1}}, {}, "containers[0].livenessProbe.new"),
        ({"startupProbe": {"httpGet": {"port": 1, "new": "a"}}}, {}, "containers[0].startupProbe.httpGet.new"),
        ({"env": [{"name": "A", "value": "1", "new": {"a": 1}}]}, {}, "containers[0].env[0].new"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "new": 0}}}]},
            {},
            "containers[0].env[0].valueFrom.secretKeyRef.new",
        ),
        ({"envFrom": [{"secretRef": {"name": "s"}, "new": False}]}, {}, "containers[0].envFrom[0].new"),
        ({"ports": [{"containerPort": 1}, {"containerPort": 2, "new": [1]}]}, {}, "containers[0].ports[1].new"),
        ({"resources": {"limits": {"cpu": "1"}, "new": "1"}}, {}, "containers[0].resources.new"),
        (
            {"livenessProbe": {"grpc": {"port": 1, "mode": "Plaintext", "new": 1}}},
            {},
            "containers[0].livenessProbe.grpc.new",
        ),
        ({}, {"imagePullSecrets": [{"name": "s", "new": "x"}]}, "imagePullSecrets[0].new"),
        ({}, {"readinessGates": [{"conditionType": "s", "new": "x"}]}, "readinessGates[0].new"),
    ],
)
def test_an_unknown_field_below_one_that_is_acted_upon_is_named(
    container: dict[str, Any], spec: dict[str, Any], named: str
) -> None:
    verdict = refusals.examine(stored_pod(container=container, spec=spec), IDENTITY)
    assert verdict == refusals.Verdict([], [f"{named} (unknown to this version)"])


def test_the_order_of_the_fields_does_not_change_what_is_said() -> None:
    spec = {"hostname": "a", "dnsPolicy": "None", "hostPID": True, "hostIPC": True, "unknown": 1}
    profile = {"type": "Localhost"}
    security = {"securityContext": {"seccompProfile": profile, "appArmorProfile": profile, "privileged": True}}
    backwards = {"securityContext": dict(reversed(security["securityContext"].items()))}
    pod, other = stored_pod(container=security, spec=spec), stored_pod(container=backwards, spec=spec)
    other["spec"] = dict(reversed(other["spec"].items()))
    verdict = refusals.examine(pod, IDENTITY)
    assert len(verdict.refusals) == 3 and len(verdict.ignored) >= 3
    assert refusals.examine(other, IDENTITY) == verdict


def test_an_unknown_field_of_a_volume_is_named() -> None:
    pod = _with_mount({"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi", "new": 1}, "other": 1}, "/dev/shm")
    (line,) = refusals.examine(pod, IDENTITY).ignored
    assert line == "new of the volume v (emptyDir), other of the volume v (emptyDir) (unknown to this version)"


def test_huge_pages_at_dev_shm_are_no_shared_memory() -> None:
    (refusal,) = refusals.examine(_with_mount({"emptyDir": {"medium": "HugePages"}}, "/dev/shm"), IDENTITY).refusals
    assert "the volume v (emptyDir)" in refusal.message


def test_variables_that_can_never_be_had_are_refused_and_can_be_opted_out_of() -> None:
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    pod = stored_pod(container={"env": env})
    (refusal,) = refusals.examine(pod, IDENTITY).refusals
    assert refusal.message.startswith("variable IP: ") and refusal.message.endswith(f'{IGNORE}: "env"')
    assert not refusals.leaves_out_variables(pod, IDENTITY)
    pod = stored_pod(container={"env": env}, annotations={IGNORE: "env"})
    assert refusals.examine(pod, IDENTITY) == refusals.Verdict([], ["variable IP (as the pod wishes)"])
    assert refusals.leaves_out_variables(pod, IDENTITY)


# The published table


def test_every_field_of_the_pod_spec_has_a_row() -> None:
    fields = pod_schema.fields_of_client()
    assert len(fields) > 300
    assert pod_schema.without_row(fields) == []


def test_no_row_names_a_field_that_does_not_exist() -> None:
    fields = pod_schema.fields_of_client()
    own = {
        "spec.containers[1…]",
        "spec.workloadRef",
        refusal_table.OTHER_RESOURCES,
        refusal_table.TOKEN_VOLUME,
        refusal_table.SHARED_MEMORY_VOLUME,
        refusal_table.MEMORY_EMPTY_DIR,
        refusal_table.OTHER_VOLUME,
    }
    unknown = [
        path
        for row in TABLE
        for path in row.paths()
        if path not in own and not any(field == path or field.startswith((f"{path}.", f"{path}[]")) for field in fields)
    ]
    assert unknown == []


SMALL_API = {
    "components": {
        "schemas": {
            "io.k8s.api.core.v1.PodSpec": {
                "properties": {
                    "hostname": {"type": "string"},
                    "containers": {"items": {"allOf": [{"$ref": "#/components/schemas/C"}], "default": {}}},
                    "volumes": {"items": {"$ref": "#/components/schemas/V"}},
                }
            },
            "C": {
                "properties": {
                    "command": {"items": {"type": "string"}},
                    "livenessProbe": {"$ref": "#/components/schemas/P"},
                    "resources": {"properties": {"limits": {"additionalProperties": {"$ref": "#/Quantity"}}}},
                }
            },
            "P": {"properties": {"periodSeconds": {"type": "integer"}}},
            "V": {"properties": {"nfs": {"properties": {"path": {}}}, "emptyDir": {"properties": {"medium": {}}}}},
        }
    }
}


def test_the_fields_of_an_openapi_document_are_walked_down_to_the_last() -> None:
    assert pod_schema.fields_of_openapi(SMALL_API) == [
        "spec.hostname",
        "spec.containers[].command[]",
        "spec.containers[].livenessProbe.periodSeconds",
        "spec.containers[].resources.limits",
        "spec.volumes[].nfs.path",
        "spec.volumes[].emptyDir.medium",
    ]
    assert pod_schema.without_row(pod_schema.fields_of_openapi(SMALL_API)) == []


@pytest.mark.parametrize(
    ("schema", "missing"),
    [
        ("io.k8s.api.core.v1.PodSpec", "spec.new"),
        ("C", "spec.containers[].new"),
        ("P", "spec.containers[].livenessProbe.new"),
    ],
)
def test_a_field_that_kubernetes_adds_is_found_without_a_row(schema: str, missing: str) -> None:
    document: Any = copy.deepcopy(SMALL_API)
    document["components"]["schemas"][schema]["properties"]["new"] = {"type": "string"}
    assert pod_schema.without_row(pod_schema.fields_of_openapi(document)) == [missing]


def test_a_new_kind_of_volume_has_a_row_and_a_new_field_of_an_empty_dir_has_none() -> None:
    assert pod_schema.without_row(["spec.volumes[].new.path", "spec.volumes[].emptyDir.new"]) == [
        "spec.volumes[].emptyDir.new"
    ]


def test_the_published_table_names_every_row_once() -> None:
    table = refusals.pod_table_markdown()
    for row in TABLE:
        field = f"`{row.path.removeprefix('spec.')}`"
        cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
        assert sum(field in cell.strip().split(", ") for cell in cells) == 1, field
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert all(line.count("|") == 5 for line in lines)
    assert "| `containers[].workingDir` | refused |" in table
    assert "| `hostNetwork` | refused |" in table


def test_fields_with_the_same_fate_share_a_line() -> None:
    (line,) = [line for line in refusals.pod_table_markdown().splitlines() if "`affinity`" in line]
    assert "`nodeSelector`" in line and "`tolerations`" in line


def test_every_refusal_has_a_reason_and_all_but_another_operating_system_an_opt_out() -> None:
    refused = [row for row in TABLE if row.treatment is Treatment.REFUSED]
    assert all(row.text for row in refused)
    assert {row.path for row in refused if not row.opt_out} == {"spec.os.name"}
