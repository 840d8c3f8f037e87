from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Blocked
from virtual_kubelet_salad.kubelet.provider import Inputs, Notice
from virtual_kubelet_salad.saladcloud import registry, registry_match

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/model:1"


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.29", "docker.io/library/nginx"),
        ("acme/web@sha256:0123", "docker.io/acme/web"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/acme/web", "docker.io/acme/web"),
        ("ghcr.io/acme/web:1", "ghcr.io/acme/web"),
        ("localhost/web", "localhost/web"),
        ("registry:5000/web:1@sha256:0123", "registry:5000/web"),
    ],
)
def test_an_image_is_read_as_docker_reads_it(image: str, repository: str) -> None:
    assert registry_match.repository_of(image) == repository


@pytest.mark.parametrize(
    ("entry", "image", "matches"),
    [
        ("ghcr.io", "ghcr.io/acme/web", True),
        ("https://ghcr.io", "ghcr.io/acme/web", True),
        ("http://ghcr.io/v2/", "ghcr.io/acme/web", True),
        ("ghcr.io/acme", "ghcr.io/acme/web", True),
        ("ghcr.io/other", "ghcr.io/acme/web", False),
        ("*.io", "ghcr.io/acme/web", True),
        ("*", "ghcr.io/acme/web", False),
        ("*.gcr.io", "eu.gcr.io/p/web", True),
        ("*.gcr.io", "gcr.io/p/web", False),
        ("registry:5000", "registry:5000/web", True),
        ("registry", "registry:5000/web", False),
        ("registry:5001", "registry:5000/web", False),
        ("https://index.docker.io/v1/", "nginx", True),
        ("https://index.docker.io/v1/", "acme/web", True),
        ("https://index.docker.io/v1/", "ghcr.io/acme/web", False),
        ("docker.io", "nginx", True),
        ("docker.io/acme", "acme/web", True),
        ("docker.io/acme", "nginx", False),
    ],
)
def test_an_entry_serves_the_images_that_a_kubelet_would_use_it_for(entry: str, image: str, matches: bool) -> None:
    assert registry_match.matching([(entry, "it")], image) == (["it"] if matches else [])


def test_the_narrowest_entry_comes_first_and_equal_ones_keep_their_order() -> None:
    entries = [("ghcr.io", 1), ("ghcr.io/acme", 2), ("https://ghcr.io", 3), ("ghcr.io/acme/web", 4)]
    assert registry_match.matching(entries, "ghcr.io/acme/web") == [4, 2, 1, 3]


def test_the_default_entry_of_docker_hub_serves_only_when_no_other_does() -> None:
    entries = [("https://index.docker.io/v1/", 1), ("docker.io/acme", 2)]
    assert registry_match.matching(entries, "acme/web") == [2]
    assert registry_match.matching(entries, "nginx") == [1]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def docker_secret(auths: Any) -> dict[str, Any]:
    return {
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": b64(json.dumps({"auths": auths}))},
    }


def credentials(
    image: str, *secrets: dict[str, Any] | None, attempt: int = 0, tell: list[Notice] | None = None
) -> registry.Authentication | None:
    names = [f"pull-{index}" for index in range(len(secrets))]
    pod = stored_pod(spec={"imagePullSecrets": [{"name": name} for name in names]})
    present = {name: secret for name, secret in zip(names, secrets, strict=True) if secret is not None}
    inputs = Inputs(environment=[], secrets=present)
    return registry.authentication(pod, image, inputs, attempt, [] if tell is None else tell)


def test_user_and_password_come_from_the_auth_field_first() -> None:
    entry = {"username": "u", "password": "p", "auth": b64("bot:pass:word")}
    assert credentials("ghcr.io/a/b", docker_secret({"ghcr.io": entry})) == {
        "basic": {"username": "bot", "password": "pass:word"}
    }
    del entry["auth"]
    assert credentials("ghcr.io/a/b", docker_secret({"ghcr.io": entry})) == {
        "basic": {"username": "u", "password": "p"}
    }


