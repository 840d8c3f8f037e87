"""A transport to the API server that gives prepared answers, and keeps what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.clock import FakeClock
from virtual_kubelet_salad.kube.client import ApiAnswer

CALL_SECONDS = 0.25


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: Any
    content_type: str | None
    timeout: float


class ScriptedTransport:
    """Gives its `answer`, or raises it, after CALL_SECONDS."""

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
        self._clock.advance(CALL_SECONDS)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def refusal(
    code: int, message: str = "as scripted", *, causes: Sequence[object] | None = None, **status: Any
) -> ApiAnswer:
    """An error in the API server's own words."""
    body = {"kind": "Status", "code": code, "message": message, "details": {"causes": causes}, **status}
    return ApiAnswer(code, body)
