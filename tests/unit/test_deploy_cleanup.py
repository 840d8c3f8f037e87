"""The Job that cleans up: as the Deployment, with rights of its own."""

from __future__ import annotations

import pytest

from tests.support.deploy_manifests import Object, container_of, load, pod_of
from virtual_kubelet_salad import config_values
from virtual_kubelet_salad.config_options import CLEANUP_OPTIONS
from virtual_kubelet_salad.kube import leader

NAME = "virtual-kubelet-salad-cleanup"
OPTIONS = {option.flag: option for option in CLEANUP_OPTIONS}


@pytest.fixture
def job() -> Object:
    (found,) = [document for document in load("cleanup.yaml") if document["kind"] == "Job"]
    return found


@pytest.fixture
def pod(job: Object) -> Object:
    return pod_of(job)


@pytest.fixture
def container(pod: Object) -> Object:
    return container_of(pod)


@pytest.fixture
def daemon() -> Object:
    """The Deployment's pod."""
    (deployment,) = load("deployment.yaml")
    return pod_of(deployment)


def flags_of(container: Object) -> dict[str, str]:
    subcommand, *flags = container["args"]
    assert subcommand == "cleanup"
    return dict(flag.split("=", 1) for flag in flags)


def test_every_flag_and_variable_exists_and_nothing_required_is_missing(container: Object) -> None:
    flags = flags_of(container)
    for flag, text in flags.items():
        if OPTIONS[flag].parse is not config_values.readable_file:
            OPTIONS[flag].parse(text)
    variables = {variable["name"] for variable in container["env"]}
    assert variables <= {option.environment_variable for option in CLEANUP_OPTIONS}
    for option in CLEANUP_OPTIONS:
        assert not option.required or {option.flag, option.environment_variable} & (set(flags) | variables)


def test_it_cleans_up_the_deployed_node(container: Object, daemon: Object) -> None:
    flags = dict(flag.split("=", 1) for flag in daemon["containers"][0]["args"])
    assert flags_of(container)["--node"] == flags["--nodename"]


def test_image_key_and_security_are_those_of_the_deployment(pod: Object, container: Object, daemon: Object) -> None:
    other = daemon["containers"][0]
    assert container["image"] == other["image"]
    assert pod["securityContext"] == daemon["securityContext"]
    assert container["securityContext"] == other["securityContext"]
    assert pod["affinity"] == daemon["affinity"]
    assert pod["enableServiceLinks"] is False
    (volume,) = pod["volumes"]
    assert volume in daemon["volumes"]
    assert container["volumeMounts"][0] in other["volumeMounts"]
    assert all(variable in other["env"] for variable in container["env"])
    key_file = flags_of(container)["--sce-api-key-file"]
    assert f"--sce-api-key-file={key_file}" in other["args"]


def test_the_deployment_does_not_select_its_pod(job: Object) -> None:
    (deployment,) = load("deployment.yaml")
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert not deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_its_rights_are_exactly_these(container: Object) -> None:
    rights = {
        (role["kind"], role["metadata"].get("namespace", ""), resource, ",".join(rule.get("resourceNames", []))): set(
            rule["verbs"]
        )
        for role in load("cleanup.yaml")
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for resource in rule["resources"]
    }
    node = flags_of(container)["--node"]
    assert rights == {
        ("ClusterRole", "", "pods", ""): {"get", "list", "delete"},
        ("ClusterRole", "", "pods/status", ""): {"patch"},
        ("ClusterRole", "", "nodes", node): {"get", "patch", "delete"},
        ("ClusterRole", "", "namespaces", "kube-system"): {"get"},
        ("Role", "kube-node-lease", "leases", node): {"get", "delete"},
        ("Role", leader.NAMESPACE, "leases", leader.lease_name(node)): {"get", "patch", "delete"},
        ("Role", leader.NAMESPACE, "leases", ""): {"create"},
    }


def test_every_binding_gives_its_role_to_its_own_service_account(pod: Object) -> None:
    documents = load("cleanup.yaml")
    roles = {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents}
    bindings = [d for d in documents if d["kind"].endswith("Binding")]
    assert len(bindings) == 3
    for binding in bindings:
        reference = binding["roleRef"]
        assert (reference["kind"], binding["metadata"].get("namespace"), reference["name"]) in roles
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}]
    assert ("ServiceAccount", "kube-system", NAME) in roles
    assert pod["serviceAccountName"] == NAME


def test_it_may_take_as_long_as_it_says(job: Object) -> None:
    """No deadline cuts it off before it has named what is left."""
    assert "activeDeadlineSeconds" not in job["spec"]
    assert "activeDeadlineSeconds" not in job["spec"]["template"]["spec"]
