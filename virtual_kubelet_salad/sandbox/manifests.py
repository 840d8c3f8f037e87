"""Reads a YAML file of Kubernetes objects, or says in one line what is wrong with it."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

Manifest = dict[str, Any]


class BadManifest(Exception):
    """What is wrong, and where."""


def read_manifests(path: pathlib.Path) -> list[Manifest]:
    """The objects of a file, in order. Raises BadManifest."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadManifest(f"the file cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BadManifest("the file is no text in UTF-8") from None
    return parse_manifests(text)


def parse_manifests(text: str) -> list[Manifest]:
    """The objects of all YAML documents, Lists opened. Raises BadManifest."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BadManifest(f"the file is no YAML{where}{f': {problem}' if problem else ''}") from None
    objects = list(itertools.chain.from_iterable(_items(document) for document in documents))
    if not objects:
        raise BadManifest("the file holds no object")
    for number, item in enumerate(objects, 1):
        _check(number, item)
    return objects


def title(manifest: Mapping[str, Any]) -> str:
    """Kind and name, for messages."""
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata.get('name') or metadata.get('generateName')}"


def expected_pods(manifest: Mapping[str, Any]) -> int:
    """How many pods there are in the end because of this object, as far as it says."""
    kind, spec = manifest["kind"], manifest.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    if kind == "Pod":
        return 1
    if kind in ("Deployment", "ReplicaSet", "StatefulSet"):
        return _count(spec.get("replicas"))
    if kind == "Job":
        return 0 if spec.get("suspend") else _count(spec.get("completions", spec.get("parallelism")))
    return 0


def _count(value: object) -> int:
    """The API server refuses what is no number; none is one."""
    return value if isinstance(value, int) else 1


def _items(document: Any) -> list[Any]:
    if isinstance(document, dict) and document.get("kind") == "List":
        return list(document.get("items") or [])
    return [document]


def _check(number: int, item: Any) -> None:
    if not isinstance(item, dict):
        raise BadManifest(f"object {number} is no Kubernetes object")
    missing = [field for field in ("apiVersion", "kind") if not isinstance(item.get(field), str) or not item[field]]
    metadata = item.get("metadata")
    if not isinstance(metadata, dict) or not (metadata.get("name") or metadata.get("generateName")):
        missing.append("metadata.name")
    if missing:
        raise BadManifest(f"object {number} lacks {', '.join(missing)}")
