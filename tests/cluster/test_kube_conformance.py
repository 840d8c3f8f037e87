"""Our client and informer against a real API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes.client import Configuration

from tests.support import kube_conformance as conformance
from tests.support.control_plane import ControlPlane
from virtual_kubelet_salad.kube.client import ApiServer, load_configuration


@pytest.fixture
def configuration(control_plane: ControlPlane) -> Configuration:
    return load_configuration(str(control_plane.admin_kubeconfig))


@pytest.fixture
def api(configuration: Configuration) -> Iterator[ApiServer]:
    with conformance.api_server(configuration) as api:
        yield api


def test_the_life_of_a_claim(api: ApiServer, namespace: str) -> None:
    conformance.check_the_life_of_a_claim(api, namespace)


def test_leases(api: ApiServer, namespace: str) -> None:
    conformance.check_leases(api, namespace)


def test_nodes(api: ApiServer) -> None:
    conformance.check_nodes(api)


def test_events(api: ApiServer, namespace: str) -> None:
    conformance.check_events(api, namespace)


def test_the_server_itself(api: ApiServer) -> None:
    conformance.check_the_server_itself(api)


def test_our_own_rights_are_told(api: ApiServer) -> None:
    assert api.self_subject_access_review({"verb": "patch", "resource": "pods", "subresource": "status"})


def test_the_informer_misses_nothing_over_a_restart_of_the_server(
    control_plane: ControlPlane, configuration: Configuration, namespace: str
) -> None:
    conformance.check_that_the_informer_misses_nothing(
        configuration, namespace, control_plane.stop_api_server, control_plane.start_api_server
    )
