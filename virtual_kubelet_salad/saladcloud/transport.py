"""Sends one request to SaladCloud and returns its answer, or says that there is none.

Guarantees: the API key is read anew for each request, goes to the configured host only (no redirect is followed, no
netrc is read) and appears in no error and in no refusal's body; no error carries a request, a URL or a body. Only GETs
are repeated, at most twice, and only if the request budget allows it. Safe to call from any thread: each has its own
session. Does not look at what an answer means.
"""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import http.cookiejar
import json
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any, Protocol

import requests
import requests.adapters
import requests.auth
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ResponseError
from urllib3.exceptions import TimeoutError as PoolTimeoutError
from urllib3.util.retry import Retry

from virtual_kubelet_salad import __version__
from virtual_kubelet_salad.errors import CouldNotAsk
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.connections import OpenConnections
from virtual_kubelet_salad.saladcloud import secret_texts

USER_AGENT = f"virtual-kubelet-salad/{__version__}"
API_KEY_HEADER = "Salad-Api-Key"
# Nobody waits longer than this because a server says so.
GREATEST_RETRY_AFTER_SECONDS = 300.0

_RETRIES = 2
_RETRIED_STATUSES = frozenset({502, 503, 504})
_BACKOFF_FACTOR_SECONDS = 0.25
_GREATEST_BACKOFF_SECONDS = 1.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    content_type: str
    body: Any = dataclasses.field(default=None, repr=False)
    """Decoded JSON; None for everything else."""
    retry_after: float | None = None
    """Seconds."""
    date: datetime.datetime | None = None
    """When the server gave it, by its own clock; None when it does not say."""

    @property
    def is_json(self) -> bool:
        return "json" in self.content_type.lower()


class Transport(Protocol):
    """Where requests go."""

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str | None = None,
        timeout: tuple[float, float],
    ) -> Answer:
        """The answer to a request; `path` is below the API's base URL, `timeout` is for connecting and for reading, in
        seconds. Raises `CouldNotAsk`.
        """
        ...

    def cut(self, thread_id: int) -> None:
        """Lets the call that this thread waits in, if any, fail at once; its next one connects anew."""
        ...

    def close(self) -> None:
        """Lets calls under way fail at once, and sends nothing any more."""
        ...


class RequestsTransport:
    """Over HTTP(S). `may_retry` is asked before a GET is sent once more."""

    def __init__(self, base_url: str, key: Callable[[], str], may_retry: Callable[[], bool], clock: Clock) -> None:
        """`ValueError` for a URL that would send the key unencrypted to another machine."""
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("the URL of SaladCloud's API must begin with https://")
        self._base_url = base_url.rstrip("/")
        self._key = _KeyHeader(key)
        self._may_retry = may_retry
        self._clock = clock
        self._connections = OpenConnections()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._sessions: list[requests.Session] = []

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str | None = None,
        timeout: tuple[float, float],
    ) -> Answer:
        if self._connections.is_closed:
            raise CouldNotAsk("SaladCloud is not asked any more: the daemon stops")
        headers = {"Content-Type": content_type or "application/json"} if body is not None else {}
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        failure: CouldNotAsk
        try:
            response = self._session().request(
                method, self._base_url + path, data=data, headers=headers, timeout=timeout, allow_redirects=False
            )
            return self._answer(response)
        except (requests.RequestException, UnicodeError) as error:
            failure = _failure(error, is_write=method != "GET")
        # Raised outside of the handler: the transport's exception holds the request and with it the key.
        raise failure

    def cut(self, thread_id: int) -> None:
        """A call that only begins to connect is not reached; whoever means it cuts again."""
        self._connections.shut_down(thread_id)

    def close(self) -> None:
        """Cuts all connections for good: calls under way fail at once, later ones are not sent. May be called again."""
        self._connections.refuse_more()
        self._connections.shut_down()
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._new_session()
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        # An auth of its own keeps requests from reading netrc, while proxy variables are honored.
        session.auth = self._key
        session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
        session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        retry = BudgetedRetry(
            total=_RETRIES,
            connect=_RETRIES,
            read=_RETRIES,
            status=_RETRIES,
            redirect=0,
            other=0,
            allowed_methods=frozenset({"GET"}),
            status_forcelist=_RETRIED_STATUSES,
            backoff_factor=_BACKOFF_FACTOR_SECONDS,
            backoff_max=_GREATEST_BACKOFF_SECONDS,
            respect_retry_after_header=False,
            raise_on_status=False,
            may_retry=lambda: not self._connections.is_closed and self._may_retry(),
        )
        adapter = _CuttableAdapter(self._connections, retry)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _answer(self, response: requests.Response) -> Answer:
        content_type = response.headers.get("Content-Type", "")
        body = None
        if "json" in content_type.lower() and response.content:
            try:
                body = json.loads(response.content)
            except ValueError:
                body = None
            if response.status_code >= 400:
                # A refusal may repeat what was sent.
                body = secret_texts.without_in(body, (str(response.request.headers.get(API_KEY_HEADER, "")),))
        headers = response.headers
        retry_after = self._retry_after(headers.get("Retry-After"))
        return Answer(response.status_code, content_type, body, retry_after, _date(headers.get("Date")))

    def _retry_after(self, text: str | None) -> float | None:
        if text is None:
            return None
        if text.strip().isascii() and text.strip().isdigit():
            seconds = float(text)
        else:
            date = _date(text)
            if date is None:
                return None
            seconds = (date - self._clock.now()).total_seconds()
        return min(max(seconds, 0.0), GREATEST_RETRY_AFTER_SECONDS)


