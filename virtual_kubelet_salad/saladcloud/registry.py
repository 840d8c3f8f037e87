"""Registry credentials of a container group, from the pod's image pull secrets.

A secret that the pod names and that is missing or malformed blocks the pod: an anonymous pull in its place would fail
later, or pull something else. A message names secrets, never what is in them. Pure.
Sources: SaladCloud's OpenAPI file, `ContainerRegistryAuthentication`; k8s.io/kubernetes/pkg/credentialprovider
(`config.go`, `secrets/secrets.go`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.kubelet.provider import Inputs, Notice, Pod, UnfitSource
from virtual_kubelet_salad.saladcloud import pod_fields, registry_match
from virtual_kubelet_salad.saladcloud.text_limits import problem_of

CREDENTIAL_LIMIT_IN_CHARS = 10_000

Authentication = dict[str, dict[str, str]]
"""`container.registry_authentication` of the request: one kind, and its texts."""

_REASON = "InvalidImagePullSecret"
_DOCKER_CONFIG_KEYS = {".dockerconfigjson": "kubernetes.io/dockerconfigjson", ".dockercfg": "kubernetes.io/dockercfg"}
_AWS_KEYS = (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("access_key_id", "secret_access_key"))
_AWS_HOST = re.compile(r"[^.]+\.dkr\.ecr(-fips)?\.[^.]+\.amazonaws\.com(\.cn)?")
_GOOGLE_KEY_USER = "_json_key"
_GOOGLE_ENCODED_KEY_USER = "_json_key_base64"


def secret_names(pod: Pod) -> tuple[str, ...]:
    """Names of the pod's image pull secrets, in its order, each once."""
    references = pod_fields.spec(pod).get("imagePullSecrets") or []
    return tuple(dict.fromkeys(reference["name"] for reference in references if reference.get("name")))


def authentication(pod: Pod, image: str, inputs: Inputs, attempt: int, tell: list[Notice]) -> Authentication | None:
    """The credentials for this attempt: of several that match, each attempt takes the next. None: pull anonymously.
    Raises `UnfitSource`.
    """
    names = secret_names(pod)
    entries: list[tuple[str, Authentication]] = []
    for name in names:
        entries.extend(_entries(name, inputs.secrets.get(name), image))
    matching = registry_match.matching(entries, image)
    if matching:
        return matching[attempt % len(matching)]
    if names:
        tell.append(
            Notice(
                "Normal",
                "NoMatchingImagePullSecret",
                f"None of the image pull secrets ({', '.join(names)}) has an entry for "
                f"{registry_match.repository_of(image)}; the image is pulled without credentials",
            )
        )
    return None


def _entries(name: str, secret: Mapping[str, Any] | None, image: str) -> list[tuple[str, Authentication]]:
    """What one secret offers: pairs of a registry and its credentials."""
    if secret is None:
        raise UnfitSource(_REASON, f"The image pull secret {name} does not exist")
    data: Mapping[str, str] = secret.get("data") or {}
    for key, kind in _DOCKER_CONFIG_KEYS.items():
        if secret.get("type") == kind or (key in data and secret.get("type") not in _DOCKER_CONFIG_KEYS.values()):
            return _docker_entries(name, key, _decoded(name, key, data.get(key, "")), image)
    for access_key, secret_key in _AWS_KEYS:
        if access_key in data and secret_key in data:
            pair = [_decoded(name, key, data[key]).strip() for key in (access_key, secret_key)]
            return _aws_entries(name, pair[0], pair[1], image)
    raise UnfitSource(
        _REASON, f"The image pull secret {name} holds neither a docker configuration nor a pair of AWS keys"
    )


def _aws_entries(name: str, access_key: str, secret_key: str, image: str) -> list[tuple[str, Authentication]]:
    host = registry_match.host_of(image)
    if not _AWS_HOST.fullmatch(host):
        return []
    return [(host, {"aws_ecr": _checked(name, {"access_key_id": access_key, "secret_access_key": secret_key})})]


def _docker_entries(name: str, key: str, text: str, image: str) -> list[tuple[str, Authentication]]:
    malformed = UnfitSource(
        _REASON, f"The image pull secret {name} has no well-formed docker configuration under its key {key}"
    )
    try:
        configuration = json.loads(text)
    except (ValueError, RecursionError):
        raise malformed from None
    if isinstance(configuration, dict) and key == ".dockerconfigjson":
        configuration = configuration.get("auths")
    if not isinstance(configuration, dict):
        raise malformed
    entries: list[tuple[str, Authentication]] = []
    for registry, entry in configuration.items():
        # An entry for another registry is none of our business, so its faults do not block the pod.
        if registry_match.matching([(registry, entry)], image):
            if not isinstance(entry, dict):
                raise malformed
            entries.append((registry, _docker_authentication(name, entry, image)))
    return entries


def _docker_authentication(name: str, entry: Mapping[str, Any], image: str) -> Authentication:
    username, password = entry.get("username"), entry.get("password")
    if entry.get("auth"):
        username, password = _decoded_pair(name, entry["auth"])
    if not isinstance(username, str) or not isinstance(password, str):
        raise UnfitSource(
            _REASON,
            f"The image pull secret {name} has an entry without user name and password for "
            f"{registry_match.host_of(image)}",
        )
    host = registry_match.host_of(image)
    if username in (_GOOGLE_KEY_USER, _GOOGLE_ENCODED_KEY_USER):
        kind = _google_kind(host)
        if kind:
            key = password if username == _GOOGLE_KEY_USER else _decoded(name, username, password)
            if not 1 <= len(key) <= CREDENTIAL_LIMIT_IN_CHARS:
                raise UnfitSource(_REASON, f"The service key in the image pull secret {name} has {len(key)} characters")
            return {kind: {"service_key": key}}
    return {"basic": _checked(name, {"username": username, "password": password})}


def _google_kind(host: str) -> str | None:
    if host.endswith("-docker.pkg.dev"):
        return "gcp_gar"
    if host == "gcr.io" or host.endswith(".gcr.io"):
        return "gcp_gcr"
    return None


def _checked(name: str, credentials: dict[str, str]) -> dict[str, str]:
    for part, text in credentials.items():
        problem = problem_of(text, CREDENTIAL_LIMIT_IN_CHARS)
        if problem:
            raise UnfitSource(
                _REASON, f"The {part} in the image pull secret {name} {problem}, which SaladCloud does not take"
            )
    return credentials


def _decoded_pair(name: str, auth: object) -> tuple[str, str]:
    """User name and password out of the `auth` field of an entry."""
    username, colon, password = _decoded(name, "auth", auth).partition(":")
    if not colon:
        raise UnfitSource(
            _REASON, f"The image pull secret {name} has an auth field that is not base64 of user:password"
        )
    return username, password


def _decoded(name: str, key: str, value: object) -> str:
    try:
        # Docker also writes it without padding.
        text = str(value).strip()
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise UnfitSource(_REASON, f"The image pull secret {name} has a {key} that is not base64 of a text") from None
