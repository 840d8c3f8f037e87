"""How each answer of the API server is understood."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.scripted_transport import ScriptedTransport, refusal
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.client import ApiAnswer, ApiServer
from virtual_kubelet_salad.kube.outcomes import MAX_TEXT_CHARACTERS

SECRET = "hunter2"


@pytest.fixture
def transport(fake_clock: FakeClock) -> ScriptedTransport:
    return ScriptedTransport(fake_clock)


@pytest.fixture
def api(transport: ScriptedTransport, fake_clock: FakeClock) -> ApiServer:
    return ApiServer(transport, clock=fake_clock)


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
