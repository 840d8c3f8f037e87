"""Files of manifests: what is read from them, and how a fault is told."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import pytest

from virtual_kubelet_salad.commands import manifests
from virtual_kubelet_salad.commands.manifests import Document

SECRET = "hunter2hunter2"


def parse(text: str) -> list[Document]:
    problems: list[str] = []
    found = manifests.parse(text, "web.yaml", problems)
    assert problems == []
    return found


def problems_of(text: str) -> list[str]:
    problems: list[str] = []
    manifests.parse(text, "web.yaml", problems)
    return problems


def read_values(text: str) -> dict[str, Any]:
    (document,) = parse(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: values}}\ndata:\n{text}")
    data: dict[str, Any] = document.manifest["data"]
    return data


def test_each_document_keeps_its_number_and_an_empty_one_counts() -> None:
    text = """\
apiVersion: v1
kind: Pod
metadata: {name: first}
---
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: second}
"""
    assert [(one.kind, one.name, one.place) for one in parse(text)] == [
        ("Pod", "first", "web.yaml, document 1"),
        ("Deployment", "second", "web.yaml, document 3"),
    ]


def test_lists_are_opened_and_the_items_of_a_typed_one_need_not_say_what_they_are() -> None:
    text = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: a}}
---
apiVersion: v1
kind: PodList
items:
- metadata: {generateName: b-}
- metadata: {name: c}
"""
    assert [(one.kind, one.api_version, one.name, one.place) for one in parse(text)] == [
        ("Secret", "v1", "a", "web.yaml, document 1, item 1"),
        ("Pod", "v1", "b-", "web.yaml, document 2, item 1"),
        ("Pod", "v1", "c", "web.yaml, document 2, item 2"),
    ]


def test_json_is_yaml() -> None:
    (document,) = parse('{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}')
    assert document.name == "a"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2026-05-04", "2026-05-04"),
        ("12:30", "12:30"),
        ("12", 12),
        ("-3", -3),
        ("0644", 420),
        ("0x10", 16),
        ("0.5", 0.5),
        ("1e3", "1e3"),
        ("1.5e3", 1500.0),
        ("1.2.3", "1.2.3"),
        ("yes", True),
        ('"yes"', "yes"),
        ("null", None),
        ("", None),
    ],
)
def test_values_are_those_that_kubectl_would_read(written: str, value: object) -> None:
    assert read_values(f"  key: {written}") == {"key": value}


def test_keys_are_strings() -> None:
    assert read_values("  80: a\n  on: b") == {"80": "a", "on": "b"}


def test_merge_keys_and_anchors_are_followed() -> None:
    values = read_values("  one: &one {a: 1, b: 2}\n  two:\n    <<: *one\n    b: 3")
    assert values == {"one": {"a": 1, "b": 2}, "two": {"a": 1, "b": 3}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "web.yaml: holds no object"),
        ("---\n---\n", "web.yaml: holds no object"),
        (f"password: *{SECRET}", "web.yaml, document 1: is no YAML (line 1 of the file)"),
        (f"a: 1\npassword: [{SECRET}", "web.yaml, document 1: is no YAML (line 2 of the file)"),
        (f"password: !{SECRET} x", "web.yaml, document 1: is no YAML (line 1 of the file)"),
        (f"? [{SECRET}]\n: 1", "web.yaml, document 1: is no YAML (line 1 of the file)"),
        ("password: \x01", "web.yaml, document 1: is no YAML"),
        (f"{SECRET}: 1\nb: 2\n{SECRET}: 3", "web.yaml, document 1: a key is given twice in one mapping"),
        ("a: &a [*a]", "web.yaml, document 1: holds something that is no JSON"),
        ("a: .nan", "web.yaml, document 1: apiVersion, kind, metadata.name: must be given, as a string"),
        ("a: !!binary aGk=", "web.yaml, document 1: holds something that is no JSON"),
        ("a: " + "[" * 5000, "web.yaml, document 1: holds something that is no JSON"),
        (f"- {SECRET}", "web.yaml, document 1: is no Kubernetes object; it must have apiVersion, kind and metadata"),
        (f"just {SECRET}", "web.yaml, document 1: is no Kubernetes object; it must have apiVersion, kind and metadata"),
        ("kind: Pod\nmetadata: {name: a}", "web.yaml, document 1: apiVersion: must be given, as a string"),
        ("apiVersion: v1\nkind: 5\nmetadata: {name: a}", "web.yaml, document 1: kind: must be given, as a string"),
        ("apiVersion: v1\nkind: Pod\nmetadata: [a]", "web.yaml, document 1: metadata.name: must be given, as a string"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 5}", "web.yaml, document 1: metadata.name: must be given, as a"),
        ("apiVersion: v1\nkind: PodList\nitems: 5", "web.yaml, document 1: items: must be a list"),
        ("apiVersion: v1\nkind: PodList\nitems: [5]", "web.yaml, document 1, item 1: is no Kubernetes object"),
    ],
)
def test_a_fault_is_one_line_with_its_place_and_no_value(text: str, problem: str) -> None:
    (found,) = problems_of(text)
    assert found.startswith(problem)
    assert SECRET not in found


def test_documents_before_a_fault_are_read_and_all_faults_are_told() -> None:
    problems: list[str] = []
    text = "kind: Pod\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\na: ["
    assert [one.name for one in manifests.parse(text, "web.yaml", problems)] == ["a"]
    assert [problem[:22] for problem in problems] == ["web.yaml, document 1: ", "web.yaml, document 3: "]


def test_several_files_and_the_standard_input_are_read_in_order(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n")
    stdin = io.TextIOWrapper(io.BytesIO(b"apiVersion: v1\nkind: Pod\nmetadata: {name: b}\n"))
    monkeypatch.setattr("sys.stdin", stdin)
    problems: list[str] = []
    found = manifests.read(["-", str(path), str(path), "-"], problems)
    assert [(one.name, one.file) for one in found] == [("b", "standard input"), ("a", str(path))]
    assert problems == []


def test_a_file_that_cannot_be_read_is_told(tmp_path: pathlib.Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    problems: list[str] = []
    assert manifests.read([str(tmp_path / "absent"), str(tmp_path), str(binary)], problems) == []
    assert problems == [
        f"{tmp_path / 'absent'}: cannot be read (No such file or directory)",
        f"{tmp_path}: cannot be read (Is a directory)",
        f"{binary}: is no text in UTF-8",
    ]
