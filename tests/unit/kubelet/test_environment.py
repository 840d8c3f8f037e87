"""The environment of a container: the kubelet's order and precedence, and what is said when a source is missing."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet import environment
from virtual_kubelet_salad.kubelet.environment import Environment, SourcesMissing
from virtual_kubelet_salad.kubelet.provider import Notice


class Cluster:
    """Secrets and ConfigMaps of one namespace, and who asked for what."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any] | errors.Error] = {}
        self.config_maps: dict[str, dict[str, Any] | errors.Error] = {}
        self.reads: list[str] = []

    def add_secret(self, name: str, **values: str | bytes) -> None:
        encoded = {key: value if isinstance(value, bytes) else value.encode() for key, value in values.items()}
        self.secrets[name] = {"data": {key: base64.b64encode(value).decode() for key, value in encoded.items()}}

    def add_config_map(self, name: str, **values: str) -> None:
        self.config_maps[name] = {"data": values}

    def read_secret(self, name: str) -> Mapping[str, Any]:
        return self._read("secret", self.secrets, name)

    def read_config_map(self, name: str) -> Mapping[str, Any]:
        return self._read("config map", self.config_maps, name)

    def _read(self, kind: str, objects: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        self.reads.append(f"{kind} {name}")
        found = objects.get(name, errors.NotFound("not found"))
        if isinstance(found, errors.Error):
            raise found
        answer: Mapping[str, Any] = found
        return answer

    def resolve(
        self, *, env: list[Any] | None = None, env_from: list[Any] | None = None, leaves_out_the_refused: bool = False
    ) -> Environment:
        container = {"name": "main", "env": env, "envFrom": env_from}
        pod = {
            "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "annotations": {"note": "$(A)"}},
            "spec": {"containers": [container], "nodeName": "saladcloud-node", "serviceAccountName": "default"},
        }
        return environment.resolve(
            pod,
            read_secret=self.read_secret,
            read_config_map=self.read_config_map,
            node_name="saladcloud-node",
            host_ip="10.0.0.7",
            leaves_out_the_refused=leaves_out_the_refused,
        )


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def secret_key(name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key, **more}}


def config_key(name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"configMapKeyRef": {"name": name, "key": key, **more}}


def reasons(notices: tuple[Notice, ...]) -> list[str]:
    assert all(notice.type == "Warning" for notice in notices)
    return [notice.reason for notice in notices]


# Order, precedence, expansion


def test_no_environment_is_empty_and_reads_nothing(cluster: Cluster) -> None:
    assert cluster.resolve() == Environment(())
    assert cluster.reads == []


def test_plain_variables_keep_their_order(cluster: Cluster) -> None:
    resolved = cluster.resolve(env=[{"name": "B", "value": "1"}, {"name": "A", "value": "2"}, {"name": "C"}])
    assert resolved.variables == (("B", "1"), ("A", "2"), ("C", ""))


def test_of_two_variables_of_one_name_the_later_counts(cluster: Cluster) -> None:
    resolved = cluster.resolve(
        env=[{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}, {"name": "A", "value": "2"}]
    )
    assert dict(resolved.variables) == {"A": "2", "B": "1"}


def test_values_come_from_secrets_and_config_maps(cluster: Cluster) -> None:
    cluster.add_secret("s", token="t0ken")
    cluster.add_config_map("c", color="blue")
    resolved = cluster.resolve(
        env=[
            {"name": "TOKEN", "valueFrom": secret_key("s", "token")},
            {"name": "COLOR", "valueFrom": config_key("c", "color")},
        ]
    )
    assert resolved == Environment((("TOKEN", "t0ken"), ("COLOR", "blue")))


def test_env_goes_over_env_from_and_later_sources_over_earlier_ones(cluster: Cluster) -> None:
    cluster.add_config_map("c", A="config", B="config", C="config")
    cluster.add_secret("s", B="secret", C="secret")
    resolved = cluster.resolve(
        env=[{"name": "C", "value": "env"}],
        env_from=[{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}],
    )
    assert dict(resolved.variables) == {"A": "config", "B": "secret", "C": "env"}


