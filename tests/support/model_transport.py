"""The API server's model as a transport: requests without sockets, with faults on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.outcomes import ApiAnswer
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel


class ModelTransport:
    """Implements `kube.transport.ApiTransport`.

    `before` may raise instead of the request, `after` instead of the answer: the request was applied then.
    """

    def __init__(self, model: ApiServerModel) -> None:
        self.model = model
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self.requests = 0

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
        self.requests += 1
        self.before(method, path)
        answer = self.model.handle(method, path, query, body, content_type)
        self.after(method, path)
        return ApiAnswer(answer.status, answer.body, {})


def lost_answer() -> errors.CouldNotAsk:
    """What a client sees when the connection breaks after the request was sent."""
    return errors.CouldNotAsk("the connection was cut", may_be_applied=True)
