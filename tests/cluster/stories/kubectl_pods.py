"""What an author does with pods, by kubectl: waiting, rolling out, deleting, debugging, and what is refused."""

from __future__ import annotations

import contextlib

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.kubectl_world import SECONDS, TIMEOUT, KubectlWorld

IMAGE_2 = "registry.example/server:2"
IMAGE_3 = "registry.example/server:3"
TOOLS = "registry.example/tools:1"
NO_WAY_IN = "its cloud's API offers no way into a running container; the cloud's portal has a terminal"
ONLY_ONE = "only one container here"


def wait_for_conditions_and_fields(world: KubectlWorld) -> None:
    world.create_pod(manifests.pod("web"))
    world.create_job(manifests.job("good", manifests.exits(0)))
    world.create_job(manifests.job("bad", manifests.exits(3)))
    world.kubectl("wait", "--for=condition=Ready", "pod/web", TIMEOUT)
    assert seen.is_ready(world.pod("web"))
    world.kubectl("wait", "--for=condition=ContainersReady", "pod/web", TIMEOUT)
    world.kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/web", TIMEOUT)
    world.kubectl("wait", "--for=jsonpath={.status.containerStatuses[0].containerID}", "pod/web", TIMEOUT)
    world.kubectl("wait", "--for=condition=complete", "job/good", TIMEOUT)
    world.kubectl("wait", "--for=condition=failed", "job/bad", TIMEOUT)
    phases = {pod["metadata"]["labels"]["job-name"]: seen.phase(pod) for pod in world.pods() if _is_of_a_job(pod)}
    assert phases == {"good": "Succeeded", "bad": "Failed"}
    world.kubectl("delete", "pod/web", "job/good", "job/bad", TIMEOUT)
    world.until_nothing_is_left(timeout=SECONDS)


def wait_for_delete(world: KubectlWorld) -> None:
    """It ends when nothing is left to pay for, not before."""
    world.create_pod(manifests.pod("web"))
    group = seen.group_name(world.until_ready("web", SECONDS))
    world.refuse_deletes(group)
    with world.begin("wait", "--for=delete", "pod/web", TIMEOUT) as waiting:
        world.kubectl("delete", "pod", "web", "--wait=false")
        world.until(lambda: world.is_told("web", "DeletionWaits"), "the Event", SECONDS)
        assert waiting.is_running() and world.pod("web") is not None
        world.accept_deletes(group)
        waiting.until_it_has_succeeded()
    assert world.group_names() == set()


def delete_in_every_way(world: KubectlWorld) -> None:
    ways = {
        "plain": (),
        "short": ("--grace-period=1",),
        "now": ("--now",),
        "forced": ("--force", "--grace-period=0"),
    }
    for name in ways:
        world.create_pod(manifests.pod(name))
    groups = {pod["metadata"]["name"]: seen.group_name(pod) for pod in world.until_all_ready(len(ways), SECONDS)}
    with contextlib.ExitStack() as stack:
        deletes = {
            name: stack.enter_context(world.begin("delete", "pod", name, *flags, TIMEOUT))
            for name, flags in ways.items()
        }
        for name, delete in deletes.items():
            assert "deleted" in delete.until_it_has_succeeded()
            assert world.pod(name) is None and groups[name] not in world.group_names()
    world.until_nothing_is_left(timeout=SECONDS)


def rollouts_of_a_deployment(world: KubectlWorld) -> None:
    world.apply(manifests.deployment("web", 2, node=world.node))
    assert "successfully rolled out" in world.kubectl("rollout", "status", "deployment/web", TIMEOUT)
    first = {pod["metadata"]["uid"] for pod in world.pods()}
    world.kubectl("set", "image", "deployment/web", f"main={IMAGE_2}")
    assert "successfully rolled out" in world.kubectl("rollout", "status", "deployment/web", TIMEOUT)
    second = _running_uids(world)
    assert len(second) == 2 and not first & second
    assert {pod["spec"]["containers"][0]["image"] for pod in _running(world)} == {IMAGE_2}
    world.kubectl("rollout", "restart", "deployment/web")
    assert "successfully rolled out" in world.kubectl("rollout", "status", "deployment/web", TIMEOUT)
    third = _running_uids(world)
    assert len(third) == 2 and not second & third
    world.kubectl("scale", "deployment/web", "--replicas=3")
    world.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", "deployment/web", TIMEOUT)
    world.kubectl("scale", "deployment/web", "--replicas=0")
    world.until_nothing_is_left(timeout=SECONDS)
    world.kubectl("delete", "deployment/web", TIMEOUT)


def an_image_changed_in_place(world: KubectlWorld) -> None:
    """The same pod and the same group, with another container."""
    world.create_pod(manifests.pod("web"))
    before = world.until_ready("web", SECONDS)
    world.kubectl("set", "image", "pod/web", f"main={IMAGE_3}")

    def is_changed() -> bool:
        group = world.group_of(before)
        pod = world.pod("web")
        assert group is not None and group["name"] == seen.group_name(before) and group["image"] == IMAGE_3
        assert seen.is_ready(pod) and seen.container_status(pod)["image"] == IMAGE_3, pod
        return world.is_told("web", "Updated")

    world.until(is_changed, "the new image", SECONDS)
    world.kubectl("delete", "pod/web", TIMEOUT)


