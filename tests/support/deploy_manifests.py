"""The manifests of `deploy/`, as they are written."""

from __future__ import annotations

import pathlib
from typing import Any

import yaml

MANIFESTS = pathlib.Path(__file__).parent.parent.parent / "deploy" / "manifests"

Object = dict[str, Any]


def load(name: str) -> list[Object]:
    """The documents of a file."""
    return [document for document in yaml.safe_load_all((MANIFESTS / name).read_text()) if document is not None]


def pod_of(workload: Object) -> Object:
    """The pod's spec of a Deployment or a Job."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def container_of(pod: Object) -> Object:
    """Its only container."""
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only
