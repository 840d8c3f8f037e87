"""Which entry of a docker configuration serves an image: the rules of a kubelet.

Pure. Source: k8s.io/kubernetes/pkg/credentialprovider/keyring.go (`Add`, `Lookup`, `URLsMatch`,
`isDefaultRegistryMatch`).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import TypeVar

_Entry = TypeVar("_Entry")

DOCKER_HUB = "docker.io"
_DOCKER_HUB_KEY = "index.docker.io"
_API_PREFIXES = ("/v1/", "/v2/")


def host_of(image: str) -> str:
    """The registry's host (with port, when written) of an image reference."""
    return repository_of(image).split("/", 1)[0]


def repository_of(image: str) -> str:
    """The image with its registry, without tag and digest: `nginx:1` is `docker.io/library/nginx`."""
    name = image.split("@", 1)[0]
    head, slash, tail = name.rpartition("/")
    name = head + slash + tail.split(":", 1)[0]
    first, slash, rest = name.partition("/")
    if not slash:
        return f"{DOCKER_HUB}/library/{name}"
    if "." not in first and ":" not in first and first != "localhost":
        return f"{DOCKER_HUB}/{name}"
    if first == _DOCKER_HUB_KEY:
        first = DOCKER_HUB
    if first == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    return f"{first}/{rest}"


def matching(entries: Iterable[tuple[str, _Entry]], image: str) -> list[_Entry]:
    """The entries (registry as written, anything) that serve the image, in the order in which a kubelet tries them."""
    by_key: dict[str, list[_Entry]] = {}
    for registry, entry in entries:
        by_key.setdefault(_key_of(registry), []).append(entry)
    repository = repository_of(image)
    # In reverse order a longer path comes before its own beginning, so the narrowest entry is tried first.
    found = [entry for key in sorted(by_key, reverse=True) if _serves(key, repository) for entry in by_key[key]]
    if not found and host_of(image) == DOCKER_HUB:
        found = by_key.get(_DOCKER_HUB_KEY, [])
    return found


def _key_of(registry: str) -> str:
    """Host and path of a registry as docker writes it: `https://index.docker.io/v1/` is `index.docker.io`."""
    location = registry.split("://", 1)[1] if registry.startswith(("http://", "https://")) else registry
    host, slash, path = location.partition("/")
    path = slash + path
    if path.startswith(_API_PREFIXES):
        path = path[len("/v1") :]
    return host if path in ("", "/") else host + path


def _serves(key: str, repository: str) -> bool:
    key_host, key_slash, key_path = key.partition("/")
    host, slash, path = repository.partition("/")
    key_name, _, key_port = key_host.partition(":")
    name, _, port = host.partition(":")
    key_parts, parts = key_name.split("."), name.split(".")
    return (
        key_port == port
        and len(key_parts) == len(parts)
        and (slash + path).startswith(key_slash + key_path)
        and all(fnmatch.fnmatchcase(part, pattern) for pattern, part in zip(key_parts, parts, strict=True))
    )
