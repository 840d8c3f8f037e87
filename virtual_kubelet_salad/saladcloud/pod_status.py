"""What a container group does, in the kubelet's words. Pure.

    pending                              ImagePreparing, with SaladCloud's description
    deploying, allocating                Allocating; Reallocating once it has run
    downloading                          Downloading, with percent
    creating                             ContainerCreating; StartError after a failed start, or when it takes too long
    running                              the run, ready as its instance is ready
    failed                               ErrImagePull, with SaladCloud's description
    stopped                              Stopped, or OutOfCredit

Counts of the group come with every list; the instance is read only now and then, so both may be a little apart. Then
the run stays as it was told last, and nothing is concluded.
"""

from __future__ import annotations

import dataclasses
import datetime

from virtual_kubelet_salad.kubelet.provider import Machine, State, Workload
from virtual_kubelet_salad.saladcloud import pod_annotations
from virtual_kubelet_salad.saladcloud.events import Kind
from virtual_kubelet_salad.saladcloud.models import Group, Instance
from virtual_kubelet_salad.saladcloud.resolution import Facts, Resolution, resolve

# A container that takes longer to be created will hardly start; SaladCloud may say nothing about it.
ENDLESS_CREATION = datetime.timedelta(minutes=10)
# A machine that does not exist: what some rows show while none is allocated.
NO_MACHINE = "00000000-0000-0000-0000-000000000000"

# When to look again though nothing wakes, in seconds.
PROGRESS_SECONDS = 30.0
UNREADY_SECONDS = 30.0
UNEXPLAINED_SECONDS = 10.0
NEXT_RUN_SECONDS = 5.0
SAFETY_SECONDS = 300.0

_STOPPED = ("stopped", "succeeded")
# So many names of classes are written out in a message.
_NAMED_IN_A_MESSAGE = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """The workload, and what its making has found out."""

    workload: Workload
    resolution: Resolution


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the group's own facts."""

    is_out_of_credit: bool = False
    gpu_class: str = ""
    """The name of the class that its present instance has, where that is known."""
    gpu_classes: tuple[str, ...] = ()
    """The names of those it may have."""
    downloading: Instance | None = None
    """The instance that was last seen downloading, as it was then."""


def verdict(facts: Facts, surroundings: Surroundings) -> Verdict:
    """The workload relative to the remembered run."""
    group, status = facts.group, facts.group.status
    if status == "pending" and facts.remembered is None:
        return _without_run(facts, State.STARTING, *_why_pending(group))
    if status == "failed":
        text = group.description or "SaladCloud could not prepare the image"
        return _without_run(facts, State.FAILED, "ErrImagePull", text)
    resolution = resolve(facts)
    if status in _STOPPED and not resolution.endings:
        stopped = _without_run(facts, State.STOPPED, *_why_stopped(surroundings))
        workload = dataclasses.replace(stopped.workload, is_stopped_by_cloud=surroundings.is_out_of_credit)
        return Verdict(workload, stopped.resolution)
    return Verdict(_followed(facts, resolution, surroundings), resolution)


def _without_run(facts: Facts, state: State, reason: str, message: str) -> Verdict:
    group = facts.group
    workload = Workload(group.name, group.owner, state, reason, message, annotations=_host(group))
    return Verdict(workload, Resolution())


def _why_pending(group: Group) -> tuple[str, str]:
    text = (group.description or "SaladCloud prepares the image").rstrip(".")
    return "ImagePreparing", f"{text}; a machine is looked for next"


def _why_stopped(surroundings: Surroundings) -> tuple[str, str]:
    if surroundings.is_out_of_credit:
        return "OutOfCredit", "The organization has no credit left at SaladCloud; its container groups are stopped"
    return "Stopped", "The container group was stopped, not by this node"


