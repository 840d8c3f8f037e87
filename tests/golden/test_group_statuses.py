"""From what SaladCloud says about a group to what its pod says: readable pairs of files.

`groups/<case>.json` holds the pod's status before, the group, its instances (null: not read) and its events as the API
sends them; `<case>.yaml` what the provider makes of it and the status that the kubelet writes. `--update-golden` writes
the second file anew.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from virtual_kubelet_salad.kubelet import pods, status
from virtual_kubelet_salad.kubelet.provider import State, Workload
from virtual_kubelet_salad.saladcloud import events, pod_annotations, pod_status
from virtual_kubelet_salad.saladcloud.resolution import Facts, Reading
from virtual_kubelet_salad.saladcloud.schemas import answers

CASES = sorted((Path(__file__).parent / "groups").glob("*.json"))
WRITER = status.Writer("10.0.0.1", pod_annotations.ON_INTERRUPTION)


def _workload(case: dict[str, Any], pod: dict[str, Any], now: datetime.datetime) -> Workload:
    group = answers.group(case["group"])
    assert group is not None
    reading = None
    if case["instances"] is not None:
        instances = answers.instances({"instances": case["instances"]})
        assert instances is not None
        reading = Reading(instances, now)
    page = answers.log_page({"items": case["entries"]})
    assert page is not None and len(page.entries) == len(case["entries"])
    known = tuple(events.from_entry(entry) for entry in page.entries)
    facts = Facts(
        group=group,
        reading=reading,
        events=known,
        remembered=pods.remembered_run(pod),
        now=now,
        process_began=now - datetime.timedelta(hours=1),
        is_given_up=case.get("is_given_up", False),
    )
    gpu_class = known[-1].gpu_class if known else ""
    surroundings = pod_status.Surroundings(
        is_out_of_credit=case.get("is_out_of_credit", False),
        gpu_class=gpu_class,
        gpu_classes=("RTX 3090 (24 GB)", "RTX 4090 (24 GB)") if group.gpu_classes else (),
    )
    return pod_status.verdict(facts, surroundings).workload


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {name: inner for name, inner in shown.items() if inner not in (None, "", [], {})}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_group_becomes_its_pods_status(path: Path, update_golden: bool) -> None:
    case = json.loads(path.read_text())
    now = datetime.datetime.fromisoformat(case["now"])
    container = {"name": "main", "image": "nginx:1"}
    pod = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"restartPolicy": case["restart_policy"], "containers": [container]},
        "status": case["status_before"] or {"phase": "Pending"},
    }
    workload = _workload(case, pod, now)
    answer: dict[str, Any] = {"workload": _plain(workload)}
    del answer["workload"]["owner"]
    if workload.state in (State.STARTING, State.RUNNING):
        answer["status"] = _plain(WRITER.following(pod, now, workload))
    written = yaml.safe_dump(answer, sort_keys=False, width=120)
    golden = path.with_suffix(".yaml")
    if update_golden:
        golden.write_text(written)
    assert yaml.safe_load(golden.read_text()) == yaml.safe_load(written)


def test_every_golden_file_has_its_case() -> None:
    assert {path.stem for path in CASES[0].parent.glob("*.yaml")} == {path.stem for path in CASES} and len(CASES) > 20
