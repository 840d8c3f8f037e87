"""What happens to a workload becomes Events on its pod: each once, also across restarts of the daemon."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.support.in_memory_provider import IDENTITY
from tests.support.kubelet_world import KubeletWorld
from virtual_kubelet_salad.kubelet.provider import Ending, Machine, State

ANNOTATED = {IDENTITY.machine_annotation: "m-1"}
WITH_MACHINE: dict[str, Any] = {"annotations": ANNOTATED, "machine": Machine("machine m-1 with RTX 3090")}


def told(world: KubeletWorld) -> list[tuple[str, str, str, int]]:
    return [(event["type"], event["reason"], event["message"], event["count"]) for event in world.events()]


def change(world: KubeletWorld, **changes: Any) -> None:
    world.provider.change(world.box_name(), **changes)
    world.wake()
    world.settle()


def restart(world: KubeletWorld) -> None:
    """Another process, which has looked at everything."""
    world.events()
    world.clock.advance(1.0)
    world.start()
    world.wake()
    world.settle()


def ending(world: KubeletWorld, code: int = 1, reason: str = "Error", message: str = "", **more: bool) -> Ending:
    now = world.clock.now().replace(microsecond=0)
    return Ending("memory://1", now, now, code, reason, message, **more)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_start_is_told_step_by_step_and_each_step_once(world: KubeletWorld, restarts: bool) -> None:
    def go_on(**changes: Any) -> None:
        change(world, **changes)
        if restarts:
            restart(world)

    world.create_pod()
    world.settle()
    download = {**WITH_MACHINE, "reason": "Downloading"}
    go_on(**download, message="It downloads: 1 %")
    go_on(**download, message="It downloads: 90 %")
    done = Machine("machine m-1 with RTX 3090", has_image=True, download=datetime.timedelta(seconds=192.4))
    go_on(reason="ContainerCreating", message="It creates the container", machine=done)
    world.provider.run(world.box_name())
    go_on()
    go_on(annotations={**ANNOTATED, IDENTITY.address_annotation: "web.example"})
    assert told(world) == [
        ("Normal", "Allocated", "Allocated machine m-1 with RTX 3090", 1),
        ("Normal", "Pulling", 'Pulling image "image:1"', 1),
        ("Normal", "Pulled", 'Successfully pulled image "image:1" in 3m12s', 1),
        ("Normal", "Started", "Started container main", 1),
        ("Normal", "AddressAssigned", "The gateway's host name is web.example", 1),
    ]


def test_a_download_that_ended_with_a_run_took_at_most_so_long(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    change(world, **WITH_MACHINE, reason="Downloading")
    done = Machine("machine m-1", True, datetime.timedelta(seconds=3_725), is_download_exact=False)
    world.provider.change(world.box_name(), machine=done)
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    (text,) = [message for _, reason, message, _ in told(world) if reason == "Pulled"]
    assert text == 'Successfully pulled image "image:1" in at most 1h2m5s'


def test_a_download_that_was_not_seen_is_not_told(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.provider.change(world.box_name(), **WITH_MACHINE)
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    assert world.event_reasons() == ["Allocated", "Started"]


def test_a_download_that_is_not_over_is_not_told_to_be(world: KubeletWorld) -> None:
    """What is not known about the machine says nothing about the image."""
    world.create_pod()
    world.settle()
    change(world, **WITH_MACHINE, reason="Downloading")
    change(world, reason="Allocating", machine=None)
    assert world.event_reasons() == ["Allocated", "Pulling"]


def test_each_run_is_counted_as_a_start_also_when_it_keeps_its_id(world: KubeletWorld) -> None:
    world.run_pod()
    for _ in range(3):
        over = (ending(world),)
        world.clock.advance(60.0)
        world.provider.change(world.box_name(), endings=over, run=None, reason="Restarting")
        world.step()
        world.wake()
        world.step()
        world.provider.change(world.box_name(), endings=())
        world.provider.run(world.box_name())
        world.wake()
        world.settle()
    assert ("Normal", "Started", "Started container main", 4) in told(world)
    assert ("Warning", "Exited", "Container main exited with code 1 (Error)", 3) in told(world)


@pytest.mark.parametrize(
    ("code", "reason", "message", "type", "text"),
    [
        (0, "Completed", "Instance Exited:0", "Normal", "exited with code 0 (Completed): Instance Exited:0"),
        (3, "Error", "", "Warning", "exited with code 3 (Error)"),
        (137, "Error", "(Liveness Probe Failure)", "Warning", "exited with code 137 (Error): (Liveness Probe Failure)"),
        (137, "ContainerStatusUnknown", "nobody knows", "Warning", "code 137 (ContainerStatusUnknown): nobody knows"),
    ],
)
def test_an_exit_is_told_with_its_code_and_what_the_cloud_said(
    world: KubeletWorld, code: int, reason: str, message: str, type: str, text: str
) -> None:
    world.run_pod(restartPolicy="Never")
    change(world, endings=(ending(world, code, reason, message),))
    restart(world)
    (exit_,) = [event for event in told(world) if event[1] == "Exited"]
    assert (exit_[0], exit_[3]) == (type, 1) and exit_[2].endswith(text)


def test_an_interruption_is_told_in_the_clouds_words(world: KubeletWorld) -> None:
    world.run_pod()
    lost = (ending(world, 137, "Interrupted", "Instance Interrupted (Node Offline)", is_interruption=True),)
    world.provider.change(world.box_name(), endings=lost, run=None, is_running=False, reason="Reallocating")
    world.wake()
    world.step()
    assert ("Warning", "Interrupted", "Instance Interrupted (Node Offline)", 1) in told(world)
    assert "Exited" not in world.event_reasons()


def test_a_container_that_we_replace_has_not_failed(world: KubeletWorld) -> None:
    world.run_pod()
    replaced = (ending(world, 137, "Error", "Replaced by version 2", is_replacement=True),)
    world.provider.change(world.box_name(), endings=replaced, run=None, reason="ContainerCreating")
    world.wake()
    world.step()
    assert ("Normal", "Killing", "Container main is restarted: Replaced by version 2", 1) in told(world)
    assert not any(type == "Warning" for type, *_ in told(world))


def test_another_machine_is_another_allocation(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    for machine in ("m-1", "m-1", "m-2"):
        annotations = {IDENTITY.machine_annotation: machine}
        change(world, annotations=annotations, machine=Machine(f"machine {machine}"), reason="Downloading")
    assert [message for _, reason, message, _ in told(world) if reason == "Allocated"] == [
        "Allocated machine m-1",
        "Allocated machine m-2",
    ]


def test_a_failed_image_is_told_and_its_back_off_too(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    change(world, state=State.FAILED, message="manifest unknown")
    world.settle(20.0)
    restart(world)
    assert told(world) == [
        ("Warning", "Failed", 'Failed to pull image "image:1": manifest unknown', 1),
        ("Normal", "BackOff", 'Back-off pulling image "image:1"', 1),
    ]


def test_a_pod_that_is_deleted_while_it_runs_is_told_to_be_stopped(world: KubeletWorld) -> None:
    world.run_pod()
    world.delete_pod()
    world.settle(60.0)
    assert world.pod() is None
    assert ("Normal", "Killing", "Stopping container main", 1) in told(world)


def test_nothing_is_told_that_was_not_written(world: KubeletWorld) -> None:
    """A write that is refused is done again; the Event belongs to the one that is accepted."""
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.deliver()
    world.patch_pod({"metadata": {"labels": {"a": "b"}}})
    world.daemon.worker.step()
    assert world.status()["phase"] == "Pending" and "Started" not in world.event_reasons()
    world.settle(30.0)
    assert ("Normal", "Started", "Started container main", 1) in told(world)