def test_the_prefix_is_put_before_every_key(cluster: Cluster) -> None:
    cluster.add_config_map("c", **{"A": "1", "0": "2"})
    resolved = cluster.resolve(env_from=[{"prefix": "P_", "configMapRef": {"name": "c"}}])
    assert dict(resolved.variables) == {"P_A": "1", "P_0": "2"}


def test_the_order_of_a_sources_keys_is_always_the_same(cluster: Cluster) -> None:
    cluster.add_config_map("c", B="2", C="3", A="1")
    resolved = cluster.resolve(env_from=[{"configMapRef": {"name": "c"}}])
    assert [name for name, _ in resolved.variables] == ["A", "B", "C"]


def test_keys_that_are_no_variable_names_are_skipped_with_one_notice(cluster: Cluster) -> None:
    keys = {"b c": "secret-value", "1a": "x", "..": "x", "ok.key-1": "y", "": "z", ".": "x", "..a": "x", "a=b": "x"}
    cluster.config_maps["c"] = {"data": keys}
    resolved = cluster.resolve(env_from=[{"configMapRef": {"name": "c"}}])
    assert resolved.variables == (("ok.key-1", "y"),)
    (notice,) = resolved.notices
    assert notice.reason == "InvalidEnvironmentVariableNames"
    assert "1a" in notice.message and "b c" in notice.message and "ConfigMap shop/c" in notice.message
    assert "secret-value" not in notice.message


def test_references_see_env_from_and_the_variables_before(cluster: Cluster) -> None:
    cluster.add_config_map("c", HOST="db")
    resolved = cluster.resolve(
        env=[
            {"name": "EARLY", "value": "$(LATE)"},
            {"name": "URL", "value": "http://$(HOST):$(PORT)/$(NODE)"},
            {"name": "PORT", "value": "80"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "LATE", "value": "$(PORT)-$(NODE)-$$(PORT)"},
        ],
        env_from=[{"configMapRef": {"name": "c"}}],
    )
    assert dict(resolved.variables) == {
        "HOST": "db",
        "EARLY": "$(LATE)",
        "URL": "http://db:$(PORT)/$(NODE)",
        "PORT": "80",
        "NODE": "saladcloud-node",
        "LATE": "80-saladcloud-node-$(PORT)",
    }


def test_what_comes_from_a_source_is_not_expanded(cluster: Cluster) -> None:
    cluster.add_secret("s", a="$(A) $$")
    cluster.add_config_map("c", B="$(A) $$")
    resolved = cluster.resolve(
        env=[
            {"name": "A", "value": "x"},
            {"name": "S", "valueFrom": secret_key("s", "a")},
            {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['note']"}}},
        ],
        env_from=[{"configMapRef": {"name": "c"}}],
    )
    assert dict(resolved.variables) == {"B": "$(A) $$", "A": "x", "S": "$(A) $$", "N": "$(A)"}


# Sources


def test_each_source_is_read_once(cluster: Cluster) -> None:
    cluster.add_secret("s", a="1", b="2")
    cluster.resolve(
        env=[{"name": "A", "valueFrom": secret_key("s", "a")}, {"name": "B", "valueFrom": secret_key("s", "b")}],
        env_from=[{"secretRef": {"name": "s"}}],
    )
    assert cluster.reads == ["secret s"]


def test_binary_data_of_a_config_map_does_not_count(cluster: Cluster) -> None:
    cluster.config_maps["c"] = {"data": {"A": "1"}, "binaryData": {"B": "Ag=="}}
    assert cluster.resolve(env_from=[{"configMapRef": {"name": "c"}}]).variables == (("A", "1"),)
    with pytest.raises(SourcesMissing) as caught:
        cluster.resolve(env=[{"name": "B", "valueFrom": config_key("c", "B")}])
    assert str(caught.value) == "couldn't find key B in ConfigMap shop/c"


def test_a_source_without_data_or_with_empty_values_is_there(cluster: Cluster) -> None:
    cluster.secrets["s"] = {"data": {"A": "", "B": None}}
    cluster.config_maps["c"] = {}
    resolved = cluster.resolve(env_from=[{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}}])
    assert resolved == Environment((("A", ""), ("B", "")))


