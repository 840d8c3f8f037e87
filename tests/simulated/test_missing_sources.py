"""A pod that waits for a Secret or ConfigMap starts by itself, soon after it has appeared or was mended."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable

import pytest

from tests.simulated.blocked_pods import (
    LONG_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    NAMESPACE,
    START_SECONDS,
    BlockedPods,
    assert_blocked,
)
from tests.support.cluster import Object
from virtual_kubelet_salad.kubelet import pods

# What is promised to a pod that waits for a Secret or ConfigMap.
SOURCE_SECONDS = 15.0


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(name: str, kind: str = "Opaque", **data: str) -> Object:
    return {"metadata": {"name": name}, "type": kind, "data": {key: encoded(value) for key, value in data.items()}}


def pull_secret(text: str) -> Object:
    return secret("pull", "kubernetes.io/dockerconfigjson", **{".dockerconfigjson": text})


CREDENTIALS = json.dumps({"auths": {"registry.example": {"username": "u", "password": "p"}}})
SINK = json.dumps({"tcp": {"host": "logs.example", "port": 514}})
FROM_SECRET: Object = {
    "container": {"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "token", "key": "t"}}}]}
}
FROM_CONFIG_MAP: Object = {"container": {"envFrom": [{"configMapRef": {"name": "settings"}}]}}
IN_ARGS: Object = {
    "container": {
        "command": ["serve", "$(T)"],
        "env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "token", "key": "t"}}}],
    }
}
PULLS: Object = {"imagePullSecrets": [{"name": "pull"}]}
LOGS: Object = {"annotations": {"salad.com/logging-secret": "sink"}}


@dataclasses.dataclass(frozen=True)
class Source:
    """A source that is missing or unfit, and what mends it."""

    pod: Object
    reason: str
    event: str
    mend: Callable[[BlockedPods], object]
    prepare: Callable[[BlockedPods], object] = lambda world: None


SOURCES = {
    "a Secret appears": Source(
        FROM_SECRET,
        "CreateContainerConfigError",
        "MandatorySecretNotFound",
        lambda world: world.create_secret(secret("token", t="x")),
    ),
    "a key appears": Source(
        FROM_SECRET,
        "CreateContainerConfigError",
        "MandatorySecretKeyNotFound",
        lambda world: world.replace_secret(secret("token", t="x")),
        lambda world: world.create_secret(secret("token", other="x")),
    ),
    "a ConfigMap appears": Source(
        FROM_CONFIG_MAP,
        "CreateContainerConfigError",
        "MandatoryConfigMapNotFound",
        lambda world: world.cluster.create(
            f"{NAMESPACE}/configmaps", {"metadata": {"name": "settings"}, "data": {"A": "b"}}
        ),
    ),
    "a pull secret appears": Source(
        PULLS,
        "CreateContainerConfigError",
        "MandatorySecretNotFound",
        lambda world: world.create_secret(pull_secret(CREDENTIALS)),
    ),
    "a pull secret is mended": Source(
        PULLS,
        "InvalidImagePullSecret",
        "InvalidImagePullSecret",
        lambda world: world.replace_secret(pull_secret(CREDENTIALS)),
        lambda world: world.create_secret(pull_secret('{"auths": {"registry.example": {}}}')),
    ),
    "a logging secret appears": Source(
        LOGS,
        "CreateContainerConfigError",
        "MandatorySecretNotFound",
        lambda world: world.create_secret(secret("sink", logging=SINK)),
    ),
    "a logging secret is mended": Source(
        LOGS,
        "InvalidLoggingSecret",
        "InvalidLoggingSecret",
        lambda world: world.replace_secret(secret("sink", logging=SINK)),
        lambda world: world.create_secret(secret("sink", logging="no JSON")),
    ),
    "a value is mended": Source(
        FROM_SECRET,
        "InvalidEnvironment",
        "InvalidEnvironment",
        lambda world: world.replace_secret(secret("token", t="x")),
        lambda world: world.create_secret(secret("token", t="two\nlines")),
    ),
    "a value in the command is mended": Source(
        IN_ARGS,
        "InvalidEnvironment",
        "InvalidEnvironment",
        lambda world: world.replace_secret(secret("token", t="x")),
        lambda world: world.create_secret(secret("token", t="x" * 1_001)),
    ),
}


@pytest.mark.parametrize("waited", [0.3, 7.0, 9.99, 61.0, 3_607.5])
@pytest.mark.parametrize("case", SOURCES)
def test_a_pod_sees_its_source_within_15_seconds(case: str, waited: float) -> None:
    source, world = SOURCES[case], BlockedPods()
    source.prepare(world)
    world.run(10.0)
    world.create_pod(**source.pod)
    world.run_until(lambda: source.event in world.reasons(), within=2.0)
    world.run(waited)
    assert_blocked(world, source.reason, source.event)
    assert world.requests("create_container_group") == 0 and not world.cloud.overview()
    source.mend(world)
    assert world.run_until(world.cloud.overview, within=SOURCE_SECONDS) <= SOURCE_SECONDS
    world.run_until(world.is_running, within=START_SECONDS)


def test_a_secret_that_goes_between_claim_and_create_is_waited_for_as_well() -> None:
    world = BlockedPods()
    world.create_secret(secret("token", t="x"))
    world.cloud.out_of_credit(True)
    world.create_pod(**FROM_SECRET)
    world.run(LONG_SECONDS)
    assert_blocked(world, "OutOfCredit")
    world.cluster.delete(f"{NAMESPACE}/secrets/token")
    world.cloud.out_of_credit(False)
    world.run(LONGEST_BACKOFF_SECONDS)
    assert_blocked(world, "CreateContainerConfigError", "MandatorySecretNotFound")
    world.create_secret(secret("token", t="x"))
    world.run_until(world.cloud.overview, within=SOURCE_SECONDS)


def test_an_image_that_could_not_be_pulled_is_tried_again_as_soon_as_its_pull_secret_is_mended() -> None:
    world = BlockedPods()
    world.create_secret(pull_secret(CREDENTIALS))
    world.create_pod(container={"env": [{"name": "SIM_IMAGE", "value": "fail access denied"}]}, **PULLS)
    # The next attempt after the fourth comes after eight minutes.
    world.run_until(lambda: pods.annotations_of(world.pod()).get("salad.com/attempt") == "3", within=1_000.0)
    world.run_until(lambda: world.waiting() == "ImagePullBackOff", within=60.0)
    attempts = world.requests("create_container_group")
    world.run(60.0)
    assert world.requests("create_container_group") == attempts
    world.replace_secret(pull_secret(CREDENTIALS.replace('"p"', '"q"')))
    # Seen within 15 s; gone is believed when it was said twice, 5 s apart.
    world.run_until(lambda: world.requests("create_container_group") > attempts, within=SOURCE_SECONDS + 10.0)


def test_a_failed_image_whose_name_is_mended_does_not_wait_out_its_backoff() -> None:
    world = BlockedPods()
    world.create_pod(container={"image": "registry.example/does-not-exist:1"})
    world.run_until(lambda: pods.annotations_of(world.pod()).get("salad.com/attempt") == "2", within=600.0)
    world.run_until(lambda: world.waiting() == "ImagePullBackOff", within=60.0)
    world.cluster.patch(
        f"{NAMESPACE}/pods/web", {"spec": {"containers": [{"name": "main", "image": "registry.example/server:2"}]}}
    )
    world.run_until(world.is_running, within=10.0 + START_SECONDS)