def _followed(facts: Facts, resolution: Resolution, surroundings: Surroundings) -> Workload:
    group, run = facts.group, resolution.run
    has_run = facts.remembered is not None or bool(resolution.endings) or run is not None
    why = _Why("", "") if run is not None else _why_waiting(facts, has_run, surroundings)
    return Workload(
        name=group.name,
        owner=group.owner,
        state=State.RUNNING if has_run or group.status == "running" else State.STARTING,
        reason=why.reason,
        message=why.message,
        since=why.since,
        is_vague=why.is_vague,
        machine=_machine(facts, resolution, surroundings),
        run=run,
        is_running=run is not None or (group.running_count > 0 and not resolution.endings),
        endings=resolution.endings,
        annotations=_annotations(facts, resolution, surroundings),
        look_again_after=_look_again_after(facts, resolution),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Why:
    """What a workload waits for, and since when where SaladCloud tells that."""

    reason: str
    message: str
    since: datetime.datetime | None = None
    is_vague: bool = False


def _why_waiting(facts: Facts, has_run: bool, surroundings: Surroundings) -> _Why:
    group = facts.group
    starting = facts.reading.starting if facts.reading is not None else None
    if group.status == "pending":
        return _Why(*_why_pending(group))
    failure = _start_failure(facts)
    if failure:
        return _Why("StartError", failure)
    if starting is not None and starting.state == "downloading":
        return _Why("Downloading", _progress(starting), starting.update_time)
    if starting is not None and starting.state == "creating":
        if facts.now - starting.update_time > ENDLESS_CREATION:
            text = "The machine is still creating the container, which is too long; its command may be invalid"
            return _Why("StartError", text, starting.update_time)
        return _Why("ContainerCreating", "The machine creates the container; it starts next", starting.update_time)
    if group.creating_count > 0 or (group.running_count > 0 and starting is None):
        return _Why("ContainerCreating", "The machine creates the container; it starts next", is_vague=True)
    wanted = f"machine with {_wanted(group, surroundings)}; it downloads the image next"
    if has_run:
        return _Why("Reallocating", f"SaladCloud looks for another {wanted}")
    return _Why("Allocating", f"SaladCloud looks for a {wanted}")


def _wanted(group: Group, surroundings: Surroundings) -> str:
    """What a machine must have: one of the GPU classes, else the size."""
    names = surroundings.gpu_classes
    if names:
        more = len(names) - _NAMED_IN_A_MESSAGE
        listed = [*names[:_NAMED_IN_A_MESSAGE], *([f"{more} more"] if more > 0 else [])]
        text = " or ".join(part for part in (", ".join(listed[:-1]), listed[-1]) if part)
    else:
        text = f"{group.cpu_in_cores} vCPU and {group.memory_in_mib} MiB of memory"
    return f"{text} at priority {group.priority}" if group.priority else text


def _start_failure(facts: Facts) -> str:
    """The latest start failure, unless something ran after it."""
    for event in reversed(facts.events):
        if event.kind is Kind.RUNNING:
            return ""
        if event.kind is Kind.START_FAILURE:
            return f"The container could not be started: {event.message}; SaladCloud tries again"
    return ""


def _progress(instance: Instance) -> str:
    percent = "" if instance.progress_in_percent is None else f": {instance.progress_in_percent:.0f} %"
    return f"The machine downloads the image{percent}; it creates the container next"


def _look_again_after(facts: Facts, resolution: Resolution) -> float | None:
    run = resolution.run
    if resolution.is_unexplained:
        return UNEXPLAINED_SECONDS
    if run is None:
        if facts.group.running_count > 0:
            return NEXT_RUN_SECONDS
        return PROGRESS_SECONDS if facts.group.creating_count > 0 else None
    if not run.ready:
        return UNREADY_SECONDS
    return None if facts.group.restart_policy == "always" else SAFETY_SECONDS


def _annotations(facts: Facts, resolution: Resolution, surroundings: Surroundings) -> dict[str, str]:
    found = _host(facts.group)
    row = _row(facts, resolution)
    if row is not None:
        found[pod_annotations.MACHINE_ID] = row.machine_id
        if row.state == "running" and surroundings.gpu_class:
            found[pod_annotations.GPU_CLASS] = surroundings.gpu_class
    return found


def _machine(facts: Facts, resolution: Resolution, surroundings: Surroundings) -> Machine | None:
    row, before = _row(facts, resolution), surroundings.downloading
    if row is None:
        return None
    title = f"machine {row.machine_id}" + (f" with {surroundings.gpu_class}" if surroundings.gpu_class else "")
    has_image = row.state != "downloading"
    download = None
    if has_image and before is not None and before.id == row.id:
        download = row.update_time - before.update_time
    # Between a download and a run the container is created, which may not have been seen.
    return Machine(title, has_image, download, is_download_exact=row.state == "creating")


def _row(facts: Facts, resolution: Resolution) -> Instance | None:
    """The instance that has a machine: the one that runs, else the one that is on its way."""
    if facts.reading is None or resolution.is_unexplained:
        return None
    if resolution.run is not None:
        row = facts.reading.running
    else:
        row = facts.reading.starting
        row = row if row is not None and row.state in ("downloading", "creating") else None
    return row if row is not None and row.machine_id not in ("", NO_MACHINE) else None


def _host(group: Group) -> dict[str, str]:
    return {pod_annotations.ACCESS_DOMAIN_NAME: group.host} if group.host else {}