def test_the_old_form_of_a_pull_secret_works_too() -> None:
    secret = {
        "type": "kubernetes.io/dockercfg",
        "data": {".dockercfg": b64(json.dumps({"ghcr.io": {"auth": b64("u:p")}}))},
    }
    assert credentials("ghcr.io/a/b", secret) == {"basic": {"username": "u", "password": "p"}}


def test_each_attempt_takes_the_next_of_several_entries() -> None:
    secrets = [docker_secret({"ghcr.io": {"auth": b64(f"user{number}:p")}}) for number in range(2)]
    users = [credentials("ghcr.io/a/b", *secrets, attempt=attempt) for attempt in range(3)]
    assert [user["basic"]["username"] for user in users if user] == ["user0", "user1", "user0"]


def test_a_pull_without_a_matching_entry_is_anonymous_and_told() -> None:
    tell: list[Notice] = []
    assert credentials("nginx", docker_secret({"ghcr.io": {}}), tell=tell) is None
    assert [notice.reason for notice in tell] == ["NoMatchingImagePullSecret"]
    assert credentials("nginx", tell=tell) is None
    assert len(tell) == 1


@pytest.mark.parametrize(
    ("image", "user", "password", "kind", "key"),
    [
        ("europe-docker.pkg.dev/p/r/web", "_json_key", "{}", "gcp_gar", "{}"),
        ("gcr.io/p/web", "_json_key", "{\n}", "gcp_gcr", "{\n}"),
        ("eu.gcr.io/p/web", "_json_key_base64", b64("{}"), "gcp_gcr", "{}"),
    ],
)
def test_google_service_keys_have_kinds_of_their_own(image: str, user: str, password: str, kind: str, key: str) -> None:
    host = image.split("/")[0]
    secret = docker_secret({host: {"username": user, "password": password}})
    assert credentials(image, secret) == {kind: {"service_key": key}}


def test_a_google_user_at_another_registry_is_an_ordinary_one() -> None:
    secret = docker_secret({"ghcr.io": {"username": "_json_key", "password": "{}"}})
    assert credentials("ghcr.io/a/b", secret) == {"basic": {"username": "_json_key", "password": "{}"}}


@pytest.mark.parametrize(
    "keys", [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("access_key_id", "secret_access_key")]
)
def test_a_pair_of_aws_keys_serves_ecr_only(keys: tuple[str, str]) -> None:
    binary = base64.b64encode(b"\xff\xfe").decode()
    secret = {"type": "Opaque", "data": {keys[0]: b64("AKIA\n"), keys[1]: b64("s"), "unrelated": binary}}
    assert credentials(ECR, secret) == {"aws_ecr": {"access_key_id": "AKIA", "secret_access_key": "s"}}
    assert credentials("nginx", secret) is None


@pytest.mark.parametrize(
    "secret",
    [
        None,
        {"type": "Opaque", "data": {"a": b64("b")}},
        {"type": "kubernetes.io/dockerconfigjson"},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "%%%"}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": b64("canary")}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": b64("{}")}},
        docker_secret({"ghcr.io": {}}),
        docker_secret({"ghcr.io": "canary"}),
        docker_secret({"ghcr.io": {"auth": "canary!"}}),
        docker_secret({"ghcr.io": {"auth": b64("canary")}}),
        docker_secret({"ghcr.io": {"username": "canary"}}),
        docker_secret({"ghcr.io": {"username": "canary", "password": ""}}),
        docker_secret({"ghcr.io": {"username": "canary", "password": "canary" * 2000}}),
        docker_secret({"ghcr.io": {"username": "canary", "password": "can\nary"}}),
    ],
)
def test_a_missing_or_malformed_secret_blocks_and_its_content_is_never_told(secret: dict[str, Any] | None) -> None:
    with pytest.raises(Blocked) as obstacle:
        credentials("ghcr.io/a/b", secret)
    assert obstacle.value.reason == "InvalidImagePullSecret"
    assert "pull-0" in str(obstacle.value)
    assert "canary" not in str(obstacle.value)


def test_a_fault_in_an_entry_for_another_registry_is_no_obstacle() -> None:
    secret = docker_secret({"quay.io": {"auth": "!"}, "ghcr.io": {"auth": b64("u:p")}})
    assert credentials("ghcr.io/a/b", secret) == {"basic": {"username": "u", "password": "p"}}
