"""From a pod, as the API server stores it, to the request that SaladCloud gets: readable pairs of files.

`pods/<case>.yaml` holds the pod and the Secrets and ConfigMaps it needs; `<case>.json` the request and the Events, or
`<case>.refused.txt` / `<case>.blocked.txt` why there is none. `--update-golden` writes the second file anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import official_api
from tests.support.pod_requests import planned, planned_update
from virtual_kubelet_salad.errors import Blocked, Refused
from virtual_kubelet_salad.sandbox.salad_requests import CONTAINER_GROUP_PATCH, CONTAINER_GROUP_PROTOTYPE
from virtual_kubelet_salad.sandbox.salad_validation import compile_schema
from virtual_kubelet_salad.saladcloud.schemas import requests

CASES = sorted((Path(__file__).parent / "pods").glob("*.yaml"))
ANSWERS = (".json", ".refused.txt", ".blocked.txt")

violations_of_create = compile_schema(CONTAINER_GROUP_PROTOTYPE)
violations_of_patch = compile_schema(CONTAINER_GROUP_PATCH)


def answer(case: Path) -> tuple[str, str]:
    """The suffix of the file that tells what becomes of the pod, and its text."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(case.read_text("utf-8")))
    pod = next(document for document in documents if document["kind"] == "Pod")
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


def test_there_are_cases() -> None:
    assert len(CASES) >= 20


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_pod_becomes_exactly_the_written_request(case: Path, update_golden: bool) -> None:
    suffix, text = answer(case)
    if update_golden:
        for other in ANSWERS:
            case.with_suffix(other).unlink(missing_ok=True)
        case.with_suffix(suffix).write_text(text, "utf-8")
    written = [case.with_suffix(other) for other in ANSWERS if case.with_suffix(other).exists()]
    assert [path.name for path in written] == [case.with_suffix(suffix).name]
    assert written[0].read_text("utf-8") == text


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
