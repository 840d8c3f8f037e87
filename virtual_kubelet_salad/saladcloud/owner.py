"""The owner record: who a container group belongs to, as one environment variable of the group.

SaladCloud has no labels, so this is the only place that comes back in every list. Encoding is exact; decoding is
tolerant: whatever is no record of ours is None, never an exception. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.kubelet.provider import Owner

SALAD_VK_OWNER = "SALAD_VK_OWNER"
VERSION = 1
# The API takes values up to this length; the longest names that Kubernetes allows stay below it.
LIMIT_IN_CHARS = 1000

_TEXT_FIELDS = ("cluster", "node", "namespace", "pod", "uid", "image")


def encode(owner: Owner) -> str:
    """The value of the variable. `ValueError` when it would be longer than the API takes."""
    record = {
        "v": VERSION,
        "cluster": owner.cluster_id,
        "node": owner.node,
        "namespace": owner.namespace,
        "pod": owner.pod,
        "uid": owner.uid,
        "attempt": owner.attempt,
        "image": owner.image_hash,
    }
    text = json.dumps(record, separators=(",", ":"))
    if len(text) > LIMIT_IN_CHARS:
        raise ValueError(f"the owner record of {owner.namespace}/{owner.pod} is too long")
    return text


def decode(text: object) -> Owner | None:
    """The owner, or None for what is no record of a version that we know."""
    if not isinstance(text, str):
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("v") != VERSION:
        return None
    attempt = record.get("attempt")
    if isinstance(attempt, bool) or not isinstance(attempt, int) or attempt < 0:
        return None
    if not all(isinstance(record.get(field), str) for field in _TEXT_FIELDS):
        return None
    return Owner(
        cluster_id=record["cluster"],
        node=record["node"],
        namespace=record["namespace"],
        pod=record["pod"],
        uid=record["uid"],
        attempt=attempt,
        image_hash=record["image"],
    )


def owner_of(group: Mapping[str, Any]) -> Owner | None:
    """The owner of a group as the API sends it; None when it carries no record."""
    container = group.get("container")
    variables = container.get("environment_variables") if isinstance(container, Mapping) else None
    return decode(variables.get(SALAD_VK_OWNER)) if isinstance(variables, Mapping) else None