class _CuttableAdapter(requests.adapters.HTTPAdapter):
    """One kept connection per host, known to `connections` from its begin; through a proxy too."""

    def __init__(self, connections: OpenConnections, retry: Retry) -> None:
        self._connections = connections
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=retry)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._connections.pool_classes()

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._connections.pool_classes()
        return manager


class BudgetedRetry(Retry):
    """Repeats GETs only, and only while there is budget."""

    def __init__(self, *args: Any, may_retry: Callable[[], bool], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._may_retry = may_retry

    def new(self, **kwargs: Any) -> BudgetedRetry:
        return super().new(may_retry=self._may_retry, **kwargs)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> BudgetedRetry:
        if method != "GET" or not self._may_retry():
            # The message must hold no URL: the path of a request is nobody's business who reads an error.
            reason = error or ResponseError("not repeated")
            raise MaxRetryError(kwargs.get("_pool"), "", reason)  # type: ignore[arg-type]
        return super().increment(method, url, response, error, *args, **kwargs)


def _date(text: str | None) -> datetime.datetime | None:
    """An HTTP date, aware; None for anything else."""
    try:
        date = email.utils.parsedate_to_datetime(text or "")
    except (ValueError, TypeError):
        return None
    return date if date.tzinfo is not None else None


class _KeyHeader(requests.auth.AuthBase):
    """Puts the present key into a request."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers[API_KEY_HEADER] = self._key()
        return request


def _failure(error: Exception, *, is_write: bool) -> CouldNotAsk:
    never_sent = _was_never_sent(error)
    if _has_reason(error, NewConnectionError):
        text = "no connection to SaladCloud"
    elif isinstance(error, requests.Timeout) or _has_reason(error, PoolTimeoutError):
        text = "SaladCloud did not answer in time"
    elif isinstance(error, requests.exceptions.SSLError):
        text = "SaladCloud's certificate was not accepted"
    elif isinstance(error, requests.exceptions.ProxyError):
        text = "the proxy to SaladCloud cannot be used"
    else:
        text = "the connection to SaladCloud broke"
    return CouldNotAsk(text, may_be_applied=is_write and not never_sent)


def _was_never_sent(error: Exception) -> bool:
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader)):
        return True
    return _has_reason(error, NewConnectionError) or _has_reason(error, ConnectTimeoutError)


def _has_reason(error: Exception, kind: type[Exception]) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(cause, kind) or isinstance(getattr(cause, "reason", None), kind)