@pytest.mark.parametrize(
    ("env", "env_from", "message", "reason"),
    [
        (secret_key("s", "a"), None, "Secret shop/s not found", "MandatorySecretNotFound"),
        (config_key("c", "a"), None, "ConfigMap shop/c not found", "MandatoryConfigMapNotFound"),
        (secret_key("some", "a"), None, "couldn't find key a in Secret shop/some", "MandatorySecretKeyNotFound"),
        (config_key("some", "a"), None, "couldn't find key a in ConfigMap shop/some", "MandatoryConfigMapKeyNotFound"),
        (None, {"secretRef": {"name": "s"}}, "Secret shop/s not found", "MandatorySecretNotFound"),
        (
            None,
            {"configMapRef": {"name": "c", "optional": False}},
            "ConfigMap shop/c not found",
            "MandatoryConfigMapNotFound",
        ),
    ],
)
def test_a_missing_mandatory_source_blocks_the_pod(
    cluster: Cluster, env: Any, env_from: Any, message: str, reason: str
) -> None:
    cluster.add_secret("some", other="x")
    cluster.add_config_map("some", other="x")
    with pytest.raises(SourcesMissing) as caught:
        cluster.resolve(env=[{"name": "A", "valueFrom": env}] if env else [], env_from=[env_from] if env_from else [])
    assert caught.value.reason == "CreateContainerConfigError"
    assert caught.value.retry_after is not None and caught.value.retry_after < 15
    assert str(caught.value) == message
    assert caught.value.notices == (Notice("Warning", reason, message),)


@pytest.mark.parametrize(
    ("env", "env_from", "reason"),
    [
        (secret_key("s", "a", optional=True), None, "OptionalSecretNotFound"),
        (config_key("c", "a", optional=True), None, "OptionalConfigMapNotFound"),
        (secret_key("some", "a", optional=True), None, "OptionalSecretKeyNotFound"),
        (config_key("some", "a", optional=True), None, "OptionalConfigMapKeyNotFound"),
        (None, {"secretRef": {"name": "s", "optional": True}}, "OptionalSecretNotFound"),
        (None, {"configMapRef": {"name": "c", "optional": True}}, "OptionalConfigMapNotFound"),
    ],
)
def test_a_missing_optional_source_is_left_out_with_a_notice(
    cluster: Cluster, env: Any, env_from: Any, reason: str
) -> None:
    cluster.add_secret("some", other="x")
    cluster.add_config_map("some", other="x")
    variables = [{"name": "A", "valueFrom": env}] if env else []
    resolved = cluster.resolve(env=[*variables, {"name": "Z", "value": "z"}], env_from=[env_from] if env_from else [])
    assert resolved.variables == (("Z", "z"),)
    assert reasons(resolved.notices) == [reason]


def test_a_missing_optional_key_leaves_what_env_from_said(cluster: Cluster) -> None:
    cluster.add_config_map("c", A="from")
    resolved = cluster.resolve(
        env=[{"name": "A", "valueFrom": secret_key("s", "a", optional=True)}],
        env_from=[{"configMapRef": {"name": "c"}}],
    )
    assert resolved.variables == (("A", "from"),)


def test_everything_that_is_missing_is_named_at_once_and_only_once(cluster: Cluster) -> None:
    with pytest.raises(SourcesMissing) as caught:
        cluster.resolve(
            env=[
                {"name": "A", "valueFrom": secret_key("s", "a")},
                {"name": "B", "valueFrom": secret_key("s", "b")},
                {"name": "C", "valueFrom": config_key("c", "c")},
            ],
            env_from=[{"configMapRef": {"name": "o", "optional": True}}],
        )
    assert str(caught.value) == "Secret shop/s not found; ConfigMap shop/c not found"
    assert reasons(caught.value.notices) == [
        "OptionalConfigMapNotFound",
        "MandatorySecretNotFound",
        "MandatoryConfigMapNotFound",
    ]


