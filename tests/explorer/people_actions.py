"""What people do with kubectl: pods, Secrets, namespaces and Jobs come, change and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.explorer.judge import BRAKE_FEWEST, CANARY
from tests.explorer.pod_kinds import FOREIGN_FINALIZER, LOOPS, NEVER_RUNS, plain_choice, pod_of_kind
from tests.explorer.rules import ATTEMPT, CLAIM, FINALIZER, FOREIGN_MARK, is_claimed
from tests.explorer.world import STRATEGIC, TEAM, World

JOBS = "/apis/batch/v1/namespaces/default/jobs"


def path_of(pod: Mapping[str, Any]) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def chosen_pod(world: World, choice: int) -> Mapping[str, Any] | None:
    pods = world.api_model.all_of("pods")
    return pods[choice % len(pods)] if pods else None


def pod_path(world: World, choice: int) -> str | None:
    pod = chosen_pod(world, choice)
    return path_of(pod) if pod is not None else None


def create_pod(world: World, first: int, second: int) -> None:
    """Under a name that may be taken or may have been used before."""
    if len(world.api_model.all_of("pods")) >= world.layout.most_pods:
        return
    namespace = TEAM if first % 5 == 4 else "default"
    node = world.layout.nodes[first % len(world.layout.nodes)]
    # A crowd is to run, so most of it is plain.
    choice = plain_choice(second) if world.layout.kind == "crowd" and second % 10 else second
    _create(world, namespace, pod_of_kind(f"pod-{first % (world.layout.most_pods - 2)}", node, choice))


def _create(world: World, namespace: str, pod: dict[str, Any]) -> None:
    path, status = f"/api/v1/namespaces/{namespace}/pods", pod.pop("status", None)
    created = world.ask_api("POST", path, pod)
    if status is not None and created.get("kind") == "Pod":
        world.ask_api("PATCH", f"{path}/{pod['metadata']['name']}/status", {"status": status}, STRATEGIC)


def delete_pod(world: World, first: int, second: int) -> None:
    """With grace or by force."""
    path = pod_path(world, first)
    if path is not None:
        world.ask_api("DELETE", path, {"gracePeriodSeconds": (0, 30)[second % 2]})


def recreate_pod(world: World, first: int, second: int) -> None:
    """By force, and at once anew under the same name; while the old one is kept that is refused."""
    pod = chosen_pod(world, first)
    if pod is not None:
        metadata = pod["metadata"]
        world.ask_api("DELETE", path_of(pod), {"gracePeriodSeconds": 0})
        _create(world, metadata["namespace"], pod_of_kind(metadata["name"], pod["spec"]["nodeName"], second))


def edit_image(world: World, first: int, second: int) -> None:
    path = pod_path(world, first)
    if path is not None:
        image = ("image:0", "image:1", "image:2", "does-not-exist:2")[second % 4]
        world.ask_api("PATCH", path, {"spec": {"containers": [{"name": "main", "image": image}]}}, STRATEGIC)


def edit_claim(world: World, first: int, second: int) -> None:
    """An author edits what the daemon has written."""
    path = pod_path(world, first)
    if path is None or any(process.project != "default" for process in world.processes):
        return  # two mistakes at once, a wrong project and a wrong claim, are more than can be put right
    value = (None, "0", "2", "nonsense")[second % 4]
    key = (ATTEMPT, CLAIM)[first % 2]
    answer = world.ask_api("PATCH", path, {"metadata": {"annotations": {key: value}}}, STRATEGIC)
    world.edited.add(answer["metadata"].get("uid", ""))


def edit_annotation(world: World, first: int, second: int) -> None:
    """Annotations that were read when the group was created, and some that mean nothing."""
    path = pod_path(world, first)
    if path is not None:
        edits = (
            {"salad.com/on-interruption": "continue"},
            {"salad.com/on-interruption": None},
            {"salad.com/country-codes": ("us", None)[first % 2]},
            {"salad.com/machine-id": ("mine", None)[first % 2]},
            {"note": str(first)},
        )
        world.ask_api("PATCH", path, {"metadata": {"annotations": edits[second % len(edits)]}}, STRATEGIC)


def mark_pod(world: World, first: int, second: int) -> None:
    """Another controller writes a label and a condition of its own; sometimes it gives the pod a deadline."""
    path = pod_path(world, first)
    if path is None:
        return
    if second % 4 == 0:
        world.ask_api("PATCH", path, {"spec": {"activeDeadlineSeconds": (60, 900)[first % 2]}}, STRATEGIC)
        return
    status = ("True", "False")[second % 2]
    world.ask_api("PATCH", path, {"metadata": {"labels": {FOREIGN_MARK: status}}}, STRATEGIC)
    condition = {"type": FOREIGN_MARK, "status": status, "reason": "Theirs"}
    world.ask_api("PATCH", f"{path}/status", {"status": {"conditions": [condition]}}, STRATEGIC)


def change_secret(world: World, first: int, second: int) -> None:
    """The Secret gets another value, goes, or comes back."""
    path = f"/api/v1/namespaces/{(TEAM, 'default')[first % 2]}/secrets/token"
    if second % 3 == 0:
        world.ask_api("DELETE", path)
    elif second % 3 == 1:
        world.restore_secrets()
    else:
        world.ask_api("PATCH", path, {"stringData": {"value": f"{CANARY}-{first}"}}, STRATEGIC)


def drop_foreign_finalizer(world: World, first: int, second: int) -> None:
    path = pod_path(world, first)
    if path is not None:
        patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FOREIGN_FINALIZER]}}
        world.ask_api("PATCH", path, patch, STRATEGIC)


def take_finalizer(world: World, first: int, second: int) -> None:
    """Somebody wants to be rid of a pod at once and takes its finalizers away."""
    pod = chosen_pod(world, first)
    if pod is not None:
        release(world, pod)


def release(world: World, pod: Mapping[str, Any]) -> None:
    """Takes all finalizers from a pod and deletes it by force: its group is left behind."""
    if is_claimed(pod):
        world.let_go.add(pod["metadata"]["uid"])
    path = path_of(pod)
    patch = {
        "metadata": {
            "annotations": {"explorer/released": "yes"},
            "$deleteFromPrimitiveList/finalizers": [FINALIZER, FOREIGN_FINALIZER],
        }
    }
    world.ask_api("PATCH", path, patch, STRATEGIC)
    world.ask_api("DELETE", path, {"gracePeriodSeconds": 0})


def take_all_finalizers(world: World, first: int, second: int) -> None:
    """All pods of the node are lost at once, as with a restored etcd; every group of theirs is an orphan.

    The caches hear of it before anything else happens, so that all are seen to be orphans at the same time.
    """
    groups = [group for group in world.own_groups() if not group.is_deleting]
    pods = [pod for pod in world.api_model.all_of("pods") if is_claimed(pod)]
    lost = {pod["metadata"]["uid"] for pod in pods} & {group.owner_uid for group in groups}
    # A few may go for other reasons before the sweep looks, and then the brake rightly stays off.
    if world.api_is_down or len(lost) <= BRAKE_FEWEST + 3 or 2 * (len(lost) - 3) <= len(groups):
        return
    for pod in pods:
        release(world, pod)
    for process in world.processes:
        process.watch.dead_until = process.api_is_out_of_reach_until = float("-inf")
        while process.watch.deliver():
            pass
    world.note_mass_of_orphans(lost)


def delete_namespace(world: World, first: int, second: int) -> None:
    world.ask_api("DELETE", f"/api/v1/namespaces/{TEAM}")


def create_job(world: World, first: int, second: int) -> None:
    if len(world.api_model.all_of("pods")) >= world.layout.most_pods or world.api_model.all_of("jobs"):
        return
    template = pod_of_kind("unused", world.layout.nodes[first % len(world.layout.nodes)], second)
    annotations = template["metadata"]["annotations"]
    if NEVER_RUNS in annotations or LOOPS in annotations or "finalizers" in template["metadata"]:
        return
    spec = {**template["spec"], "restartPolicy": ("OnFailure", "Never")[second % 2]}
    job = {
        "metadata": {"name": f"job-{first % 2}"},
        "spec": {
            "parallelism": 1 + first % 2,
            "completions": 2,
            "backoffLimit": 1,
            "podReplacementPolicy": ("Failed", "TerminatingOrFailed")[first % 2],
            "template": {"metadata": {"annotations": annotations}, "spec": spec},
        },
    }
    world.ask_api("POST", JOBS, job)
    world.api_model.tick()


def delete_job(world: World, first: int, second: int) -> None:
    """By hand, or by the TTL of a finished one; its pods follow it."""
    for job in world.api_model.all_of("jobs"):
        if first % 4 == 0 or (job.get("status") or {}).get("conditions"):
            world.ask_api("DELETE", f"{JOBS}/{job['metadata']['name']}")
    world.api_model.tick()
