"""Which changes of a workload become Events on its pod. Pure.

Everything is judged against what the pod's status and annotations say already, so nothing is told twice, by this
process or by the next one. Reasons are the kubelet's where it has one.
"""

from __future__ import annotations

import datetime

from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider import Ending, Identity, Machine, Notice, Pod, Workload

DOWNLOADING = "Downloading"


def changes(pod: Pod, workload: Workload, identity: Identity) -> list[Notice]:
    """What has happened since the status was last written, in the order in which it happened."""
    container, image = pods.container(pod).get("name", ""), pods.container(pod).get("image", "")
    told = [*workload.notices, *(_of_ending(ending, container) for ending in workload.endings)]
    machine = workload.machine
    if machine is not None and _is_new(pod, workload, identity.machine_annotation):
        told.append(Notice("Normal", "Allocated", f"Allocated {machine.title}"))
    before = pods.waiting_reason(pod)
    if workload.run is None and workload.reason == DOWNLOADING and before != DOWNLOADING:
        told.append(Notice("Normal", "Pulling", f'Pulling image "{image}"'))
    if before == DOWNLOADING and machine is not None and machine.has_image:
        told.append(Notice("Normal", "Pulled", f'Successfully pulled image "{image}"{_took(machine)}'))
    if _is_another_run(pod, workload):
        told.append(Notice("Normal", "Started", f"Started container {container}"))
    if _is_new(pod, workload, identity.address_annotation):
        address = workload.annotations[identity.address_annotation]
        told.append(Notice("Normal", "AddressAssigned", f"The gateway's host name is {address}"))
    if workload.reason == "StartError" and before != "StartError":
        told.append(Notice("Warning", "StartError", workload.message))
    return told


def _of_ending(ending: Ending, container: str) -> Notice:
    if ending.is_interruption:
        return Notice("Warning", "Interrupted", ending.message or "the machine went away")
    if ending.is_replacement:
        return Notice("Normal", "Killing", f"Container {container} is restarted: {ending.message}")
    kind = "Normal" if ending.exit_code == 0 else "Warning"
    text = f"Container {container} exited with code {ending.exit_code} ({ending.reason})"
    return Notice(kind, "Exited", f"{text}: {ending.message}" if ending.message else text)


def _is_another_run(pod: Pod, workload: Workload) -> bool:
    run, remembered = workload.run, pods.remembered_run(pod)
    if run is None:
        return False
    return remembered is None or (remembered.container_id, remembered.started_at) != (run.container_id, run.started_at)


def _is_new(pod: Pod, workload: Workload, annotation: str) -> bool:
    """Whether the workload writes something there that the pod does not say yet."""
    value = workload.annotations.get(annotation)
    return bool(value) and value != pods.annotations_of(pod).get(annotation)


def _took(machine: Machine) -> str:
    if machine.download is None:
        return ""
    return f" in {'' if machine.is_download_exact else 'at most '}{_in_words(machine.download)}"


def _in_words(duration: datetime.timedelta) -> str:
    """As Go writes durations, to the second: 1h2m3s."""
    minutes, seconds = divmod(max(0, round(duration.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return f"{text}{seconds}s"