@pytest.mark.parametrize("optional", [False, True])
def test_a_source_that_may_not_be_read_blocks_even_if_it_is_optional(cluster: Cluster, optional: bool) -> None:
    cluster.secrets["s"] = errors.Forbidden("no right to get secrets")
    with pytest.raises(SourcesMissing) as caught:
        cluster.resolve(env=[{"name": "A", "valueFrom": secret_key("s", "a", optional=optional)}])
    assert reasons(caught.value.notices) == [f"FailedToRead{'Optional' if optional else 'Mandatory'}Secret"]


@pytest.mark.parametrize("optional", [False, True])
def test_a_source_that_could_not_be_asked_for_is_not_missing(cluster: Cluster, optional: bool) -> None:
    cluster.config_maps["c"] = errors.CouldNotAsk("timeout")
    with pytest.raises(errors.CouldNotAsk):
        cluster.resolve(env_from=[{"configMapRef": {"name": "c", "optional": optional}}])


def test_a_value_that_is_not_text_blocks_the_pod(cluster: Cluster) -> None:
    cluster.add_secret("s", key=b"\xff\xfe")
    with pytest.raises(SourcesMissing) as caught:
        cluster.resolve(env_from=[{"secretRef": {"name": "s"}}])
    assert "key key of Secret shop/s is not text" in str(caught.value)
    assert "xff" not in str(caught.value)


# Refusals


def test_refusals_are_decided_before_anything_is_read(cluster: Cluster) -> None:
    with pytest.raises(errors.Refused) as caught:
        cluster.resolve(
            env=[
                {"name": "KEY", "valueFrom": secret_key("absent", "a")},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "FILE", "valueFrom": {"fileKeyRef": {"path": "x"}}},
            ],
            env_from=[{"prefix": "X"}],
        )
    assert cluster.reads == []
    assert caught.value.reason == "UnsupportedFieldRef"
    assert all(word in str(caught.value) for word in ("variable IP", "variable FILE", "fileKeyRef", "envFrom"))


def test_an_author_may_run_without_the_variables_that_can_never_be_had(cluster: Cluster) -> None:
    env = [
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "FILE", "valueFrom": {"fileKeyRef": {"path": "x"}}},
        {"name": "KEPT", "value": "$(IP)"},
    ]
    resolved = cluster.resolve(env=env, env_from=[{"prefix": "X"}], leaves_out_the_refused=True)
    assert resolved.variables == (("KEPT", "$(IP)"),)


def test_refusals_can_be_listed_from_the_pod_alone() -> None:
    pod = {"spec": {"containers": [{"env": [{"name": "F", "valueFrom": {"newKindRef": {}, "other": {}}}]}]}}
    (notice,) = environment.refusals(pod)
    assert notice.reason == "UnsupportedEnvSource"
    assert environment.refusals({"spec": {"containers": [{}]}}) == []


# Secrecy


def test_values_are_in_no_repr_and_no_text(cluster: Cluster) -> None:
    cluster.add_secret("s", token="hunter2", **{"1bad": "hunter2"})
    resolved = cluster.resolve(
        env=[{"name": "B", "value": "hunter2"}, {"name": "O", "valueFrom": secret_key("s", "no", optional=True)}],
        env_from=[{"secretRef": {"name": "s"}}],
    )
    assert dict(resolved.variables)["token"] == "hunter2"
    assert "hunter2" not in repr(resolved)
    with pytest.raises(SourcesMissing) as caught:
        cluster.resolve(
            env=[{"name": "A", "valueFrom": secret_key("s", "no")}], env_from=[{"secretRef": {"name": "s"}}]
        )
    assert "hunter2" not in repr(caught.value) + str(caught.value) + repr(caught.value.notices)
