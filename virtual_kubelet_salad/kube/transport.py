"""Carries one request to the API server over the official client's connection, and nothing more.

`kubernetes.client.ApiClient` is used without its models: bodies are plain dicts and leave as they are, answers come
back as plain dicts. The library's own retries are off (they would multiply every timeout and sleep uninterruptibly),
every call has a timeout, redirects are not followed.

Each `OfficialTransport` has a connection pool of its own, so that a caller that must not wait for others (the lease)
gets its own instance. It may be used by any number of threads.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Protocol

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException

from virtual_kubelet_salad import __version__, errors
from virtual_kubelet_salad.kube.outcomes import ApiAnswer
from virtual_kubelet_salad.runtime.connections import OpenConnections

# A connection inside a cluster takes milliseconds; a black hole should be told apart from a slow answer.
CONNECT_TIMEOUT_SECONDS = 5.0

JSON = "application/json"

# A response whose body is still to be read.
Stream = urllib3.BaseHTTPResponse

_NO_QUERY: Mapping[str, str] = {}

# urllib3's word for "not one byte of the request was sent".
_NEVER_CONNECTED = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.LocationValueError,
)


class ApiTransport(Protocol):
    """The seam below `ApiServer`: one request, one answer. Safe to call from any thread."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NO_QUERY,
        body: object = None,
        content_type: str | None = None,
        timeout: float,
    ) -> ApiAnswer:
        """Send it once. `path` is quoted already; `timeout` in seconds, for each wait on the connection. Raises
        CouldNotAsk only.
        """
        ...


class OfficialTransport:
    """Implements `ApiTransport` on the official client, with a pool of `pool_size` kept connections."""

    def __init__(self, configuration: Configuration, *, pool_size: int = 4) -> None:
        own = copy.copy(configuration)
        own.retries = False
        own.connection_pool_maxsize = pool_size
        self._refresh_credentials = own.refresh_api_key_hook
        self._connections = OpenConnections()
        self._client = ApiClient(own)
        self._client.user_agent = f"virtual-kubelet-salad/{__version__}"
        self._client.rest_client.pool_manager.pool_classes_by_scheme = self._connections.pool_classes()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NO_QUERY,
        body: object = None,
        content_type: str | None = None,
        timeout: float,
    ) -> ApiAnswer:
        """See `ApiTransport.request`. The timeout holds for connecting and for each read: a server that drips bytes can
        take longer.
        """
        try:
            return self._read(self._send(method, path, query, body, content_type, timeout))
        except _FAILURES as error:
            raise _could_not_ask(error, is_write=method != "GET") from _harmless(error)

    def open_stream(self, path: str, *, query: Mapping[str, str], timeout: float) -> Stream:
        """The unread response to a GET, whatever its status; `timeout` in seconds for each read of the stream. The
        caller reads or closes it.

        Raises CouldNotAsk. Reading the response raises urllib3's errors.
        """
        try:
            return self._send("GET", path, query, None, None, timeout)
        except _FAILURES as error:
            raise _could_not_ask(error, is_write=False) from _harmless(error)

    def read_answer(self, response: Stream) -> ApiAnswer:
        """Read the response of `open_stream` to its end. Raises CouldNotAsk."""
        try:
            return self._read(response)
        except _FAILURES as error:
            raise _could_not_ask(error, is_write=False) from _harmless(error)

    def interrupt(self) -> None:
        """Cut every open connection, so that threads waiting on them fail at once. From any thread; later requests
        connect anew.
        """
        self._connections.shut_down()

    def close(self) -> None:
        """Cut what is open, for good: a request that is still connecting fails as soon as it has connected."""
        self._connections.refuse_more()
        self.interrupt()
        self._client.close()  # type: ignore[no-untyped-call]

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: object, content_type: str | None, timeout: float
    ) -> Stream:
        headers = {"Accept": JSON}
        if body is not None:
            headers["Content-Type"] = content_type or JSON
        request = self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(*request, _request_timeout=(min(CONNECT_TIMEOUT_SECONDS, timeout), timeout))
        response: Stream = answer.response
        return response

    def _read(self, response: Stream) -> ApiAnswer:
        data = response.data
        if response.status == 401:
            self._forget_credentials()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return ApiAnswer(response.status, _json_object(data), headers)

    def _forget_credentials(self) -> None:
        """Let the next request look for new ones."""
        forget = getattr(self._refresh_credentials, "forget", None)
        if forget is not None:
            forget()


# Everything that the official client, urllib3 and the credential hook raise for a request that cannot be sent or whose
# answer cannot be read. ValueError: a token that is no header value.
_FAILURES = (urllib3.exceptions.HTTPError, ApiException, OSError, ValueError)


def _could_not_ask(error: Exception, *, is_write: bool) -> errors.CouldNotAsk:
    was_sent = not isinstance(error, (*_NEVER_CONNECTED, ValueError))
    text = f"the API server could not be asked: {_brief(error)}"
    return errors.CouldNotAsk(text, may_be_applied=is_write and was_sent)


def _harmless(error: Exception) -> Exception | None:
    """The error to chain: not one whose text may quote a credential."""
    return None if isinstance(error, ValueError) else error


def _brief(error: Exception) -> str:
    """The kind of failure and the system's own words for it; never a URL, a header or a body."""
    if isinstance(error, ApiException):
        return "TLS: " + " ".join(str(error.reason).split())[:200]
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(error).__name__}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(data)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
