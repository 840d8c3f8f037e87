"""Creating and replacing objects: defaults, validation, versions, and what is special about each kind."""

from __future__ import annotations

import base64

import pytest

from tests.conformance.conftest import Api, Json, Pods
from tests.support.waiting import wait_until

MERGE_PATCH = "application/merge-patch+json"
NOW = "2026-01-02T03:04:05Z"
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def test_a_new_pod_carries_the_defaults(pods: Pods) -> None:
    pod = pods.create(
        containers=[
            {
                "name": "main",
                "image": "registry.example/image",
                "resources": {"limits": {"cpu": "2", "memory": "1Gi"}},
                "ports": [{"containerPort": 80}],
                "livenessProbe": {"httpGet": {"port": 80}},
            }
        ]
    )
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    expected = {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "enableServiceLinks": True,
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "priority": 0,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    assert {name: spec.get(name) for name in expected} == expected
    assert container["imagePullPolicy"] == "Always"
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["terminationMessagePolicy"] == "File"
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "1Gi"}
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["livenessProbe"] == {
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert pod["status"] == {"phase": "Pending", "qosClass": "Guaranteed"}
    assert pod["metadata"]["generation"] == 1
    keys = {item["key"]: item for item in spec["tolerations"]}
    for name in ("not-ready", "unreachable"):
        found = keys[f"node.kubernetes.io/{name}"]
        assert (found["operator"], found["effect"], found["tolerationSeconds"]) == ("Exists", "NoExecute", 300)


def test_a_new_pod_gets_the_token_volume(pods: Pods) -> None:
    spec = pods.create()["spec"]
    [volume] = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert [next(iter(source)) for source in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    assert volume["projected"]["defaultMode"] == 420
    [mount] = spec["containers"][0]["volumeMounts"]
    assert (mount["name"], mount["readOnly"], mount["mountPath"]) == (volume["name"], True, TOKEN_PATH)
    assert "volumes" not in pods.create(automountServiceAccountToken=False)["spec"]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"nvidia.com/gpu": "1"}}, "BestEffort"),
    ],
)
def test_the_quality_of_service_follows_the_resources(pods: Pods, resources: object, expected: str) -> None:
    pod = pods.create(containers=[{"name": "main", "image": "image", "resources": resources}])
    assert pod["status"]["qosClass"] == expected


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"containers": []}, "spec.containers"),
        ({"containers": [{"name": "main"}]}, "spec.containers[0].image"),
        ({"containers": [{"name": "Main", "image": "image"}]}, "spec.containers[0].name"),
        ({"containers": [{"name": "a", "image": "i"}, {"name": "a", "image": "i"}]}, "spec.containers[1].name"),
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy"),
        (
            {"containers": [{"name": "a", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
            "spec.containers[0].volumeMounts[0].name",
        ),
        (
            {"containers": [{"name": "a", "image": "i", "resources": {"requests": {"nvidia.com/gpu": "1"}}}]},
            "spec.containers[0].resources.limits",
        ),
        (
            {
                "containers": [
                    {"name": "a", "image": "i", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}
                ]
            },
            "spec.containers[0].resources.requests",
        ),
    ],
)
def test_a_pod_that_cannot_be_is_refused_with_the_field(pods: Pods, spec: dict[str, object], field: str) -> None:
    whole = {"containers": [{"name": "main", "image": "image"}], **spec}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wrong"}, "spec": whole}
    status, answer = pods.api.request("POST", pods.collection, None, body)
    assert (status, answer["reason"], answer["details"]["kind"]) == (422, "Invalid", "Pod")
    assert field in [cause["field"] for cause in answer["details"]["causes"]]


def test_an_unreadable_quantity_is_a_bad_request(pods: Pods) -> None:
    containers = [{"name": "a", "image": "i", "resources": {"limits": {"cpu": "much"}}}]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wrong"}, "spec": {"containers": containers}}
    status, answer = pods.api.request("POST", pods.collection, None, body)
    assert (status, answer["reason"]) == (400, "BadRequest")


def test_the_server_makes_up_uid_time_version_and_generated_names(pods: Pods) -> None:
    metadata = {"generateName": "many-", "uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z"}
    containers = [{"name": "main", "image": "image"}]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
    first, second = (pods.api.done("POST", pods.collection, body=body)["metadata"] for _ in range(2))
    assert first["name"] != second["name"]
    assert first["name"].startswith("many-") and len(first["name"]) == len("many-") + 5
    assert first["uid"] not in ("mine", second["uid"])
    assert not first["creationTimestamp"].startswith("2001")
    assert int(second["resourceVersion"]) > int(first["resourceVersion"])


def test_a_taken_name_is_already_exists(pods: Pods) -> None:
    pod = pods.create()
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod["metadata"]["name"]}}
    status, answer = pods.api.request("POST", pods.collection, None, {**body, "spec": pod["spec"]})
    assert (status, answer["reason"]) == (409, "AlreadyExists")
    assert answer["message"] == f'pods "{pod["metadata"]["name"]}" already exists'


