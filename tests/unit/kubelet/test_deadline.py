"""`activeDeadlineSeconds` is kept whatever the pod waits for; a known end of its container goes before it."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from tests.support.clock import FakeClock
from tests.support.kubelet_world import KubeletWorld, holds_finalizer
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet.provider import Ending, State

DEADLINE_SECONDS = 60


@pytest.fixture
def world(fake_clock: FakeClock) -> KubeletWorld:
    return KubeletWorld(fake_clock)


def _create(world: KubeletWorld, **spec: object) -> None:
    world.create_pod(restartPolicy="Never", activeDeadlineSeconds=DEADLINE_SECONDS, **spec)


def _is_overdue(world: KubeletWorld) -> bool:
    status = world.status()
    return (status.get("phase"), status.get("reason")) == ("Failed", "DeadlineExceeded")


def test_a_pod_that_waits_for_a_secret_fails_in_time(world: KubeletWorld) -> None:
    world.provider.secrets = ("missing",)
    _create(world)
    world.settle(DEADLINE_SECONDS - 2.0)
    assert world.status()["phase"] == "Pending"
    world.settle(4.0)
    assert _is_overdue(world)
    assert world.provider.count("create") == 0


def test_a_pod_whose_create_is_refused_for_long_fails_in_time_and_is_let_go(world: KubeletWorld) -> None:
    def no_room(call: str, name: str, is_applied: bool) -> None:
        if call == "create" and not is_applied:
            raise errors.Blocked("QuotaExceeded", "no room")

    world.provider.fail = no_room
    _create(world)
    world.settle(DEADLINE_SECONDS - 2.0)
    assert world.waiting_reason() == "QuotaExceeded"
    world.settle(4.0)
    assert _is_overdue(world)
    world.settle(130.0)
    pod = world.pod()
    assert pod is not None and not holds_finalizer(pod)


def test_a_pod_between_two_attempts_of_its_image_fails_in_time(world: KubeletWorld) -> None:
    _create(world)
    world.settle()
    world.provider.change(world.box_name(), state=State.FAILED, message="manifest unknown")
    world.wake()
    world.settle(DEADLINE_SECONDS - 10.0)
    assert world.waiting_reason() in ("ErrImagePull", "ImagePullBackOff")
    world.settle(15.0)
    assert _is_overdue(world)
    world.settle(130.0)
    assert not world.provider.boxes


def test_a_pod_that_waits_for_a_machine_fails_in_time(world: KubeletWorld) -> None:
    _create(world)
    world.settle(DEADLINE_SECONDS + 1.0)
    assert _is_overdue(world)
    world.settle(30.0)
    assert not world.provider.boxes


def test_an_end_that_is_heard_of_late_is_told_all_the_same(world: KubeletWorld, fake_clock: FakeClock) -> None:
    """The container exited in time, and its pod is looked at when the time is over."""
    world.run_pod(restartPolicy="Never", activeDeadlineSeconds=DEADLINE_SECONDS)
    fake_clock.advance(DEADLINE_SECONDS + 5.0)
    box = world.provider.boxes[world.box_name()]
    run = box.workload.run
    assert run is not None
    finished = fake_clock.now() - datetime.timedelta(seconds=10)
    ending = Ending(run.container_id, run.started_at, finished, 0, "Completed", "")
    box.workload = dataclasses.replace(box.workload, endings=(ending,), run=None, is_running=False)
    world.wake()
    world.settle()
    assert world.status()["phase"] == "Succeeded"


def test_a_pod_in_the_wrong_place_is_not_failed_for_its_deadline(world: KubeletWorld) -> None:
    world.run_pod(restartPolicy="Never", activeDeadlineSeconds=DEADLINE_SECONDS)
    world.provider.place = "elsewhere"
    world.start()
    world.settle(DEADLINE_SECONDS + 10.0)
    assert world.status()["phase"] == "Running"
