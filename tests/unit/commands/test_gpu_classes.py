"""The command `gpu-classes`: the table, the JSON, and one clear line when there is no answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses

from virtual_kubelet_salad import cli
from virtual_kubelet_salad.sandbox.salad_catalog import GPU_CLASSES
from virtual_kubelet_salad.saladcloud.schemas import answers

URL = "https://api.salad.com/api/public/organizations/acme-corp/gpu-classes"
KEY = "a-key-that-must-not-show"


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALAD_CLOUD_API_KEY", KEY)
    monkeypatch.setenv("SALAD_CLOUD_ORGANIZATION_NAME", "acme-corp")


@pytest.fixture
def mocked() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def test_the_table_goes_from_little_vram_to_much_and_from_cheap_to_dear(
    mocked: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    items: list[dict[str, Any]] = [*GPU_CLASSES, {"id": "x", "name": "Something new", "prices": []}]
    mocked.get(URL, json={"items": items})
    assert cli.main(["gpu-classes"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    heading, *rows = printed.out.splitlines()
    assert heading.split() == "NAME VRAM GPUS HIGH $/H MEDIUM $/H LOW $/H BATCH $/H DEMAND ID".split()
    assert [row.split("  ")[0] for row in rows] == [
        "GTX 1650 (4 GB)",
        "RTX 3060 (8 GB)",
        "RTX 3060 Ti (8 GB)",
        "RTX 3060 (12 GB)",
        "RX 7900 XTX (24 GB)",
        "RTX 3090 (24 GB)",
        "RTX 3090 Ti (24 GB)",
        "RTX 5090 Laptop (24 GB)",
        "RTX 4090 (24 GB)",
        "RTX 5090 (32 GB)",
        "L40S (48 GB)",
        "8x H100 SXM (80 GB)",
        "Something new",
    ]
    assert rows[8].split()[-9:] == [
        "24", "GB", "1", "0.300", "0.255", "0.210", "0.150", "high", "ed563892-aacd-40f5-80b7-90c9be6c759b",
    ]  # fmt: skip
    assert rows[11].split()[-9:-6] == ["80", "GB", "8"]
    assert rows[12].split() == ["Something", "new", "?", "1", "-", "-", "-", "-", "-", "x"]
    assert len({row.index(row.split()[-1]) for row in rows}) == 1


def test_json_has_the_shape_of_the_api_so_that_it_can_be_read_again(
    mocked: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    mocked.get(URL, json={"items": list(GPU_CLASSES)})
    assert cli.main(["gpu-classes", "-o", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    read, sent = answers.gpu_classes(printed), answers.gpu_classes({"items": list(GPU_CLASSES)})
    assert read is not None and sent is not None
    assert sorted(read, key=lambda one: one.id) == sorted(sent, key=lambda one: one.id)
    assert {one["id"]: one["is_high_demand"] for one in printed["items"]} == {
        one["id"]: one["is_high_demand"] for one in GPU_CLASSES
    }


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": 401, "json": {"type": "unauthorized", "title": "Unauthorized"}}, "refused the API key"),
        ({"status": 403, "json": {"type": "x"}}, "refused the API key"),
        ({"status": 404, "json": {"type": "organization_not_found"}}, "does not know the organization"),
        ({"status": 500, "body": "<html>", "content_type": "text/html"}, "SaladCloud"),
        ({"status": 200, "json": {"items": 5}}, "no answer to the question"),
        ({"body": requests.ConnectionError("refused")}, "SaladCloud"),
    ],
)
def test_without_an_answer_there_is_one_line_and_code_1(
    mocked: responses.RequestsMock, capsys: pytest.CaptureFixture[str], answer: dict[str, Any], said: str
) -> None:
    mocked.get(URL, **answer)
    assert cli.main(["gpu-classes"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("virtual-kubelet-salad gpu-classes: ") and said in line
    assert KEY not in line


def test_without_key_and_organization_both_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SALAD_CLOUD_API_KEY")
    monkeypatch.delenv("SALAD_CLOUD_ORGANIZATION_NAME")
    assert cli.main(["gpu-classes"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
