"""The way of a pod to its plan: what is refused before anything is read, what is read, and what is said when it is not
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.gpu_catalog import FixedCatalog
from tests.support.pod_requests import NODE_NAME, SETTINGS, owner_of
from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Forbidden, NotFound, Refused
from virtual_kubelet_salad.kubelet.environment import SourcesMissing
from virtual_kubelet_salad.kubelet.planning import Planner
from virtual_kubelet_salad.saladcloud.translation import Translation


class Reader:
    """Secrets by name; a name without one is missing, one that begins with `closed` may not be read."""

    def __init__(self, **secrets: dict[str, Any]) -> None:
        self.secrets = secrets
        self.read: list[str] = []

    def secret(self, namespace: str, name: str, *, not_before: float) -> Mapping[str, Any]:
        self.read.append(name)
        if name.startswith("closed"):
            raise Forbidden("no right to get secrets")
        if name not in self.secrets:
            raise NotFound(name)
        return self.secrets[name]

    def config_map(self, namespace: str, name: str, *, not_before: float) -> Mapping[str, Any]:
        raise NotFound(name)


def planner(reader: Reader, *namespaces: str) -> Planner:
    return Planner(Translation(FixedCatalog(), SETTINGS), reader, NODE_NAME, "10.1.2.3", frozenset(namespaces))


def test_every_secret_that_is_missing_or_closed_is_named_at_once() -> None:
    pod = stored_pod(
        spec={"imagePullSecrets": [{"name": "gone"}, {"name": "closed"}]},
        annotations={"salad.com/logging-secret": "lost"},
    )
    with pytest.raises(SourcesMissing) as caught:
        planner(Reader()).plan(pod, owner_of(pod), first_seen=0.0)
    assert caught.value.reason == "CreateContainerConfigError"
    assert caught.value.retry_after is not None and caught.value.retry_after < 15
    assert [(notice.type, notice.reason) for notice in caught.value.notices] == [
        ("Warning", "MandatorySecretNotFound"),
        ("Warning", "FailedToReadMandatorySecret"),
        ("Warning", "MandatorySecretNotFound"),
    ]
    for name in ("default/gone not found", "default/closed cannot be read", "default/lost not found"):
        assert name in str(caught.value)


def test_what_is_refused_is_refused_before_anything_is_read() -> None:
    reader = Reader()
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    pod = stored_pod(container={"env": env, "tty": True}, spec={"imagePullSecrets": [{"name": "gone"}]})
    with pytest.raises(Refused) as refusal:
        planner(reader).refuse(pod)
    assert "tty" in str(refusal.value) and "variable IP" in str(refusal.value)
    assert reader.read == []


def test_a_pod_of_another_namespace_is_refused() -> None:
    with pytest.raises(Refused, match="only pods of the namespaces ml, shop"):
        planner(Reader(), "shop", "ml").refuse(stored_pod())
    planner(Reader(), "default").refuse(stored_pod())


def test_variables_that_are_opted_out_of_are_left_out_and_named() -> None:
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, {"name": "A", "value": "$(IP)"}]
    pod = stored_pod(container={"env": env}, annotations={"salad.com/ignore-unsupported": "env"})
    made = planner(Reader())
    assert [notice.message for notice in made.refuse(pod)] == ["Ignored: variable IP (as the pod wishes)"]
    sent = made.plan(pod, owner_of(pod), first_seen=0.0).request["container"]["environment_variables"]
    assert {name: value for name, value in sent.items() if name != "SALAD_VK_OWNER"} == {"A": "$(IP)"}


def test_the_command_sees_the_whole_environment() -> None:
    reader = Reader(s={"data": {"k": "dmFsdWU="}})
    env = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    pod = stored_pod(container={"env": env, "command": ["run", "--key=$(KEY)"], "args": ["$$(KEY)", "$(NOBODY)"]})
    plan = planner(reader).plan(pod, owner_of(pod), first_seen=0.0)
    assert plan.request["container"]["command"] == ["run", "--key=value", "$(KEY)", "$(NOBODY)"]