def test_an_absent_namespace_is_not_found(api: Api) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    status, answer = api.request("POST", "/api/v1/namespaces/absent/configmaps", None, body)
    assert (status, answer["reason"], answer["details"]["kind"]) == (404, "NotFound", "namespaces")


def test_a_dry_run_stores_nothing(pods: Pods) -> None:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dry"}}
    spec = {"containers": [{"name": "main", "image": "image"}]}
    answer = pods.api.done("POST", pods.collection, {"dryRun": "All"}, {**body, "spec": spec})
    assert answer["spec"]["restartPolicy"] == "Always"
    assert pods.api.request("GET", f"{pods.collection}/dry")[0] == 404


def test_a_replace_with_an_old_version_is_a_conflict(pods: Pods) -> None:
    pod = pods.create()
    pods.report(pod, phase="Running")
    status, answer = pods.api.request("PUT", pods.path(pod), None, pod)
    assert (status, answer["reason"]) == (409, "Conflict")
    assert answer["message"] == (
        f'Operation cannot be fulfilled on pods "{pod["metadata"]["name"]}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    current = pods.get(pod)
    current["metadata"]["labels"] = {"a": "b"}
    assert pods.api.done("PUT", pods.path(pod), None, current)["metadata"]["labels"] == {"a": "b"}


def test_a_replace_for_another_uid_is_a_conflict(pods: Pods) -> None:
    pod = pods.create()
    pod["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
    status, answer = pods.api.request("PUT", pods.path(pod), None, pod)
    assert (status, answer["reason"]) == (409, "Conflict")


def test_the_phase_is_not_guarded(pods: Pods) -> None:
    pod = pods.create()
    for phase in ("Failed", "Running", "Pending"):
        assert pods.report(pod, phase=phase)["status"]["phase"] == phase


def test_a_terminated_container_may_run_again_only_where_the_restart_policy_allows(pods: Pods) -> None:
    running = [{"name": "main", "state": {"running": {}}}]
    cases = {("Always", 1): 200, ("OnFailure", 1): 200, ("OnFailure", 0): 422, ("Never", 1): 422}
    for (policy, code), expected in cases.items():
        pod = pods.create(restartPolicy=policy)
        pods.report(pod, containerStatuses=[{"name": "main", "state": {"terminated": {"exitCode": code}}}])
        status, answer = pods.api.patch(pods.status_path(pod), {"status": {"containerStatuses": running}})
        assert status == expected, (policy, code)
        if expected == 422:
            cause = answer["details"]["causes"][0]
            assert cause["field"] == "status.containerStatuses[0].state"
            assert cause["message"] == "Forbidden: may not be transitioned to non-terminated state"


def test_a_binding_gives_a_pod_its_node_once(pods: Pods) -> None:
    pod = pods.create(bound=False)
    target = {"apiVersion": "v1", "kind": "Node", "name": pods.node}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
    status, answer = pods.api.request("POST", f"{pods.path(pod)}/binding", None, body)
    assert (status, answer["status"]) == (201, "Success")
    bound = pods.get(pod)
    assert bound["spec"]["nodeName"] == pods.node
    scheduled = {item["type"]: item["status"] for item in bound["status"]["conditions"]}
    assert scheduled["PodScheduled"] == "True"
    assert pods.api.request("POST", f"{pods.path(pod)}/binding", None, body)[0] == 409


def test_the_provider_id_of_a_node_is_settable_once(api: Api, node: str) -> None:
    path = f"/api/v1/nodes/{node}"
    assert api.patch(path, {"spec": {"providerID": "example://one"}})[0] == 200
    assert api.patch(path, {"spec": {"providerID": "example://one"}})[0] == 200
    status, answer = api.patch(path, {"spec": {"providerID": "example://two"}})
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "spec.providerID" in [cause["field"] for cause in answer["details"]["causes"]]


def test_a_node_status_does_not_reach_the_spec_and_merges_by_type(api: Api, node: str) -> None:
    path = f"/api/v1/nodes/{node}"
    conditions = [{"type": "Ready", "status": "True"}, {"type": "example.com/Own", "status": "True"}]
    body = {"spec": {"providerID": "example://one"}, "status": {"conditions": conditions, "capacity": {"cpu": "4"}}}
    status, answer = api.patch(f"{path}/status", body)
    assert status == 200
    assert "providerID" not in answer["spec"]
    status, answer = api.patch(f"{path}/status", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    found = {item["type"]: item["status"] for item in answer["status"]["conditions"]}
    assert (found["Ready"], found["example.com/Own"]) == ("False", "True")
    assert answer["status"]["capacity"] == {"cpu": "4"}


def test_a_lease_keeps_microseconds_and_insists_on_them(api: Api, namespace: str) -> None:
    collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    spec = {"holderIdentity": "me", "leaseDurationSeconds": 40, "renewTime": "2026-01-02T03:04:05.000006Z"}
    kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    lease = api.done("POST", collection, body={**kind, "metadata": {"name": "lease"}, "spec": spec})
    assert lease["spec"] == spec
    for wrong in ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123Z", "soon"):
        status, answer = api.request("PATCH", f"{collection}/lease", None, {"spec": {"renewTime": wrong}}, MERGE_PATCH)
        assert (status, answer["reason"]) == (422, "Invalid"), wrong
        assert [cause["field"] for cause in answer["details"]["causes"]] == ["patch"]
        assert "parsing time" in answer["message"]
    body = {**kind, "metadata": {"name": "lease"}, "spec": spec}
    status, answer = api.request("PUT", f"{collection}/lease", None, body)
    assert (status, answer["reason"]) == (422, "Invalid")
    assert answer["details"]["causes"][0]["field"] == "metadata.resourceVersion"
    lease["spec"]["renewTime"] = "2026-01-02T03:04:06.000000Z"
    assert api.done("PUT", f"{collection}/lease", None, lease)["spec"]["renewTime"] == "2026-01-02T03:04:06.000000Z"
    assert api.request("PUT", f"{collection}/lease", None, lease)[0] == 409


def test_an_event_lives_in_the_namespace_of_its_object(api: Api, namespace: str) -> None:
    about = {"kind": "Pod", "name": "a", "namespace": "default", "apiVersion": "v1"}
    body = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "a.1"}, "involvedObject": about, "reason": "Test"}
    status, answer = api.request("POST", f"/api/v1/namespaces/{namespace}/events", None, body)
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "involvedObject.namespace")
    about["namespace"] = namespace
    assert api.request("POST", f"/api/v1/namespaces/{namespace}/events", None, body)[0] == 201
    node_event = {**body, "metadata": {"name": f"node.{namespace}"}, "involvedObject": {"kind": "Node", "name": "n"}}
    assert api.request("POST", "/api/v1/namespaces/default/events", None, node_event)[0] == 201


