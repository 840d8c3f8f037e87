"""Our client and informer against the minimal API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes.client import Configuration

from tests.support import kube_conformance as conformance
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox import api_http
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel

NAMESPACE = "default"


@pytest.fixture
def server() -> Iterator[api_http.ApiServer]:
    server = api_http.ApiServer(ApiServerModel(SystemClock()))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(server: api_http.ApiServer) -> Iterator[ApiServer]:
    with conformance.api_server(Configuration(host=server.url)) as client:
        yield client


def test_the_life_of_a_claim(client: ApiServer) -> None:
    conformance.check_the_life_of_a_claim(client, NAMESPACE)


def test_leases(client: ApiServer) -> None:
    conformance.check_leases(client, NAMESPACE)


def test_nodes(client: ApiServer) -> None:
    conformance.check_nodes(client)


def test_events(client: ApiServer) -> None:
    conformance.check_events(client, NAMESPACE)


def test_the_server_itself(client: ApiServer) -> None:
    conformance.check_the_server_itself(client)


def test_the_informer_misses_nothing(server: api_http.ApiServer) -> None:
    conformance.check_that_the_informer_misses_nothing(
        Configuration(host=server.url), NAMESPACE, server.down, server.up
    )
