"""Reads YAML files of Kubernetes objects as kubectl does, and says all that is wrong with them.

Guarantees: a problem names file, document and place, never a value, for manifests hold secrets; what is returned is
plain JSON data of its own. Differences to YAML as PyYAML knows it, because kubectl has them: no dates and no numbers to
the base of 60, keys are always strings, a key that is given twice is an error.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

Manifest = dict[str, Any]

STANDARD_INPUT = "-"

_INTEGER = re.compile(r"[-+]?(?:0b[01]+|0o?[0-7]+|0x[0-9a-fA-F]+|0|[1-9][0-9]*)$")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?$")
_INTEGER_TAG, _DECIMAL_TAG = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_REPLACED_TAGS = frozenset({_INTEGER_TAG, _DECIMAL_TAG, "tag:yaml.org,2002:timestamp"})
_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One object, and where it was written."""

    file: str
    number: int
    """Of the YAML document in its file, from 1."""
    item: int | None
    """Of the object in a List, from 1."""
    manifest: Manifest = dataclasses.field(repr=False)

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def api_version(self) -> str:
        return str(self.manifest["apiVersion"])

    @property
    def place(self) -> str:
        return _place(self.file, self.number, self.item)

    @property
    def name(self) -> str:
        """As it is written; what is generated keeps its beginning."""
        metadata = self.manifest.get("metadata") or {}
        return str(metadata.get("name") or metadata.get("generateName") or "")


def read(paths: Sequence[str], problems: list[str]) -> list[Document]:
    """The objects of all files, in order, Lists opened; `-` is the standard input. What is wrong goes to `problems`."""
    found: list[Document] = []
    for path in dict.fromkeys(paths):
        label = "standard input" if path == STANDARD_INPUT else path
        text = _text(path, label, problems)
        if text is not None:
            found += parse(text, label, problems)
    return found


def parse(text: str, label: str, problems: list[str]) -> list[Document]:
    """The objects of one text; `label` is the name of its file in problems."""
    found: list[Document] = []
    before = len(problems)
    for number, body in enumerate(_bodies(text, label, problems), 1):
        if body is not None:
            found += _objects(body, label, number, problems)
    if not found and len(problems) == before:
        problems.append(f"{label}: holds no object")
    return found


def _text(path: str, label: str, problems: list[str]) -> str | None:
    try:
        if path == STANDARD_INPUT:
            return sys.stdin.buffer.read().decode()
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        problems.append(f"{label}: cannot be read ({error.strerror})")
    except UnicodeDecodeError:
        problems.append(f"{label}: is no text in UTF-8")
    return None


def _bodies(text: str, label: str, problems: list[str]) -> Iterator[Any]:
    """The documents as plain data, up to the first that cannot be read."""
    number = 1
    try:
        for body in yaml.load_all(text, _Loader):
            yield json.loads(json.dumps(body, allow_nan=False))
            number += 1
    except yaml.YAMLError as error:
        # What the library says quotes the text.
        mark = getattr(error, "problem_mark", None)
        what = error.what if isinstance(error, _Twice) else "is no YAML"
        where = f" (line {mark.line + 1} of the file)" if mark is not None else ""
        problems.append(f"{_place(label, number, None)}: {what}{where}")
    except (TypeError, ValueError, RecursionError):
        problems.append(f"{_place(label, number, None)}: holds something that is no JSON")


def _objects(body: Any, label: str, number: int, problems: list[str]) -> list[Document]:
    kind = body.get("kind") if isinstance(body, dict) else None
    if not isinstance(kind, str) or not kind.endswith("List") or "items" not in body:
        return _object(body, label, number, None, problems)
    items = body["items"] or []
    if not isinstance(items, list):
        problems.append(f"{_place(label, number, None)}: items: must be a list")
        return []
    # The items of a PodList do not say what they are; those of a List do.
    inherited = {"apiVersion": body.get("apiVersion"), "kind": kind.removesuffix("List")} if kind != "List" else {}
    found = []
    for count, item in enumerate(items, 1):
        found += _object(inherited | item if isinstance(item, dict) else item, label, number, count, problems)
    return found


def _object(body: Any, label: str, number: int, item: int | None, problems: list[str]) -> list[Document]:
    place = _place(label, number, item)
    if not isinstance(body, dict):
        problems.append(f"{place}: is no Kubernetes object; it must have apiVersion, kind and metadata")
        return []
    missing = [field for field in ("apiVersion", "kind") if not isinstance(body.get(field), str) or not body[field]]
    metadata = body.get("metadata")
    named = isinstance(metadata, dict) and (metadata.get("name") or metadata.get("generateName"))
    if not isinstance(named, str):
        missing.append("metadata.name")
    if missing:
        problems.append(f"{place}: {', '.join(missing)}: must be given, as a string")
        return []
    return [Document(label, number, item, body)]


def _place(file: str, number: int, item: int | None) -> str:
    return f"{file}, document {number}" + (f", item {item}" if item is not None else "")


class _Twice(yaml.constructor.ConstructorError):
    """A key that is given twice in one mapping."""

    what = "a key is given twice in one mapping"


class _Loader(yaml.SafeLoader):
    """YAML as kubectl reads it."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE_TAG:
                if key.value in seen:
                    raise _Twice(None, None, None, key.start_mark)
                seen.add(key.value)
        self.flatten_mapping(node)
        return {self._key(key): self.construct_object(value, deep=deep) for key, value in node.value}

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, None, node.start_mark)
        return str(node.value)


_Loader.add_implicit_resolver(_INTEGER_TAG, _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver(_DECIMAL_TAG, _DECIMAL, list("-+.0123456789"))