def test_plain_text_of_a_secret_becomes_base64(api: Api, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"a": "plain"}}
    secret = api.done("POST", f"/api/v1/namespaces/{namespace}/secrets", body=body)
    assert secret["data"] == {"a": base64.b64encode(b"plain").decode()}
    assert "stringData" not in secret
    assert secret["type"] == "Opaque"


def test_the_system_namespaces_are_there_and_have_uids(api: Api) -> None:
    for name in ("default", "kube-system", "kube-node-lease", "kube-public"):
        found = api.done("GET", f"/api/v1/namespaces/{name}")
        assert found["metadata"]["uid"]
        assert found["status"]["phase"] == "Active"


def test_reviews_are_answered(api: Api) -> None:
    attributes = {"verb": "patch", "resource": "pods", "subresource": "status"}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    spec = {"resourceAttributes": attributes}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert api.done("POST", path, body={**body, "spec": spec})["status"]["allowed"] is True
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {}}
    status = api.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", None, token)[0]
    assert status == 400


def test_an_unknown_route_is_not_found(api: Api) -> None:
    status, answer = api.request("GET", "/api/v1/things")
    assert (status, answer["kind"], answer["reason"]) == (404, "Status", "NotFound")


@pytest.mark.parametrize(
    "status",
    [
        {"phase": 5},
        {"startTime": "yesterday"},
        {"startTime": "2026-01-02T03:04:05"},
        {"containerStatuses": [{"name": "main", "restartCount": "1"}]},
        {"containerStatuses": [{"name": "main", "ready": "yes"}]},
        {"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": "1"}}}]},
        {"containerStatuses": {"name": "main"}},
        {"conditions": [{"type": "Ready", "status": True}]},
        {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": 5}]},
    ],
)
def test_a_status_with_a_value_of_the_wrong_type_is_refused(pods: Pods, status: dict[str, object]) -> None:
    code, answer = pods.api.patch(pods.status_path(pods.create()), {"status": status})
    assert (code, answer["reason"]) == (422, "Invalid"), answer
    assert [cause["field"] for cause in answer["details"]["causes"]] == ["patch"]