def what_has_no_way_in_is_refused_in_one_sentence(world: KubectlWorld) -> None:
    world.create_pod(manifests.pod("web"))
    world.until_ready("web", SECONDS)
    mine = world.directory / "mine"
    mine.write_text("mine")
    theirs = world.directory / "theirs"
    for words, verbs in (
        (("exec", "web", "--", "ls"), "kubectl exec and cp are"),
        (("exec", "-it", "web", "--", "sh"), "kubectl exec and cp are"),
        (("attach", "web"), "kubectl attach is"),
        (("cp", f"{world.namespace}/web:/etc/hosts", str(theirs)), "kubectl exec and cp are"),
        (("cp", str(mine), f"{world.namespace}/web:/tmp/mine"), "kubectl exec and cp are"),
    ):
        said = world.run(*words)
        assert said.code == 1, said
        assert f"{verbs} not possible on this node: {NO_WAY_IN}" in said.err, said
        assert said.out == "", said
    assert not theirs.exists()
    said = world.run("port-forward", "web", ":80")
    assert said.code == 1, said
    assert "kubectl port-forward is not possible on this node: the only way in is its cloud's gateway" in said.err, said
    assert seen.is_ready(world.pod("web"))
    world.kubectl("delete", "pod/web", TIMEOUT)


def debug_of_a_pod(world: KubectlWorld) -> None:
    """Nothing can be added to a pod; who asks for it is told, and the pod goes on."""
    world.create_pod(manifests.pod("web"))
    before = world.until_ready("web", SECONDS)
    world.kubectl("debug", "web", f"--image={TOOLS}", "--container=first", "--", "sh")
    refusal = world.refused("debug", "web", "-i", f"--image={TOOLS}", "--container=second", "--target=main", "--", "sh")
    assert 'container "second" in pod "web" never ran: UnsupportedField: ' in refusal and ONLY_ONE in refusal, refusal
    after = world.until_pod("web", lambda pod: len(_ephemeral(pod)) == 2, "to say so of both", SECONDS)
    for name in ("first", "second"):
        ended = _ephemeral(after)[name]["state"]["terminated"]
        assert (ended["reason"], ended["exitCode"]) == ("UnsupportedField", 128)
        told = f"the ephemeral container {name} is not run"
        world.until(lambda: world.is_told("web", "UnsupportedField", told), "the Event", SECONDS)  # noqa: B023
    assert seen.is_ready(after) and seen.container_status(after) == seen.container_status(before)
    # A copy with one more container is another pod, which is refused as a whole.
    with world.begin("debug", "web", "-i", "--copy-to=copy", f"--image={TOOLS}", "--container=third") as copying:
        copying.until_it_says(f"Warning: container third: the container third: a pod can have {ONLY_ONE}")
    assert world.group_names() == {seen.group_name(before)}
    world.kubectl("delete", "pod/web", "pod/copy", TIMEOUT)


def debug_of_the_node(world: KubectlWorld) -> None:
    said = world.kubectl("debug", f"node/{world.node}", f"--image={TOOLS}")
    (pod,) = world.pods()
    assert f"Creating debugging pod {pod['metadata']['name']}" in said
    refusal = world.refused("debug", f"node/{world.node}", "-i", f"--image={TOOLS}")
    assert "never ran: UnsupportedField: " in refusal, refusal
    assert "hostNetwork: a pod has no part in the machine that it runs on" in refusal, refusal
    world.until(lambda: {seen.phase(each) for each in world.pods()} == {"Failed"}, "both to have failed", SECONDS)
    assert "UnsupportedField" in world.kubectl("get", "pods", "--no-headers")
    assert "hostPID" in world.kubectl("describe", "pod", pod["metadata"]["name"])
    assert world.group_names() == set()
    world.kubectl("delete", "pods", "--all", TIMEOUT)


def a_watch_shows_every_step(world: KubectlWorld) -> None:
    elsewhere = manifests.pod("first")
    elsewhere["spec"]["nodeSelector"] = {"example.com/nowhere": "yes"}
    world.cluster.create_pod(elsewhere, world.namespace)
    with world.begin("get", "pods", "--watch", "--no-headers") as watching:
        watching.until_it_says("first")
        world.create_pod(manifests.pod("web"))
        world.until_ready("web", SECONDS)
        wide = world.kubectl("get", "pod", "web", "-o", "wide", "--no-headers").split()
        assert wide[:3] == ["web", "1/1", "Running"] and world.node in wide
        watching.until_it_says("Running")
        world.kubectl("delete", "pod/web", TIMEOUT)
        watching.until_it_says("Terminating")
    steps = [line.split()[2] for line in watching.text().splitlines() if line.startswith("web ")]
    shown = [step for number, step in enumerate(steps) if step not in steps[:number]]
    expected = ["Pending", "ContainerCreating", "Running", "Terminating"]
    assert [step for step in shown if step in expected] == expected, steps
    world.kubectl("delete", "pod/first", TIMEOUT)


def _is_of_a_job(pod: Object) -> bool:
    return "job-name" in pod["metadata"].get("labels", {})


def _running(world: KubectlWorld) -> list[Object]:
    return [pod for pod in world.pods() if "deletionTimestamp" not in pod["metadata"]]


def _running_uids(world: KubectlWorld) -> set[str]:
    return {pod["metadata"]["uid"] for pod in _running(world)}


def _ephemeral(pod: Object) -> dict[str, Object]:
    return {status["name"]: status for status in pod["status"].get("ephemeralContainerStatuses") or []}


STORIES = (
    wait_for_conditions_and_fields,
    wait_for_delete,
    delete_in_every_way,
    rollouts_of_a_deployment,
    an_image_changed_in_place,
    what_has_no_way_in_is_refused_in_one_sentence,
    debug_of_a_pod,
    debug_of_the_node,
    a_watch_shows_every_step,
)
