"""The port's application without a port, for the pods of a kubelet on the API server's model."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.kubelet_world import NODE, KubeletWorld
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet_api import resource_metrics
from virtual_kubelet_salad.kubelet_api.application import KubeletApp
from virtual_kubelet_salad.kubelet_api.container_logs import ContainerLogs
from virtual_kubelet_salad.kubelet_api.identity import User
from virtual_kubelet_salad.kubelet_api.measurements import Measurements
from virtual_kubelet_salad.kubelet_api.server import CLIENT

CLUSTER = "cluster"
OWN_METRICS = b"# HELP own The daemon's.\n# TYPE own gauge\nown 1.0\n"


class Answer:
    """What came back; the body is read chunk by chunk."""

    def __init__(self, chunks: Iterable[bytes], code: int, headers: dict[str, str]) -> None:
        self.code = code
        self.headers = headers
        self._chunks = chunks
        self._rest: Iterator[bytes] | None = None

    def next(self) -> bytes:
        """The next chunk."""
        if self._rest is None:
            self._rest = iter(self._chunks)
        return next(self._rest)

    @property
    def body(self) -> bytes:
        """All that is left; closes it, as a server does."""
        try:
            return b"".join(self._rest if self._rest is not None else self._chunks)
        finally:
            self.close()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def close(self) -> None:
        close: Callable[[], None] = getattr(self._chunks, "close", lambda: None)
        close()


class FakeClient:
    """Implements what the application uses of `server.Client`."""

    def __init__(self) -> None:
        self.gone = False
        self.is_trusted = False

    def certificate(self) -> dict[str, Any] | None:
        return None

    def trust(self) -> None:
        self.is_trusted = True

    def is_gone(self) -> bool:
        return self.gone


class Port:
    """Asks the application. `users` maps tokens to users, `rights` users to the paths that they may ask for."""

    def __init__(self, world: KubeletWorld) -> None:
        self.world = world
        self.users = {"good": User("ada"), "poor": User("bob")}
        self.is_active = True
        self.is_stopping = False
        self.late: list[str] = []
        self.observed: list[tuple[str, int]] = []
        self.client = FakeClient()
        self.trouble: errors.Error | None = None
        self.read_pod = world.api.get_pod
        claims = Claims(world.provider, CLUSTER, NODE)
        self.logs = ContainerLogs(
            world.daemon.cache,
            world.provider,
            claims,
            world.clock,
            lambda: self.is_stopping,
            lambda namespace, name: self.read_pod(namespace, name),
        )
        self.app = KubeletApp(
            authenticator=self,  # type: ignore[arg-type]
            authorizer=self,  # type: ignore[arg-type]
            cache=world.daemon.cache,
            logs=self.logs,
            measurements=Measurements(world.daemon.cache, world.provider, claims, world.clock),
            own_metrics=lambda: OWN_METRICS,
            summary=functools.partial(resource_metrics.summary, NODE, world.clock.now()),
            is_active=lambda: self.is_active,
            late_threads=lambda: self.late,
            configuration=lambda: {"kubeletconfig": {}},
            observe=lambda route, code: self.observed.append((route, code)),
        )

    def user(self, certificate: Any, authorization: str) -> User | None:
        if self.trouble is not None:
            raise self.trouble
        return self.users.get(authorization.removeprefix("Bearer "))

    def may(self, user: User, method: str, path: str) -> bool:
        return user.name == "ada"

    def ask(self, path: str, query: str = "", *, method: str = "GET", token: str = "good") -> Answer:
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "HTTP_AUTHORIZATION": f"Bearer {token}",
            CLIENT: self.client,
        }
        begun: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            begun[:] = [int(status.split()[0]), dict(headers)]

        chunks = self.app(environ, start_response)
        return Answer(chunks, *begun)


@pytest.fixture
def world(fake_clock: FakeClock) -> KubeletWorld:
    return KubeletWorld(fake_clock)


@pytest.fixture
def port(world: KubeletWorld) -> Port:
    return Port(world)
