"""Calls to the API server: what is asked, and how each answer is understood."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube import resources
from virtual_kubelet_salad.kube.client import MERGE, STRATEGIC, ApiAnswer, ApiServer
from virtual_kubelet_salad.kube.outcomes import MAX_TEXT_CHARACTERS

SECRET = "hunter2"


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: Any
    content_type: str | None
    timeout: float


class ScriptedTransport:
    """Gives one prepared answer, or raises, and keeps what was asked."""

    def __init__(self, clock: FakeClock) -> None:
        self.asked: list[Asked] = []
        self.answer: ApiAnswer | Exception = ApiAnswer(200, {"kind": "Thing"})
        self._clock = clock

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = {},
        body: object = None,
        content_type: str | None = None,
        timeout: float,
    ) -> ApiAnswer:
        self.asked.append(Asked(method, path, dict(query), body, content_type, timeout))
        self._clock.advance(0.25)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def refusal(
    code: int, message: str = "as scripted", *, causes: Sequence[object] | None = None, **status: Any
) -> ApiAnswer:
    body = {"kind": "Status", "code": code, "message": message, "details": {"causes": causes}, **status}
    return ApiAnswer(code, body)


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


@pytest.mark.parametrize(("call", "method", "path", "content_type"), CALLS, ids=lambda value: str(value)[:60])
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


# -- how answers are understood ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, errors.Rejected),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, errors.Rejected),
        (409, errors.Conflict),
        (410, errors.Expired),
        (415, errors.Rejected),
        (422, errors.Invalid),
    ],
)
def test_a_definite_refusal_has_its_own_error(
    api: ApiServer, transport: ScriptedTransport, code: int, kind: type[errors.Error]
) -> None:
    transport.answer = refusal(code, "things are so", reason="BecauseOfThis")
    with pytest.raises(kind, match="things are so") as caught:
        api.get("/x")
    assert not isinstance(caught.value, errors.CouldNotAsk)


@pytest.mark.parametrize("code", [301, 302, 408, 418, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [None, {"kind": "Status", "message": "m"}, {"kind": "Other"}])
def test_everything_else_is_could_not_ask(
    api: ApiServer, transport: ScriptedTransport, code: int, body: dict[str, Any] | None
) -> None:
    transport.answer = ApiAnswer(code, body)
    with pytest.raises(errors.CouldNotAsk):
        api.get("/x")


@pytest.mark.parametrize("code", [400, 403, 404, 409, 410, 422])
@pytest.mark.parametrize("body", [None, {}, {"kind": "Pod"}, {"message": "a proxy says so"}])
def test_a_refusal_that_is_not_the_api_servers_own_is_not_believed(
    api: ApiServer, transport: ScriptedTransport, code: int, body: dict[str, Any] | None
) -> None:
    transport.answer = ApiAnswer(code, body)
    with pytest.raises(errors.CouldNotAsk) as caught:
        api.create("/x", {})
    assert caught.value.may_be_applied


@pytest.mark.parametrize("body", [None, {"kind": "Status"}])
def test_401_is_unauthorized_whoever_says_it(
    api: ApiServer, transport: ScriptedTransport, body: dict[str, Any] | None
) -> None:
    transport.answer = ApiAnswer(401, body)
    with pytest.raises(errors.Unauthorized) as caught:
        api.create("/x", {})
    assert not caught.value.may_be_applied


def test_a_success_without_a_json_object_is_could_not_ask(api: ApiServer, transport: ScriptedTransport) -> None:
    transport.answer = ApiAnswer(200, None)
    with pytest.raises(errors.CouldNotAsk) as read:
        api.get("/x")
    with pytest.raises(errors.CouldNotAsk) as write:
        api.patch("/x", {})
    assert not read.value.may_be_applied
    assert write.value.may_be_applied


@pytest.mark.parametrize(("code", "may_be_applied"), [(429, False), (500, True), (503, True), (504, True)])
def test_a_server_error_may_have_been_applied(
    api: ApiServer, transport: ScriptedTransport, code: int, may_be_applied: bool
) -> None:
    transport.answer = refusal(code)
    with pytest.raises(errors.CouldNotAsk) as caught:
        api.update("/x", {})
    assert caught.value.may_be_applied is may_be_applied


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("999999", 300.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), ("٣", None)],
)
@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_passed_on(
    api: ApiServer, transport: ScriptedTransport, code: int, header: str, seconds: float | None
) -> None:
    transport.answer = ApiAnswer(code, {"kind": "Status"}, {"retry-after": header})
    with pytest.raises(errors.CouldNotAsk) as caught:
        api.get("/x")
    assert caught.value.retry_after == seconds


def test_texts_come_from_the_status_message_alone_and_are_short(api: ApiServer, transport: ScriptedTransport) -> None:
    message = "line\n\tone " + "x" * 9_000 + SECRET
    body: dict[str, Any] = {"kind": "Status", "message": message, "data": {"password": SECRET}}
    transport.answer = ApiAnswer(422, body, {"authorization": SECRET})
    with pytest.raises(errors.Invalid) as caught:
        api.get("/x")
    text = str(caught.value)
    assert text.startswith("line one xxx")
    assert len(text) <= MAX_TEXT_CHARACTERS
    assert SECRET not in repr(caught.value)


def test_causes_of_a_422_are_kept_by_field(api: ApiServer, transport: ScriptedTransport) -> None:
    causes = [{"field": "spec.x", "message": "must be y", "reason": "FieldValueInvalid"}, "no cause", {"field": 5}]
    transport.answer = refusal(422, causes=causes)
    with pytest.raises(errors.Invalid) as caught:
        api.get("/x")
    assert caught.value.causes == (("spec.x", "must be y"), ("", ""))


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
        ("get", "pods", "200", 0.25),
        ("delete", "pods", "404", 0.25),
        ("patch", "pods/status", "none", 0.25),
    ]