def test_a_new_object_with_a_value_of_the_wrong_type_is_a_bad_request(pods: Pods, api: Api) -> None:
    containers = [{"name": "main", "image": "image", "env": [{"name": "A", "value": 1}]}]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wrong"}, "spec": {"containers": containers}}
    status, answer = api.request("POST", pods.collection, None, body)
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert 'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number' in answer["message"]


def test_quantities_come_back_in_their_canonical_form(pods: Pods) -> None:
    given = {"cpu": "0.5", "memory": "2048Mi", "ephemeral-storage": "1500Ki", "example.com/thing": 2}
    resources = {"requests": given, "limits": {"example.com/thing": 2, "memory": "1e10"}}
    pod = pods.create(containers=[{"name": "main", "image": "image", "resources": resources}])
    found = pod["spec"]["containers"][0]["resources"]
    assert found["requests"] == {
        "cpu": "500m",
        "memory": "2Gi",
        "ephemeral-storage": "1500Ki",
        "example.com/thing": "2",
    }
    assert found["limits"]["memory"] == "10e9"


def test_a_pod_address_is_checked_and_repeated_in_the_list(pods: Pods) -> None:
    pod = pods.create()
    assert pods.report(pod, podIP="192.0.2.1")["status"]["podIPs"] == [{"ip": "192.0.2.1"}]
    assert pods.report(pod, podIP="192.0.2.2")["status"]["podIPs"] == [{"ip": "192.0.2.2"}]
    code, answer = pods.api.patch(pods.status_path(pod), {"status": {"podIP": "here"}})
    assert (code, answer["details"]["causes"][0]["field"]) == (422, "status.podIPs[0]")


def test_a_new_node_is_tainted_until_it_is_ready(api: Api, new_node: Json) -> None:
    path = f"/api/v1/nodes/{new_node['metadata']['name']}"
    taint = "node.kubernetes.io/not-ready"
    # From the answer to the POST: a node without conditions loses the taint to the node controller's next pass.
    assert taint in [item["key"] for item in new_node["spec"]["taints"]]
    conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": NOW, "lastTransitionTime": NOW}]
    assert api.patch(f"{path}/status", {"status": {"conditions": conditions}})[0] == 200

    def taints() -> list[str]:
        return [item["key"] for item in api.done("GET", path)["spec"].get("taints", [])]

    wait_until(lambda: taint not in taints(), timeout=30, what="the taint to go")
