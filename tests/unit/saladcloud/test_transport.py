"""One request to SaladCloud: what is sent, what is repeated, and what an error may say."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest
import requests
import responses
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError

import virtual_kubelet_salad
from tests.support.clock import FakeClock
from virtual_kubelet_salad.errors import CouldNotAsk
from virtual_kubelet_salad.saladcloud.transport import RequestsTransport

BASE = "https://api.example.test/api/public"
KEY = "a-key-that-must-not-show"
TIMEOUT = (1.0, 2.0)


@pytest.fixture
def mocked() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _transport(key: Callable[[], str] = lambda: KEY, may_retry: Callable[[], bool] = lambda: True) -> RequestsTransport:
    return RequestsTransport(BASE, key, may_retry, FakeClock())


def _exhausted(reason: Exception) -> requests.ConnectionError:
    """What requests makes of an error after the last repetition."""
    return requests.ConnectionError(MaxRetryError(None, "", reason))  # type: ignore[arg-type]


def test_the_key_and_our_own_agent_are_sent(mocked: responses.RequestsMock) -> None:
    mocked.get(f"{BASE}/x", json={"a": 1})
    answer = _transport().send("GET", "/x", timeout=TIMEOUT)
    sent = mocked.calls[0].request.headers
    assert sent["Salad-Api-Key"] == KEY
    assert sent["User-Agent"] == f"virtual-kubelet-salad/{virtual_kubelet_salad.__version__}"
    assert (answer.status, answer.body, answer.is_json) == (200, {"a": 1}, True)


def test_the_key_is_read_for_each_request(mocked: responses.RequestsMock) -> None:
    mocked.get(f"{BASE}/x", json={})
    keys = iter(["first", "second"])
    transport = _transport(key=lambda: next(keys))
    for _ in range(2):
        transport.send("GET", "/x", timeout=TIMEOUT)
    assert [call.request.headers["Salad-Api-Key"] for call in mocked.calls] == ["first", "second"]


def test_netrc_is_not_read(
    mocked: responses.RequestsMock, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.example.test login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    mocked.get(f"{BASE}/x", json={})
    _transport().send("GET", "/x", timeout=TIMEOUT)
    assert "Authorization" not in mocked.calls[0].request.headers


def test_a_redirect_is_an_answer_and_not_followed(mocked: responses.RequestsMock) -> None:
    mocked.get(f"{BASE}/x", status=302, headers={"Location": "https://elsewhere.example.test/"})
    assert _transport().send("GET", "/x", timeout=TIMEOUT).status == 302
    assert len(mocked.calls) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_get_is_repeated_twice(mocked: responses.RequestsMock, status: int) -> None:
    mocked.get(f"{BASE}/x", status=status)
    assert _transport().send("GET", "/x", timeout=TIMEOUT).status == status
    assert len(mocked.calls) == 3


@pytest.mark.parametrize("status", [408, 429, 500])
def test_other_statuses_are_not_repeated(mocked: responses.RequestsMock, status: int) -> None:
    mocked.get(f"{BASE}/x", status=status, headers={"Retry-After": "7"})
    answer = _transport().send("GET", "/x", timeout=TIMEOUT)
    assert (answer.status, answer.retry_after, len(mocked.calls)) == (status, 7.0, 1)


def test_a_get_is_not_repeated_without_budget(mocked: responses.RequestsMock) -> None:
    mocked.get(f"{BASE}/x", status=503)
    tokens = [True, False]
    assert _transport(may_retry=lambda: tokens.pop(0)).send("GET", "/x", timeout=TIMEOUT).status == 503
    assert len(mocked.calls) == 2


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_write_is_never_repeated(mocked: responses.RequestsMock, method: str) -> None:
    mocked.add(method, f"{BASE}/x", status=503)
    _transport().send(method, "/x", body={}, timeout=TIMEOUT)
    assert len(mocked.calls) == 1


def test_a_write_whose_connection_fails_is_not_repeated_either() -> None:
    retry = _transport()._new_session().get_adapter("https://x").max_retries
    with pytest.raises(MaxRetryError):
        retry.increment("POST", "/secret-path", error=NewConnectionError(None, "refused"))  # type: ignore[arg-type]
    refused = NewConnectionError(None, "refused")  # type: ignore[arg-type]
    assert retry.increment("GET", "/x", error=refused).connect == 1


@pytest.mark.parametrize(
    ("error", "may_be_applied"),
    [
        (requests.ConnectTimeout(), False),
        (_exhausted(NewConnectionError(None, "")), False),  # type: ignore[arg-type]
        (requests.ReadTimeout(), True),
        (_exhausted(ReadTimeoutError(None, "", "")), True),  # type: ignore[arg-type]
        (requests.ConnectionError(ProtocolError("Connection aborted.")), True),
        (requests.exceptions.ChunkedEncodingError(), True),
    ],
)
def test_a_write_may_be_applied_unless_it_was_never_sent(
    mocked: responses.RequestsMock, error: Exception, may_be_applied: bool
) -> None:
    mocked.post(f"{BASE}/x", body=error)
    with pytest.raises(CouldNotAsk) as caught:
        _transport().send("POST", "/x", body={}, timeout=TIMEOUT)
    assert caught.value.may_be_applied is may_be_applied


def test_a_broken_read_is_never_applied(mocked: responses.RequestsMock) -> None:
    mocked.get(f"{BASE}/x", body=requests.ReadTimeout())
    with pytest.raises(CouldNotAsk) as caught:
        _transport().send("GET", "/x", timeout=TIMEOUT)
    assert caught.value.may_be_applied is False


def test_an_error_shows_neither_key_nor_path_nor_body(mocked: responses.RequestsMock) -> None:
    def fail(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        raise requests.ConnectionError(f"broken {request.url} {request.headers} {request.body!r}", request=request)

    mocked.add_callback("POST", f"{BASE}/hidden-path", fail)
    with pytest.raises(CouldNotAsk) as caught:
        _transport().send("POST", "/hidden-path", body={"token": "hidden-value"}, timeout=TIMEOUT)
    error = caught.value
    assert error.__cause__ is None and error.__context__ is None
    shown = str(error) + repr(error) + repr(vars(error))
    for hidden in (KEY, "hidden-path", "hidden-value", "example.test"):
        assert hidden not in shown


def test_what_is_not_json_has_no_body(mocked: responses.RequestsMock) -> None:
    mocked.get(f"{BASE}/page", body="<html>", content_type="text/html")
    mocked.get(f"{BASE}/torn", body='{"items":[', content_type="application/json")
    for path in ("/page", "/torn"):
        assert _transport().send("GET", path, timeout=TIMEOUT).body is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("999999999", 300.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(
    mocked: responses.RequestsMock, text: str, seconds: float | None
) -> None:
    mocked.get(f"{BASE}/x", status=429, headers={"Retry-After": text})
    assert _transport().send("GET", "/x", timeout=TIMEOUT).retry_after == seconds


def test_the_key_is_sent_unencrypted_to_nobody_but_this_machine() -> None:
    with pytest.raises(ValueError, match="https"):
        RequestsTransport("http://api.example.test", lambda: KEY, lambda: True, FakeClock())
    for local in ("http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"):
        RequestsTransport(local, lambda: KEY, lambda: True, FakeClock())


def test_bodies_are_sent_as_their_content_type(mocked: responses.RequestsMock) -> None:
    mocked.patch(f"{BASE}/x", json={})
    _transport().send("PATCH", "/x", body={"a": None}, content_type="application/merge-patch+json", timeout=TIMEOUT)
    request = mocked.calls[0].request
    assert (request.headers["Content-Type"], request.body) == ("application/merge-patch+json", b'{"a":null}')


def test_proxy_variables_are_honored(monkeypatch: pytest.MonkeyPatch, mocked: responses.RequestsMock) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.test:3128")
    seen: list[object] = []

    def look(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        seen.append(request.req_kwargs["proxies"]["https"])  # type: ignore[attr-defined]
        return 200, {}, "{}"

    mocked.add_callback("GET", f"{BASE}/x", look)
    _transport().send("GET", "/x", timeout=TIMEOUT)
    assert seen == ["http://proxy.example.test:3128"]


def test_a_refusal_that_repeats_the_key_comes_without_it(mocked: responses.RequestsMock) -> None:
    body = {"title": f"the key {KEY} is not known", KEY: [{"a": KEY[:-2]}, 5]}
    mocked.get(f"{BASE}/x", json=body, status=401)
    answer = _transport().send("GET", "/x", timeout=TIMEOUT)
    assert answer.body == {"title": "the key … is not known", "…": [{"a": "…"}, 5]}
