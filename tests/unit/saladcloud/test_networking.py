from __future__ import annotations

from typing import Any

import pytest

from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.saladcloud import countries, networking
from virtual_kubelet_salad.saladcloud.pod_annotations import COUNTRY_CODES


def gateway(**annotations: str) -> dict[str, Any] | None:
    ports = [{"name": "http", "containerPort": 8000, "protocol": "TCP"}]
    written = {f"salad.com/networking-{name.replace('_', '-')}": value for name, value in annotations.items()}
    return networking.networking(stored_pod(container={"ports": ports}, annotations=written))


def test_ports_alone_open_nothing() -> None:
    assert gateway() is None


def test_a_port_alone_is_enough_and_keeps_strangers_out() -> None:
    assert gateway(port="8080") == {"protocol": "http", "port": 8080, "auth": True}


def test_a_port_may_be_named() -> None:
    assert gateway(port="http", auth="False", protocol="HTTP") == {"protocol": "http", "port": 8000, "auth": False}


def test_every_setting_of_the_gateway_can_be_made() -> None:
    assert gateway(
        port="80",
        load_balancer="least_number_of_connections",
        client_request_timeout="1",
        server_response_timeout="100000",
        single_connection_limit="true",
    ) == {
        "protocol": "http",
        "port": 80,
        "auth": True,
        "load_balancer": "least_number_of_connections",
        "client_request_timeout": 1,
        "server_response_timeout": 100_000,
        "single_connection_limit": True,
    }


@pytest.mark.parametrize(
    "annotations",
    [
        {"auth": "false"},
        {"protocol": "http"},
        {"load_balancer": "round_robin"},
        {"port": "0"},
        {"port": "65536"},
        {"port": "grpc"},
        {"port": "-1"},
        {"port": ""},
        {"port": "9" * 5000},
        {"port": "80", "auth": "flase"},
        {"port": "80", "protocol": "tcp"},
        {"port": "80", "load_balancer": "random"},
        {"port": "80", "client_request_timeout": "0"},
        {"port": "80", "server_response_timeout": "100001"},
        {"port": "80", "server_response_timeout": "9" * 5000},
        {"port": "80", "single_connection_limit": "maybe"},
    ],
)
def test_anything_else_is_refused_by_the_name_of_the_annotation(annotations: dict[str, str]) -> None:
    with pytest.raises(Refused, match="salad.com/networking-"):
        gateway(**annotations)


def places(written: str) -> list[str] | None:
    return countries.country_codes(stored_pod(annotations={COUNTRY_CODES: written}))


def test_there_are_249_countries_norway_among_them() -> None:
    assert len(countries.COUNTRY_CODES) == 249
    assert "no" in countries.COUNTRY_CODES


def test_country_codes_are_trimmed_case_folded_and_sent_once() -> None:
    assert places("us, DE ,no,,us") == ["us", "de", "no"]
    assert countries.country_codes(stored_pod()) is None


def test_every_wrong_country_is_named_and_none_is_dropped() -> None:
    with pytest.raises(Refused) as refusal:
        places("us, uk, de, germany")
    assert '"uk", "germany"' in str(refusal.value)


@pytest.mark.parametrize("written", ["", " ", ","])
def test_an_empty_list_of_countries_is_refused_for_it_would_mean_the_whole_world(written: str) -> None:
    with pytest.raises(Refused):
        places(written)
