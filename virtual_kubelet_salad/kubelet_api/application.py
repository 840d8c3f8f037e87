"""The port's WSGI application: who asks, whether they may, and which answer it is.

The same path that is judged is the path that is served: nothing is decoded, joined or tidied in between. An error has
the form whose words kubectl prints. Any number of threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kubelet_api import answers, cadvisor_metrics, pod_lists, resource_metrics
from virtual_kubelet_salad.kubelet_api.answers import Answered
from virtual_kubelet_salad.kubelet_api.container_logs import ContainerLogs
from virtual_kubelet_salad.kubelet_api.identity import Authenticator
from virtual_kubelet_salad.kubelet_api.measurements import Measured, Measurements, NodeUsage
from virtual_kubelet_salad.kubelet_api.rights import Authorizer, subresources, verb
from virtual_kubelet_salad.kubelet_api.server import CLIENT, Client

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

# For the log and the metrics; the rest of a path names pods.
ROUTES = (
    "containerLogs", "metrics", "stats", "pods", "runningpods", "healthz", "configz", "exec", "attach", "portForward",
)  # fmt: skip
OTHER_ROUTE = "other"

_NO_WAY_IN = "its cloud's API offers no way into a running container; the cloud's portal has a terminal"
_NOT_POSSIBLE = {
    "exec": f"kubectl exec and cp are not possible on this node: {_NO_WAY_IN}",
    "attach": f"kubectl attach is not possible on this node: {_NO_WAY_IN}",
    "portForward": "kubectl port-forward is not possible on this node: the only way in is its cloud's gateway, which "
    "annotations of the pod open",
}

Summary = Callable[[Sequence[Measured], NodeUsage | None], dict[str, Any]]
Observer = Callable[[str, int], None]
"""Told of each answer: route and status."""


class KubeletApp:
    """Implements WSGI."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        authorizer: Authorizer,
        cache: PodCache,
        logs: ContainerLogs,
        measurements: Measurements,
        own_metrics: Callable[[], bytes],
        summary: Summary,
        is_active: Callable[[], bool],
        late_threads: Callable[[], Sequence[str]],
        configuration: Callable[[], dict[str, object]],
        observe: Observer = lambda route, code: None,
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._cache = cache
        self._logs = logs
        self._measurements = measurements
        self._own_metrics = own_metrics
        self._summary = summary
        self._is_active = is_active
        self._late_threads = late_threads
        self._configuration = configuration
        self._observe = observe

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        route = route_of(path)
        try:
            answer = self._answer(environ, path, start_response)
        except Answered as error:
            self._observe(route, error.code)
            return _error(route, start_response, error)
        except ConnectionError:
            raise
        except Exception:
            log.exception("a request of the kubelet API failed route=%s", route)
            self._observe(route, 500)
            return _error(route, start_response, Answered(500, "InternalError", "failed; the log of the node says why"))
        self._observe(route, 200)
        return answer

    def _answer(self, environ: WSGIEnvironment, path: str, start_response: StartResponse) -> Iterable[bytes]:
        if not self._is_active():
            raise Answered(503, "ServiceUnavailable", "this replica stands by; another one is the node")
        client: Client = environ[CLIENT]
        self._check_rights(environ, path, client)
        client.trust()
        method = environ["REQUEST_METHOD"]
        steps = path.strip("/").split("/")
        if steps[0] in _NOT_POSSIBLE:
            raise Answered(501, "NotImplemented", _NOT_POSSIBLE[steps[0]])
        if method != "GET":
            raise Answered(405, "MethodNotAllowed", "only GET", {"Allow": "GET"})
        match steps:
            case ["containerLogs", namespace, pod, container]:
                return self._logs.answer(namespace, pod, container, environ["QUERY_STRING"], client, start_response)
            # Prometheus asks every node for `/metrics` and what is below it; a 404 is a kubelet that is down to it.
            case ["metrics", "resource"]:
                return _exposed(start_response, resource_metrics.exposition(*self._measurements.read()))
            case ["metrics"]:
                return _exposed(start_response, self._own_metrics())
            case ["metrics", "cadvisor"]:
                measured, _ = self._measurements.read()
                return _exposed(start_response, cadvisor_metrics.exposition(measured))
            case ["metrics", "probes"]:
                # The cloud makes the probes, and does not count them.
                return _exposed(start_response, b"")
            case ["stats", "summary"]:
                return answers.json_object(start_response, self._summary(*self._measurements.read()))
            case ["pods"]:
                return answers.json_object(start_response, pod_lists.pod_list(self._cache.all()))
            case ["runningpods"]:
                return answers.json_object(start_response, pod_lists.running_pods(self._cache.all()))
            case ["configz"]:
                return answers.json_object(start_response, self._configuration())
            case ["healthz"]:
                late = self._late_threads()
                return answers.text(start_response, 500 if late else 200, "\n".join(late) or "ok")
        raise Answered(404, "NotFound", "there is no such path")

    def _check_rights(self, environ: WSGIEnvironment, path: str, client: Client) -> None:
        method = environ["REQUEST_METHOD"]
        try:
            user = self._authenticator.user(client.certificate(), environ.get("HTTP_AUTHORIZATION", ""))
            if user is None:
                raise Answered(401, "Unauthorized", "Unauthorized", {"WWW-Authenticate": "Bearer"})
            if not self._authorizer.may(user, method, path):
                asked = f"verb={verb(method)}, resource=nodes, subresource={','.join(subresources(path))}"
                raise Answered(403, "Forbidden", f"Forbidden (user={user.name}, {asked})")
        except errors.Error as error:
            log.warning("rights could not be checked reason=%s", error)
            raise Answered(503, "ServiceUnavailable", f"rights cannot be checked now: {error}") from error


def _exposed(start_response: StartResponse, content: bytes) -> Iterable[bytes]:
    return answers.text(start_response, 200, content.decode(), resource_metrics.CONTENT_TYPE)


def _error(route: str, start_response: StartResponse, error: Answered) -> Iterable[bytes]:
    form = answers.plain_error if route == "containerLogs" else answers.status_error
    return form(start_response, error)


def route_of(path: str) -> str:
    """The first step of a path, if it is one of ours."""
    first = path.strip("/").partition("/")[0]
    return first if first in ROUTES else OTHER_ROUTE
