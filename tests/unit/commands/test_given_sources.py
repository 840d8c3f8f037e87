"""Where `render` finds Secrets and ConfigMaps, and how it hides their values."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from virtual_kubelet_salad.commands.given_sources import GivenSources, MaskedSources
from virtual_kubelet_salad.commands.manifests import Document
from virtual_kubelet_salad.config_values import SecretValue
from virtual_kubelet_salad.errors import CouldNotAsk, Error, NotFound


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def document(kind: str, name: str, **more: Any) -> Document:
    metadata = {"name": name, **more.pop("metadata", {})}
    return Document("s.yaml", 1, None, {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more})


class FakeCluster:
    """Answers from a dictionary by path, and counts."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        answer = self.answers.get(path, NotFound("it is not there"))
        if isinstance(answer, Error):
            raise answer
        found: dict[str, Any] = answer
        return found


def sources(*documents: Document, cluster: FakeCluster | None = None) -> GivenSources:
    made = GivenSources(cluster)
    problems: list[str] = []
    made.add(documents, "default", problems)
    assert problems == []
    return made


def secret(of: GivenSources | MaskedSources, name: str, namespace: str = "default") -> dict[str, Any]:
    data: dict[str, Any] = of.secret(namespace, name, not_before=0.0)["data"]
    return data


def test_a_secret_is_found_as_the_api_server_would_store_it() -> None:
    given = document("Secret", "db", data={"a": encoded("1"), "b": f"{encoded('2')[:2]}\n{encoded('2')[2:]}\n"},
                     stringData={"a": "plain"}, type="Opaque")  # fmt: skip
    found = sources(given).secret("default", "db", not_before=0.0)
    assert found["data"] == {"a": encoded("plain"), "b": encoded("2")}
    assert found["type"] == "Opaque"


def test_namespaces_are_kept_apart() -> None:
    given = sources(document("Secret", "db", metadata={"namespace": "ml"}, stringData={"a": "1"}))
    assert secret(given, "db", "ml") == {"a": encoded("1")}
    with pytest.raises(NotFound):
        secret(given, "db")


def test_the_command_line_wins_key_by_key_and_makes_secrets() -> None:
    given = sources(document("Secret", "db", stringData={"a": "1", "b": "2"}))
    given.set_values([SecretValue("default", "db", "b", "3"), SecretValue("ml", "new", "c", "")])
    assert secret(given, "db") == {"a": encoded("1"), "b": encoded("3")}
    assert secret(given, "new", "ml") == {"c": ""}


def test_the_cluster_is_asked_once_and_only_for_what_is_not_given() -> None:
    path = "/api/v1/namespaces/default/secrets/db"
    cluster = FakeCluster({path: {"data": {"a": encoded("1")}}})
    given = sources(document("Secret", "other", stringData={"a": "1"}), cluster=cluster)
    given.set_values([SecretValue("default", "db", "b", "2")])
    for _ in range(2):
        assert secret(given, "db") == {"a": encoded("1"), "b": encoded("2")}
        secret(given, "other")
        with pytest.raises(NotFound):
            given.config_map("default", "absent", not_before=0.0)
    assert cluster.asked == [path, "/api/v1/namespaces/default/configmaps/absent"]


def test_could_not_ask_is_not_absent() -> None:
    cluster = FakeCluster({"/api/v1/namespaces/default/secrets/db": CouldNotAsk("it does not answer")})
    given = sources(cluster=cluster)
    given.set_values([SecretValue("default", "db", "b", "2")])
    with pytest.raises(CouldNotAsk):
        secret(given, "db")


def test_pull_secrets_come_from_the_service_account_and_an_unknown_one_has_none() -> None:
    given = sources(document("ServiceAccount", "puller", imagePullSecrets=[{"name": "registry"}]))
    assert given.pull_secrets_of("default", "puller") == [{"name": "registry"}]
    assert given.pull_secrets_of("default", "default") == []


def test_config_maps_are_not_masked_and_secrets_are() -> None:
    data = {"long": "correct horse battery", "short": "abc", "empty": ""}
    given = sources(
        document("Secret", "db", stringData=data, type="Opaque"), document("ConfigMap", "cm", data={"a": "shown"})
    )
    masked = MaskedSources(given)
    assert secret(masked, "db") == {"long": encoded("*" * 8), "short": encoded("*" * 8), "empty": ""}
    shorter = MaskedSources(given, never_lengthens=True)
    assert secret(shorter, "db") == {"long": encoded("*" * 8), "short": encoded("***"), "empty": ""}
    assert masked.secret("default", "db", not_before=0.0)["type"] == "Opaque"
    assert masked.config_map("default", "cm", not_before=0.0)["data"] == {"a": "shown"}


def test_what_is_no_text_stays_what_it_is() -> None:
    binary = base64.b64encode(b"\xff\xfe").decode()
    assert secret(MaskedSources(sources(document("Secret", "db", data={"a": binary}))), "db") == {"a": binary}


def test_faults_are_told_by_key_and_never_by_value() -> None:
    problems: list[str] = []
    GivenSources().add(
        [
            document("Secret", "a", data={"password": "hunter2!"}),
            document("Secret", "b", stringData={"password": 7777}),
            document("ConfigMap", "c", data={"port": 8888}),
            document("Pod", "d", spec=5),
        ],
        "default",
        problems,
    )
    assert problems == [
        "s.yaml, document 1 (Secret a): data.password: must be base64 (plain text goes into stringData)",
        "s.yaml, document 1 (Secret b): stringData.password: must be a string (put it in quotes)",
        "s.yaml, document 1 (ConfigMap c): data.port: must be a string (put it in quotes)",
    ]
