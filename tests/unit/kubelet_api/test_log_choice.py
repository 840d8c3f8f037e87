from __future__ import annotations

import datetime
from typing import Any

import pytest

from virtual_kubelet_salad.kubelet_api import log_choice
from virtual_kubelet_salad.kubelet_api.answers import Answered

FIRST = {"containerID": "salad://1", "startedAt": "2026-05-04T09:30:00Z", "finishedAt": "2026-05-04T09:40:00Z"}
SECOND = {"containerID": "salad://2", "startedAt": "2026-05-04T09:41:00Z", "finishedAt": "2026-05-04T09:50:00Z"}
RUNNING = {"startedAt": "2026-05-04T09:41:00Z"}


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(f"2026-05-04T{text}+00:00")


def pod(
    state: dict[str, Any] | None = None, last: dict[str, Any] | None = None, container_id: str = "", **status: Any
) -> dict[str, Any]:
    container = {"name": "main", "state": state or {}, "lastState": {"terminated": last} if last else {}}
    if container_id:
        container["containerID"] = container_id
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "u", "creationTimestamp": "2026-05-04T09:29:00Z"},
        "spec": {"containers": [{"name": "main"}, {"name": "side"}], "initContainers": [{"name": "init"}]},
        "status": {"phase": "Running", "containerStatuses": [container] if state is not None else [], **status},
    }


def refused(pod: dict[str, Any], container: str = "main", *, previous: bool = False) -> tuple[int, str]:
    with pytest.raises(Answered) as answered:
        log_choice.choose(pod, container, previous=previous)
    return answered.value.code, answered.value.message


def test_the_run_that_goes_on_is_meant() -> None:
    choice = log_choice.choose(pod({"running": RUNNING}, None, "salad://2"), "main", previous=False)
    assert (choice.container_id, choice.began, choice.ended) == ("salad://2", moment("09:41:00"), None)


def test_lines_of_the_run_before_are_not_those_of_the_present_one() -> None:
    choice = log_choice.choose(pod({"running": RUNNING}, FIRST, "salad://2"), "main", previous=False)
    assert choice.earlier_container_ids == {"salad://1"}


def test_previous_is_the_run_before() -> None:
    choice = log_choice.choose(pod({"running": RUNNING}, FIRST, "salad://2"), "main", previous=True)
    assert (choice.container_id, choice.began, choice.ended) == ("salad://1", moment("09:30:00"), moment("09:40:00"))


def test_two_runs_with_one_id_are_parted_between_them() -> None:
    shared = pod({"running": RUNNING}, FIRST, "salad://1")
    present, before = (log_choice.choose(shared, "main", previous=previous) for previous in (False, True))
    assert (present.after, present.before) == (moment("09:40:30"), None)
    assert (before.after, before.before) == (None, moment("09:40:30"))
    assert present.earlier_container_ids == frozenset()


def test_without_an_id_yet_the_run_is_meant_all_the_same() -> None:
    choice = log_choice.choose(pod({"running": RUNNING}), "main", previous=False)
    assert (choice.container_id, choice.began) == ("", moment("09:41:00"))


def test_a_finished_container_shows_its_last_run() -> None:
    choice = log_choice.choose(pod({"terminated": SECOND}, FIRST, "salad://2"), "main", previous=False)
    assert (choice.container_id, choice.ended) == ("salad://2", moment("09:50:00"))


def test_a_container_that_waits_to_run_again_shows_the_run_that_ended() -> None:
    waiting = pod({"waiting": {"reason": "Restarting"}}, FIRST, "salad://1")
    assert log_choice.choose(waiting, "main", previous=False).container_id == "salad://1"


@pytest.mark.parametrize("last", [None, {"exitCode": 137}])
def test_no_previous_run_is_said(last: dict[str, Any] | None) -> None:
    code, message = refused(pod({"running": RUNNING}, last, "salad://2"), previous=True)
    assert (code, message) == (400, 'previous terminated container "main" in pod "web" not found')


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (
            pod({"waiting": {"reason": "Allocating", "message": "looking for a machine"}}, phase="Pending"),
            'container "main" in pod "web" is waiting to start: Allocating: looking for a machine',
        ),
        (
            pod({"waiting": {"reason": "ImagePullBackOff"}}, phase="Pending", message="manifest unknown"),
            'container "main" in pod "web" is waiting to start: ImagePullBackOff: manifest unknown',
        ),
        (pod(phase="Pending"), 'container "main" in pod "web" is waiting to start: nothing is known of it yet'),
        (
            pod({"waiting": {"reason": "x"}}, phase="Failed", reason="UnsupportedField", message="no hostNetwork"),
            'container "main" in pod "web" never ran: UnsupportedField: no hostNetwork',
        ),
        (
            pod({"terminated": {"exitCode": 137}}, phase="Failed"),
            'container "main" in pod "web" never ran: the pod is over',
        ),
    ],
)
def test_where_nothing_ran_the_reason_is_the_answer(waiting: dict[str, Any], expected: str) -> None:
    assert refused(waiting) == (400, expected)


def test_a_container_that_the_pod_does_not_have_is_not_found() -> None:
    assert refused(pod({"running": RUNNING}), "nope") == (404, 'container "nope" not found in pod "web"')


def test_an_ephemeral_container_answers_with_its_own_reason() -> None:
    asked = pod({"running": RUNNING})
    ended = {"exitCode": 128, "reason": "UnsupportedField", "message": "nothing can be added"}
    asked["status"]["ephemeralContainerStatuses"] = [{"name": "debugger", "state": {"terminated": ended}}]
    expected = 'container "debugger" in pod "web" never ran: UnsupportedField: nothing can be added'
    assert refused(asked, "debugger") == (400, expected)


@pytest.mark.parametrize("name", ["side", "init"])
def test_a_container_that_does_not_run_here_has_a_reason_and_no_log(name: str) -> None:
    code, message = refused(pod({"waiting": {"reason": "Refused"}}), name)
    assert (code, message) == (400, f'container "{name}" in pod "web" is waiting to start: Refused')
