"""What containers wrote, as SaladCloud's answers show it, odd ones included."""

from __future__ import annotations

import json
from typing import Any

import pytest

from virtual_kubelet_salad.saladcloud.schemas import answers

ENTRY: dict[str, Any] = {
    "time": "2026-05-04T09:30:00.123456789Z",
    "receive_time": "2026-05-04T09:30:02.5Z",
    "severity": "default",
    "resource": {"type": "container", "labels": {"container_group_name": "web", "instance_id": "i"}},
    "text_log": "hello",
}


def page(*items: object, **members: Any) -> Any:
    return answers.output_page({"items": list(items), "page_max_time": "2026-05-04T09:30:02.5Z", **members})


def test_an_entry_is_read_with_times_finer_than_a_microsecond() -> None:
    found = page(ENTRY)
    (entry,) = found.entries
    assert (entry.group, entry.instance_id, entry.text) == ("web", "i", "hello")
    assert entry.time.isoformat() == "2026-05-04T09:30:00.123456+00:00"
    assert found.last_time == entry.receive_time
    assert "hello" not in repr(entry)


@pytest.mark.parametrize("item", [None, "text", {}, {**ENTRY, "time": "never"}, {**ENTRY, "receive_time": None}])
def test_what_has_no_times_is_left_out_and_counted(item: object) -> None:
    found = page(item, ENTRY)
    assert (len(found.entries), found.count) == (1, 2)


@pytest.mark.parametrize("missing", ["resource", "severity", "text_log"])
def test_what_is_missing_is_empty(missing: str) -> None:
    (entry,) = page({key: value for key, value in ENTRY.items() if key != missing}).entries
    assert entry.text == ("" if missing == "text_log" else "hello")


def test_a_line_that_was_json_is_put_together_again() -> None:
    taken_apart = {
        **{key: value for key, value in ENTRY.items() if key != "text_log"},
        "severity": "error",
        "trace_Id": "t1",
        "json_log": {"msg": "é", "n": [1, None]},
    }
    (entry,) = page(taken_apart).entries
    assert json.loads(entry.text) == {"severity": "error", "msg": "é", "n": [1, None], "trace_Id": "t1"}
    assert "é" in entry.text


@pytest.mark.parametrize("answer", [None, [], {}, {"items": None}, "text"])
def test_another_answer_is_none(answer: object) -> None:
    assert answers.output_page(answer) is None


@pytest.mark.parametrize(
    ("sent", "read"), [(12, 12.0), (0.5, 0.5), (-1, None), ("12", None), (True, None), (None, None), (1e999, None)]
)
def test_usage_is_read_where_it_is_a_number(sent: object, read: float | None) -> None:
    row = {"id": "i", "state": "running", "update_time": "2026-05-04T09:30:00Z", "cpu_usage_total": sent}
    found = answers.instances({"instances": [{**row, "memory_usage_mb": sent}]})
    assert found is not None
    assert (found[0].cpu_seconds, found[0].memory_in_mib) == (read, read)
