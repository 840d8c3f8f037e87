"""The one name that an attempt of a pod can have as a container group. Pure.

SaladCloud never releases a name, so it is made from what no other attempt shares; a repeated create then meets itself.
The pod's name is in it only for people. Source of the pattern: SaladCloud's OpenAPI file, `ContainerGroupName`.
"""

from __future__ import annotations

import base64
import hashlib
import re

SLUG_LIMIT_IN_CHARS = 45
DIGEST_CHARS = 12
PATTERN = re.compile(r"[a-z][a-z0-9-]{0,61}[a-z0-9]")

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_UNNAMED = "pod"


def workload_name(cluster_id: str, pod_name: str, uid: str, attempt: int) -> str:
    """The name of that attempt: always the same for the same arguments, different for every other."""
    digest = hashlib.sha256(f"{cluster_id}/{uid}/{attempt}".encode()).digest()
    return f"{_slug(pod_name)}-{base64.b32encode(digest).decode().lower()[:DIGEST_CHARS]}"


def _slug(pod_name: str) -> str:
    slug = _NOT_IN_A_NAME.sub("-", pod_name.lower()).strip("-")
    if not slug:
        return _UNNAMED
    if not slug[0].isalpha():
        slug = f"{_UNNAMED}-{slug}"
    return slug[:SLUG_LIMIT_IN_CHARS].rstrip("-")
