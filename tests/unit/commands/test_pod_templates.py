"""The pods that manifests lead to, with what controllers and admission add."""

from __future__ import annotations

from typing import Any

import pytest

from virtual_kubelet_salad.commands import pod_templates
from virtual_kubelet_salad.commands.manifests import Document
from virtual_kubelet_salad.commands.pod_templates import PLACEHOLDER_UID, Candidate

CONTAINER = {"name": "main", "image": "nginx"}
VERSIONS = {"Pod": "v1", "ReplicationController": "v1", "Job": "batch/v1", "CronJob": "batch/v1"}


def document(kind: str, spec: Any, **metadata: Any) -> Document:
    manifest = {"apiVersion": VERSIONS.get(kind, "apps/v1"), "kind": kind, "metadata": {"name": "web"} | metadata}
    return Document("web.yaml", 1, None, {**manifest, "spec": spec})


def template(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [dict(CONTAINER)], **spec}}


def candidate(given: Document, namespace: str = "default") -> Candidate:
    problems: list[str] = []
    found = pod_templates.candidate(given, namespace, problems)
    assert problems == []
    assert found is not None
    return found


def problems_of(given: Document) -> list[str]:
    problems: list[str] = []
    assert pod_templates.candidate(given, "default", problems) is None
    return problems


def workload(kind: str, **more: Any) -> Document:
    policy = {"restartPolicy": "Never"} if kind in ("Job", "CronJob") else {}
    if kind == "CronJob":
        return document(
            kind, {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": template(**policy), **more}}}
        )
    selector = {} if kind in ("Job", "ReplicationController") else {"selector": {"matchLabels": {"app": "web"}}}
    return document(kind, {**selector, "template": template(**policy), **more})


def test_a_bare_pod_keeps_what_it_has() -> None:
    given = document("Pod", {"containers": [CONTAINER]}, uid="its-uid", namespace="ml")
    found = candidate(given)
    assert found.placeholders == ()
    assert (found.pod["metadata"]["name"], found.pod["metadata"]["uid"]) == ("web", "its-uid")
    assert found.pod["metadata"]["namespace"] == "ml"
    assert found.pod["spec"]["containers"] == [CONTAINER]


def test_what_only_a_cluster_knows_is_made_up_and_said_to_be() -> None:
    found = candidate(document("Pod", {"containers": [CONTAINER]}, name=None, generateName="web-"), "ml")
    assert found.placeholders == ("metadata.name", "metadata.uid")
    metadata = found.pod["metadata"]
    assert (metadata["name"], metadata["namespace"], metadata["uid"]) == ("web-xxxxx", "ml", PLACEHOLDER_UID)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Deployment", "web-xxxxxxxxxx-xxxxx"),
        ("ReplicaSet", "web-xxxxx"),
        ("ReplicationController", "web-xxxxx"),
        ("DaemonSet", "web-xxxxx"),
        ("Job", "web-xxxxx"),
        ("CronJob", "web-00000000-xxxxx"),
    ],
)
def test_each_kind_of_workload_names_its_pods_its_own_way(kind: str, name: str) -> None:
    assert pod_templates.is_rendered(workload(kind))
    found = candidate(workload(kind))
    assert found.pod["metadata"]["name"] == name
    assert found.placeholders == ("metadata.name", "metadata.uid")
    assert found.pod["metadata"]["labels"]["app"] == "web"
    (owner,) = found.pod["metadata"]["ownerReferences"]
    assert owner["controller"] is True and owner["kind"] == ("Job" if kind == "CronJob" else kind)


