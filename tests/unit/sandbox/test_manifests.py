"""What is read from a file of manifests, and what is said when it cannot be."""

from __future__ import annotations

import pathlib

import pytest

from virtual_kubelet_salad.sandbox.manifests import BadManifest, expected_pods, parse_manifests, read_manifests, title
from virtual_kubelet_salad.sandbox.samples import SAMPLE

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"


def test_documents_and_lists_are_opened_in_order() -> None:
    secrets = "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {generateName: s-}}\n"
    text = f"---\n{POD}---\n# nothing\n---\n{secrets}"
    assert [title(item) for item in parse_manifests(text)] == ["Pod web", "Secret s-"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file holds no object"),
        ("# only a comment\n---\n", "the file holds no object"),
        ("a: [1\nb: }", "the file is no YAML, line 2"),
        ("just words", "object 1 is no Kubernetes object"),
        (f"{POD}---\nkind: Pod\n", "object 2 lacks apiVersion, metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {}\n", "object 1 lacks metadata.name"),
        ("apiVersion: 1\nkind: ''\nmetadata: {name: web}\n", "object 1 lacks apiVersion, kind"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, problem: str) -> None:
    with pytest.raises(BadManifest) as bad:
        parse_manifests(text)
    assert str(bad.value).startswith(problem)
    assert "\n" not in str(bad.value)


def test_a_file_that_is_no_text_is_told(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(BadManifest, match="no text in UTF-8"):
        read_manifests(path)
    with pytest.raises(BadManifest, match="cannot be read"):
        read_manifests(tmp_path)


@pytest.mark.parametrize(
    ("kind", "spec", "pods"),
    [
        ("Pod", {}, 1),
        ("Deployment", {}, 1),
        ("Deployment", {"replicas": 0}, 0),
        ("StatefulSet", {"replicas": 4}, 4),
        ("Job", {}, 1),
        ("Job", {"completions": 5, "parallelism": 2}, 5),
        ("Job", {"parallelism": 3}, 3),
        ("Job", {"suspend": True}, 0),
        ("CronJob", {}, 0),
        ("ConfigMap", None, 0),
    ],
)
def test_how_many_pods_an_object_brings(kind: str, spec: object, pods: int) -> None:
    assert expected_pods({"apiVersion": "x", "kind": kind, "metadata": {"name": "a"}, "spec": spec}) == pods


def test_the_samples_are_a_server_a_job_and_a_pod() -> None:
    samples = parse_manifests(SAMPLE)
    assert [item["kind"] for item in samples] == ["Deployment", "Job", "Pod"]
    assert sum(map(expected_pods, samples)) == 4
