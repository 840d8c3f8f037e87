"""From a pod to the request that SaladCloud gets: readable pairs of files, at least one for each row of the published
table.

`pods/<case>.yaml` holds the pod as its author writes it and the Secrets and ConfigMaps it needs, after a comment on
what it shows; `<case>.json` the request and the Events, or `<case>.refused.txt` / `<case>.blocked.txt` why there is
none. `--update-golden` writes the second file anew.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import official_api
from tests.support.pod_requests import planned, planned_update
from tests.support.stored_pods import as_stored
from virtual_kubelet_salad.errors import Blocked, Refused
from virtual_kubelet_salad.kubelet import refusal_table
from virtual_kubelet_salad.kubelet.refusal_table import ACTED_UPON, TABLE, Row, Treatment
from virtual_kubelet_salad.kubelet.refusals import judged_fields
from virtual_kubelet_salad.sandbox.salad_requests import CONTAINER_GROUP_PATCH, CONTAINER_GROUP_PROTOTYPE
from virtual_kubelet_salad.sandbox.salad_validation import compile_schema
from virtual_kubelet_salad.saladcloud import pod_annotations
from virtual_kubelet_salad.saladcloud.schemas import requests

CASES = sorted((Path(__file__).parent / "pods").glob("*.yaml"))
ANSWERS = (".json", ".refused.txt", ".blocked.txt")

# What refusals say whose row is only printed: the judgement needs more than the field.
SPECIAL_TEXTS = {
    "spec.containers[].env[].valueFrom.fieldRef.fieldPath": "variable IP",
    "spec.containers[].env[].valueFrom.fileKeyRef": "variable TOKEN",
    refusal_table.OTHER_RESOURCES: "amd.com/gpu",
}
NOTHING: tuple[object, ...] = (None, "", [], {})

violations_of_create = compile_schema(CONTAINER_GROUP_PROTOTYPE)
violations_of_patch = compile_schema(CONTAINER_GROUP_PATCH)


@functools.cache
def documents_of(case: Path) -> list[dict[str, Any]]:
    return [as_stored(document) for document in yaml.safe_load_all(case.read_text("utf-8"))]


def pod_of(case: Path) -> dict[str, Any]:
    return next(document for document in documents_of(case) if document["kind"] == "Pod")


def answer(case: Path) -> tuple[str, str]:
    """The suffix of the file that tells what becomes of the pod, and its text."""
    pod, documents = pod_of(case), documents_of(case)
    try:
        plan, notices = planned(pod, documents)
    except Refused as refusal:
        return ".refused.txt", f"{refusal.reason}: {refusal}\n"
    except Blocked as obstacle:
        return ".blocked.txt", f"{obstacle.reason}: {obstacle}\n"
    assert violations_of_create(plan.request) == []
    requests.check_prototype(plan.request)
    assert official_api.violations("ContainerGroupPrototype", plan.request) == []
    patch = planned_update(pod, documents).request
    assert violations_of_patch(patch) == []
    requests.check_patch(patch)
    assert official_api.violations("ContainerGroupPatch", patch) == []
    told = [f"{notice.type} {notice.reason}: {notice.message}" for notice in notices]
    return ".json", json.dumps({"events": told, "request": plan.request}, indent=2, ensure_ascii=False) + "\n"


def written(case: Path, suffix: str) -> str:
    """The text of the second file; empty when it has another suffix."""
    path = case.with_suffix(suffix)
    return path.read_text("utf-8") if path.exists() else ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_pod_becomes_exactly_the_written_request(case: Path, update_golden: bool) -> None:
    suffix, text = answer(case)
    if update_golden:
        for other in ANSWERS:
            case.with_suffix(other).unlink(missing_ok=True)
        case.with_suffix(suffix).write_text(text, "utf-8")
    assert [other for other in ANSWERS if written(case, other)] == [suffix]
    assert written(case, suffix) == text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_says_what_it_shows_and_bears_the_name_of_its_pod(case: Path) -> None:
    first = case.read_text("utf-8").splitlines()[0]
    assert first.startswith("# ") and first.endswith(".")
    assert pod_of(case)["metadata"]["name"] == case.stem


def test_every_second_file_has_its_pod() -> None:
    names = {path.name.split(".")[0] for path in (Path(__file__).parent / "pods").iterdir()}
    assert names == {case.stem for case in CASES}


def shows(case: Path, row: Row) -> bool:
    """Whether a case shows what the row says: the field with a value, and the fate that the table tells."""
    text = written(case, ".refused.txt") if row.treatment is Treatment.REFUSED else written(case, ".json")
    if not text:
        return False
    if row.path in SPECIAL_TEXTS:
        return SPECIAL_TEXTS[row.path] in text
    places = [place for found, place, value in judged_fields(pod_of(case)) if found is row and value not in NOTHING]
    if row.treatment in ACTED_UPON or row.treatment is Treatment.CLUSTER or "not named" in row.text:
        return bool(places)
    return any(place in text and row.text in text for place in places)


def shows_the_opt_out(case: Path, row: Row) -> bool:
    """Whether a case that is accepted names the field as ignored on its author's wish."""
    events = [event for event in json.loads(written(case, ".json") or "{}").get("events", ()) if "Ignored: " in event]
    wished = " ".join(event for event in events if "(as the pod wishes)" in event)
    if row.path in SPECIAL_TEXTS:
        return SPECIAL_TEXTS[row.path] in wished
    return any(found is row and place in wished for found, place, _ in judged_fields(pod_of(case)))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.path)
def test_every_row_of_the_published_table_has_a_case_that_shows_it(row: Row) -> None:
    assert [case.stem for case in CASES if shows(case, row)]


@pytest.mark.parametrize("row", [row for row in TABLE if row.opt_out], ids=lambda row: row.path)
def test_every_opt_out_has_a_case_that_shows_it(row: Row) -> None:
    assert [case.stem for case in CASES if shows_the_opt_out(case, row)]


@pytest.mark.parametrize("name", pod_annotations.READ_FROM_PODS)
def test_every_annotation_has_a_case_that_shows_it(name: str) -> None:
    shown = [case.stem for case in CASES if name in (pod_of(case)["metadata"].get("annotations") or {})]
    assert [stem for stem in shown if (CASES[0].parent / f"{stem}.json").exists()]


def test_a_row_that_no_case_shows_is_found() -> None:
    planted = Row("spec.fieldOfNobody", Treatment.TOLERATED, "nobody has it", "word")
    assert not any(shows(case, planted) or shows_the_opt_out(case, planted) for case in CASES)


@pytest.mark.skipif(not official_api.OFFICIAL_FILE, reason="SALADCLOUD_OPENAPI does not name the official description")
def test_the_official_description_finds_what_is_wrong() -> None:
    request = {
        "name": "Web",
        "country_codes": ["uk"],
        "container": {"image": "x", "resources": {"cpu": 0, "memory": 1024}},
    }
    found = " ".join(official_api.violations("ContainerGroupPrototype", request))
    for place in ("$.name", "$.country_codes[0]", "$.container.resources.cpu", "replicas"):
        assert place in found
    assert official_api.violations("ContainerGroupPatch", {"country_codes": ["no"]}) == []