def test_the_first_pod_of_a_stateful_set_has_its_true_name_and_its_claims() -> None:
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    found = candidate(workload("StatefulSet", serviceName="web", volumeClaimTemplates=[claim]))
    assert found.placeholders == ("metadata.uid",)
    assert found.pod["metadata"]["name"] == found.pod["spec"]["hostname"] == "web-0"
    assert found.pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"
    assert found.pod["spec"]["subdomain"] == "web"
    assert found.pod["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]


def test_a_pod_of_an_indexed_job_knows_its_index() -> None:
    found = candidate(workload("Job", completionMode="Indexed", completions=3))
    (variable,) = found.pod["spec"]["containers"][0]["env"]
    assert variable["name"] == "JOB_COMPLETION_INDEX"
    label = variable["valueFrom"]["fieldRef"]["fieldPath"].removeprefix("metadata.labels['").removesuffix("']")
    assert found.pod["metadata"]["labels"][label] == "0"
    assert found.pod["metadata"]["labels"]["job-name"] == "web"
    assert "env" not in candidate(workload("Job")).pod["spec"]["containers"][0]


def test_the_service_account_is_always_named() -> None:
    spec = {"containers": [CONTAINER]}
    accounts = [
        candidate(document("Pod", {**spec, **given})).pod["spec"]["serviceAccountName"]
        for given in ({}, {"serviceAccount": "old"}, {"serviceAccount": "old", "serviceAccountName": "new"})
    ]
    assert accounts == ["default", "old", "new"]


def test_quantities_may_be_numbers() -> None:
    resources = {"limits": {"cpu": 2, "memory": 1.5e9, "nvidia.com/gpu": 1}, "requests": {"cpu": 0.5}}
    volume = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": 1024}}
    given = document("Pod", {"containers": [{**CONTAINER, "resources": resources}], "volumes": [volume]})
    spec = candidate(given).pod["spec"]
    assert spec["containers"][0]["resources"] == {
        "limits": {"cpu": "2", "memory": "1500000000.0", "nvidia.com/gpu": "1"},
        "requests": {"cpu": "0.5"},
    }
    assert spec["volumes"][0]["emptyDir"]["sizeLimit"] == "1024"


def test_a_field_that_is_null_is_not_there() -> None:
    found = candidate(document("Pod", {"containers": [{**CONTAINER, "env": None}], "volumes": None}, labels=None))
    assert found.pod["spec"]["containers"] == [CONTAINER]
    assert "volumes" not in found.pod["spec"]


def test_the_manifest_is_not_changed() -> None:
    given = workload("Job", completionMode="Indexed")
    before = repr(given.manifest)
    candidate(given)
    assert repr(given.manifest) == before


def test_unknown_fields_are_told() -> None:
    given = workload("Deployment")
    given.manifest["spec"]["template"]["metadata"]["anotations"] = {}
    assert candidate(given).unknown_fields == ("spec.template.metadata.anotations",)


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        (document("Pod", {"containers": [{"name": "a", "command": "x"}]}),
         ["spec.containers[0].command: must be a list"]),
        (document("Pod", {"containers": []}), ["spec.containers: must have at least one container"]),
        (document("Pod", {}), ["spec.containers: is missing"]),
        (document("Pod", None), ["spec: is missing"]),
        (workload("Deployment", template={}), ["spec.template.spec: is missing"]),
        (workload("Deployment", template=template(restartPolicy="Never")),
         ["spec.template.spec.restartPolicy: must be Always for a Deployment"]),
        (workload("Job", template=template()),
         ["spec.template.spec.restartPolicy: must be OnFailure or Never for a Job"]),
        (workload("CronJob", template=template(restartPolicy="Always")),
         ["spec.jobTemplate.spec.template.spec.restartPolicy: must be OnFailure or Never for a CronJob"]),
        (document("CronJob", {"schedule": "", "jobTemplate": {}}),
         ["spec.jobTemplate.spec.template.spec: is missing"]),
    ],
)  # fmt: skip
def test_what_the_api_server_would_not_take_is_told_with_its_place(given: Document, problems: list[str]) -> None:
    assert problems_of(given) == [f"web.yaml, document 1 ({given.kind} web): {problem}" for problem in problems]


def test_other_objects_make_no_pods_nor_do_namesakes_of_another_group() -> None:
    assert not pod_templates.is_rendered(document("Service", {}))
    namesake = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": {"name": "a"}}
    assert not pod_templates.is_rendered(Document("web.yaml", 1, None, namesake))
