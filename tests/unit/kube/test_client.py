"""Calls to the API server: what is asked, and what the calls about pods make of the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.scripted_transport import CALL_SECONDS, ScriptedTransport, refusal
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube import resources
from virtual_kubelet_salad.kube.client import MERGE, STRATEGIC, ApiAnswer, ApiServer


@pytest.fixture
def transport(fake_clock: FakeClock) -> ScriptedTransport:
    return ScriptedTransport(fake_clock)


@pytest.fixture
def api(transport: ScriptedTransport, fake_clock: FakeClock) -> ApiServer:
    return ApiServer(transport, clock=fake_clock)


# -- what is asked -----------------------------------------------------------------------------------------------------

CALLS: list[tuple[Callable[[ApiServer], object], str, str, str | None]] = [
    (lambda api: api.get_pod("ns", "p"), "GET", "/api/v1/namespaces/ns/pods/p", None),
    (lambda api: api.get_secret("ns", "s"), "GET", "/api/v1/namespaces/ns/secrets/s", None),
    (lambda api: api.get_config_map("ns", "c"), "GET", "/api/v1/namespaces/ns/configmaps/c", None),
    (lambda api: api.get_node("n"), "GET", "/api/v1/nodes/n", None),
    (lambda api: api.create_node({}), "POST", "/api/v1/nodes", "application/json"),
    (lambda api: api.patch_node("n", {}), "PATCH", "/api/v1/nodes/n", STRATEGIC),
    (lambda api: api.patch_node_status("n", {}), "PATCH", "/api/v1/nodes/n/status", STRATEGIC),
    (lambda api: api.get_lease("ns", "l"), "GET", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l", None),
    (
        lambda api: api.create_lease("ns", {}),
        "POST",
        "/apis/coordination.k8s.io/v1/namespaces/ns/leases",
        "application/json",
    ),
    (
        lambda api: api.update_lease("ns", "l", {}),
        "PUT",
        "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l",
        "application/json",
    ),
    (lambda api: api.patch_lease("ns", "l", {}), "PATCH", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l", MERGE),
    (lambda api: api.create_event("ns", {}), "POST", "/api/v1/namespaces/ns/events", "application/json"),
    (lambda api: api.patch_event("ns", "e", {}), "PATCH", "/api/v1/namespaces/ns/events/e", STRATEGIC),
    (lambda api: api.version(), "GET", "/version", None),
    (
        lambda api: api.patch_pod_status("ns", "p", "u", {}),
        "PATCH",
        "/api/v1/namespaces/ns/pods/p/status",
        STRATEGIC,
    ),
]


@pytest.mark.parametrize(
    ("call", "method", "path", "content_type"), CALLS, ids=[f"{call[1]} {call[2]}" for call in CALLS]
)
def test_each_call_asks_for_its_path(
    api: ApiServer,
    transport: ScriptedTransport,
    call: Callable[[ApiServer], object],
    method: str,
    path: str,
    content_type: str | None,
) -> None:
    call(api)
    asked = transport.asked[0]
    assert (asked.method, asked.path, asked.content_type) == (method, path, content_type)
    assert asked.timeout == 15.0
    assert asked.query == ({} if method == "GET" else {"fieldManager": "virtual-kubelet-salad"})


def test_bodies_leave_as_they_are(api: ApiServer, transport: ScriptedTransport) -> None:
    lease = {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z", "holderIdentity": None}}
    api.patch_lease("ns", "l", lease)
    assert transport.asked[0].body is lease


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b", "/api/v1/namespaces/ns/secrets/a%2Fb"),
        ("../../nodes", "/api/v1/namespaces/ns/secrets/..%2F..%2Fnodes"),
        ("a?x=1#y", "/api/v1/namespaces/ns/secrets/a%3Fx%3D1%23y"),
        ("a b%2f", "/api/v1/namespaces/ns/secrets/a%20b%252f"),
    ],
)
def test_names_cannot_change_the_path(api: ApiServer, transport: ScriptedTransport, name: str, path: str) -> None:
    api.get_secret("ns", name)
    assert transport.asked[0].path == path


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_no_object_can_have_is_not_found_without_asking(
    api: ApiServer, transport: ScriptedTransport, name: str
) -> None:
    with pytest.raises(errors.NotFound):
        api.get_secret("ns", name)
    with pytest.raises(errors.NotFound):
        api.get_secret(name, "s")
    assert transport.asked == []


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        (resources.PODS, "pods"),
        (resources.pod_status("ns", "p"), "pods/status"),
        (resources.lease("ns", "l"), "leases"),
        (resources.leases("ns"), "leases"),
        (resources.node_status("n"), "nodes/status"),
        (resources.NODES, "nodes"),
        (resources.namespace("kube-system"), "namespaces"),
        (resources.VERSION, "version"),
        (resources.SELF_SUBJECT_ACCESS_REVIEWS, "selfsubjectaccessreviews"),
        ("/api", "discovery"),
        ("/", ""),
    ],
)
def test_the_resource_of_a_path_holds_no_name(path: str, resource: str) -> None:
    assert resources.resource_of(path) == resource


# -- pods --------------------------------------------------------------------------------------------------------------


def test_a_status_patch_carries_the_uid_and_leaves_the_callers_patch_alone(
    api: ApiServer, transport: ScriptedTransport
) -> None:
    patch: dict[str, Any] = {"metadata": {"finalizers": ["salad.com/container-group"]}, "status": {"phase": "Pending"}}
    assert api.patch_pod_status("ns", "p", "u1", patch) == {"kind": "Thing"}
    assert transport.asked[0].body == {
        "metadata": {"finalizers": ["salad.com/container-group"], "uid": "u1"},
        "status": {"phase": "Pending"},
    }
    assert "uid" not in patch["metadata"]


UID_CAUSE: dict[str, str] = {
    "reason": "FieldValueInvalid",
    "field": "metadata.uid",
    "message": 'Invalid value: "u1": field is immutable',
}
FINALIZER_CAUSE = {
    "reason": "FieldValueForbidden",
    "field": "metadata.finalizers",
    "message": 'Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "f"',
}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(404), errors.AnotherPod),
        (refusal(409, "Precondition failed: UID in precondition: a, UID in object meta: b"), errors.AnotherPod),
        (refusal(422, 'Pod "p" is invalid: metadata.uid: field is immutable', causes=[UID_CAUSE]), errors.AnotherPod),
        (refusal(422, causes=[FINALIZER_CAUSE]), errors.BeingDeleted),
        (refusal(422, FINALIZER_CAUSE["message"]), errors.BeingDeleted),
        (refusal(422, causes=[UID_CAUSE, FINALIZER_CAUSE]), errors.AnotherPod),
        (refusal(422, causes=[{"field": "status.phase", "message": "no"}]), errors.Invalid),
        (refusal(403), errors.Forbidden),
        (refusal(500), errors.CouldNotAsk),
        (ApiAnswer(404, None), errors.CouldNotAsk),
        (ApiAnswer(409, None), errors.CouldNotAsk),
    ],
    ids=str,
)
def test_answers_to_a_status_patch(
    api: ApiServer, transport: ScriptedTransport, answer: ApiAnswer, kind: type[errors.Error]
) -> None:
    transport.answer = answer
    with pytest.raises(kind):
        api.patch_pod_status("ns", "p", "u1", {})


CONTENTION = (
    'Operation cannot be fulfilled on pods "p": the object has been modified; please apply your changes to the latest '
    "version and try again"
)


def test_a_409_for_concurrent_writes_does_not_make_it_another_pod(api: ApiServer, transport: ScriptedTransport) -> None:
    transport.answer = refusal(409, CONTENTION)
    with pytest.raises(errors.CouldNotAsk) as patched:
        api.patch_pod_status("ns", "p", "u1", {})
    with pytest.raises(errors.CouldNotAsk):
        api.delete_pod("ns", "p", "u1")
    assert not patched.value.may_be_applied


def test_a_delete_names_the_uid_in_its_body(api: ApiServer, transport: ScriptedTransport) -> None:
    api.delete_pod("ns", "p", "u1")
    asked = transport.asked[0]
    assert (asked.method, asked.path, asked.query) == ("DELETE", "/api/v1/namespaces/ns/pods/p", {})
    assert asked.body["preconditions"] == {"uid": "u1"}
    assert asked.body["gracePeriodSeconds"] == 0


@pytest.mark.parametrize("answer", [refusal(404), refusal(409, "the UID in the precondition does not match")], ids=str)
def test_deleting_a_pod_that_is_gone_is_a_success(
    api: ApiServer, transport: ScriptedTransport, answer: ApiAnswer
) -> None:
    transport.answer = answer
    api.delete_pod("ns", "p", "u1")


@pytest.mark.parametrize("answer", [refusal(500), ApiAnswer(404, None), ApiAnswer(409, None)], ids=str)
def test_a_delete_that_nobody_confirms_is_no_success(
    api: ApiServer, transport: ScriptedTransport, answer: ApiAnswer
) -> None:
    transport.answer = answer
    with pytest.raises(errors.CouldNotAsk):
        api.delete_pod("ns", "p", "u1")


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_the_cluster_is_known_by_the_uid_of_kube_system(api: ApiServer, transport: ScriptedTransport) -> None:
    transport.answer = ApiAnswer(200, {"metadata": {"uid": "c1"}})
    assert api.cluster_uid() == "c1"
    assert transport.asked[0].path == "/api/v1/namespaces/kube-system"
    transport.answer = ApiAnswer(200, {"metadata": {}})
    with pytest.raises(errors.CouldNotAsk):
        api.cluster_uid()


@pytest.mark.parametrize(
    ("status", "allowed"),
    [({"allowed": True}, True), ({"allowed": False}, False), ({}, False), ({"allowed": "x"}, False)],
)
def test_a_right_counts_only_when_it_is_granted(
    api: ApiServer, transport: ScriptedTransport, status: dict[str, object], allowed: bool
) -> None:
    transport.answer = ApiAnswer(201, {"status": status})
    assert api.self_subject_access_review({"verb": "patch", "resource": "pods", "subresource": "status"}) is allowed
    assert transport.asked[0].body["spec"] == {
        "resourceAttributes": {"verb": "patch", "resource": "pods", "subresource": "status"}
    }


def test_nothing_is_written_when_it_may_not_be(transport: ScriptedTransport, fake_clock: FakeClock) -> None:
    def refuse() -> None:
        raise errors.NotLeader("another replica leads")

    api = ApiServer(transport, clock=fake_clock, before_write=refuse)
    writes: list[Callable[[], object]] = [
        lambda: api.create("/x", {}),
        lambda: api.update("/x", {}),
        lambda: api.patch("/x", {}),
        lambda: api.delete("/x"),
        lambda: api.delete_pod("ns", "p", "u"),
        lambda: api.patch_pod_status("ns", "p", "u", {}),
    ]
    for write in writes:
        with pytest.raises(errors.NotLeader):
            write()
    assert transport.asked == []
    api.get("/x")
    api.self_subject_access_review({})
    assert len(transport.asked) == 2


def test_every_call_is_observed(transport: ScriptedTransport, fake_clock: FakeClock) -> None:
    observed: list[tuple[str, str, str, float]] = []
    api = ApiServer(transport, lambda *call: observed.append(call), clock=fake_clock)
    api.get_pod("ns", "p")
    transport.answer = refusal(404)
    api.delete_pod("ns", "p", "u")
    transport.answer = errors.CouldNotAsk("down")
    with pytest.raises(errors.CouldNotAsk):
        api.patch_pod_status("ns", "p", "u", {})
    assert observed == [
        ("get", "pods", "200", CALL_SECONDS),
        ("delete", "pods", "404", CALL_SECONDS),
        ("patch", "pods/status", "none", CALL_SECONDS),
    ]
