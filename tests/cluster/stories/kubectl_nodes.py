"""What an administrator does with the node, by kubectl: reading it, taking it out of service, deleting it."""

from __future__ import annotations

import json

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.kubectl_world import SECONDS, TIMEOUT, KubectlWorld

POLICY = "apis/policy/v1"
CORDONED = "node.kubernetes.io/unschedulable"
OWN_TAINT = "virtual-kubelet.io/provider"
FOREIGN_TAINT = "example.com/mine"
CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable", "SaladCloudReachable")


def describe_node(world: KubectlWorld) -> None:
    pod = manifests.pod("web")
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1500m", "memory": "2Gi"}}
    world.create_pod(pod)
    world.until_ready("web", SECONDS)
    said = world.kubectl("describe", "node", world.node)
    sections = _sections(said)
    assert sections["Taints"] == f"{OWN_TAINT}=saladcloud:NoSchedule"
    assert sections["Unschedulable"] == "false"
    assert sections["ProviderID"] == f"saladcloud://{world.node}"
    assert f"HolderIdentity: {world.node}" in sections["Lease"]
    assert "RenewTime: <unset>" not in sections["Lease"]
    told = [
        line.split()[0] for line in said.partition("\nConditions:")[2].partition("\nAddresses:")[0].splitlines()[3:]
    ]
    assert sorted(told) == sorted(CONDITIONS)
    for section in ("Capacity", "Allocatable"):
        amounts = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in _lines(said, section)}
        assert {"cpu", "ephemeral-storage", "memory", "nvidia.com/gpu", "pods"} <= amounts.keys()
        assert "0" not in amounts.values(), amounts
    system = " ".join(" ".join(_lines(said, "System Info")).split())
    version = json.loads(world.kubectl("get", "--raw", "/version"))["gitVersion"]
    for fact in (f"Kubelet Version: {version}", "Operating System: linux", "Architecture: amd64"):
        assert fact in system, system
    row = next(line.split() for line in said.splitlines() if line.split()[:2] == [world.namespace, "web"])
    assert row[2] == "1500m" and row[6] == "2Gi", row
    wide = world.kubectl("get", "node", world.node, "-o", "wide", "--no-headers").split()
    assert wide[:3] == [world.node, "Ready", "agent"]
    world.kubectl("delete", "pod/web", TIMEOUT)


def cordon_drain_and_uncordon(world: KubectlWorld) -> None:
    """Pods go by eviction, which heeds disruption budgets; the node's own writes leave the cordon alone. The node is
    this story's own, and there is no other for its pods."""
    world.apply(manifests.deployment("web", 2, node=world.node))
    world.apply(manifests.daemon_set("shipper", node=world.node))
    world.create_pod(manifests.pod("alone"))
    selector = {"matchLabels": {"app": "web"}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}}
    world.apply({**budget, "spec": {"minAvailable": 1, "selector": selector}})
    first = {pod["metadata"]["uid"] for pod in world.until_all_ready(4, SECONDS)}
    said = world.kubectl("rollout", "status", "daemonset/shipper", TIMEOUT)
    assert 'daemon set "shipper" successfully rolled out' in said
    world.until(lambda: _disruptions_allowed(world) == 1, "the budget to be counted", SECONDS)

    world.kubectl("cordon", world.node)
    assert "Ready,SchedulingDisabled" in world.kubectl("get", "node", world.node, "--no-headers")
    world.create_pod(manifests.pod("late"))
    world.until_pod("late", lambda pod: seen.condition(pod, "PodScheduled") == "False", "to find no node", SECONDS)
    world.kubectl("taint", "node", world.node, f"{FOREIGN_TAINT}=yes:NoSchedule")
    world.kubectl("taint", "node", world.node, f"{OWN_TAINT}:NoSchedule-")

    refusal = world.refused("drain", world.node)
    assert "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)" in refusal, refusal
    assert "cannot delete Pods that declare no controller (use --force to override)" in refusal, refusal
    assert first <= {pod["metadata"]["uid"] for pod in world.pods()}
    with world.begin("drain", world.node, "--ignore-daemonsets", "--force", TIMEOUT) as draining:
        draining.until_it_says("as it would violate the pod's disruption budget")
        kept: Object = world.until(lambda: _only_one_that_stays(world), "one to stay", SECONDS)
        assert kept["metadata"]["uid"] in first and seen.is_ready(kept)
        assert seen.group_name(kept) in world.group_names()
        world.kubectl("delete", "pdb/web")
        draining.until_it_has_succeeded()
    assert world.group_names() == set()
    assert _placed(world) == []
    assert [_owner(pod) for pod in world.pods() if pod["spec"].get("nodeName")] == ["DaemonSet"]

    # The daemon has put its own taint back beside those of others.
    every = {CORDONED, FOREIGN_TAINT, OWN_TAINT}
    world.until(lambda: every <= _taints(world), "the node's own taint beside the others", SECONDS)
    node = world.cluster.node(world.node)
    assert node is not None and node["spec"]["unschedulable"] is True
    # The Deployment's two and the late one wait for a node.
    world.until(lambda: len(world.pods()) == 4, "the pods that wait", SECONDS)

    world.kubectl("uncordon", world.node)
    world.kubectl("taint", "node", world.node, f"{FOREIGN_TAINT}:NoSchedule-")
    world.until(lambda: CORDONED not in _taints(world), "the end of the cordon", SECONDS)
    world.until_all_ready(4, SECONDS)
    world.kubectl("delete", "deployment/web", "daemonset/shipper", "pod/late", TIMEOUT)
    world.until_nothing_is_left(timeout=SECONDS)


def delete_node(world: KubectlWorld) -> None:
    """It comes back at once, as another Node, and its pods stay. The node is this story's own."""
    world.create_pod(manifests.pod("web"))
    pod = world.until_ready("web", SECONDS)
    before = world.cluster.node(world.node)
    assert before is not None
    world.kubectl("delete", "node", world.node, TIMEOUT)

    def is_back() -> Object:
        node = world.cluster.node(world.node)
        assert node is not None and node["metadata"]["uid"] != before["metadata"]["uid"]
        assert seen.condition(node, "Ready") == "True"
        lease = world.cluster.get(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{world.node}")
        assert lease is not None
        assert [owner["uid"] for owner in lease["metadata"]["ownerReferences"]] == [node["metadata"]["uid"]]
        return node

    after: Object = world.until(is_back, "the Node to be back", SECONDS)
    assert OWN_TAINT in _taints(world)
    world.until(lambda: _labels(world) == before["metadata"]["labels"], "all labels, the controllers' too", SECONDS)
    # Not `pods`, among which one that was just placed counts twice for a moment.
    for resource in ("cpu", "memory", "nvidia.com/gpu"):
        assert after["status"]["capacity"][resource] == before["status"]["capacity"][resource]
    world.create_pod(manifests.pod("next"))
    world.until_ready("next", SECONDS)
    kept = world.until_ready("web", SECONDS)
    assert kept["metadata"]["uid"] == pod["metadata"]["uid"]
    assert seen.container_status(kept) == seen.container_status(pod)
    assert "container of " in world.kubectl("logs", "web")
    world.kubectl("delete", "pod/web", "pod/next", TIMEOUT)


def _sections(described: str) -> dict[str, str]:
    """Title -> what follows it, in one line."""
    found: dict[str, str] = {}
    title = ""
    for line in described.splitlines():
        if not line.startswith(" "):
            title, _, rest = line.partition(":")
            found[title] = rest.strip()
        else:
            found[title] = f"{found[title]} {' '.join(line.split())}".strip()
    return found


def _lines(described: str, title: str) -> list[str]:
    """The indented lines below a title."""
    lines = described.partition(f"\n{title}:\n")[2].splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith(" ")), len(lines))
    return lines[:end]


def _disruptions_allowed(world: KubectlWorld) -> int:
    budget = world.cluster.get(world.path("poddisruptionbudgets", "web", POLICY))
    assert budget is not None
    return int(budget.get("status", {}).get("disruptionsAllowed", 0))


def _placed(world: KubectlWorld) -> list[Object]:
    """Pods that run on the node, those of DaemonSets aside."""
    return [pod for pod in world.pods() if pod["spec"].get("nodeName") and _owner(pod) != "DaemonSet"]


def _only_one_that_stays(world: KubectlWorld) -> Object:
    staying = [pod for pod in _placed(world) if "deletionTimestamp" not in pod["metadata"]]
    assert len(staying) == 1, seen.in_short(staying)
    return staying[0]


def _labels(world: KubectlWorld) -> dict[str, str]:
    node = world.cluster.node(world.node)
    assert node is not None
    labels: dict[str, str] = node["metadata"]["labels"]
    return labels


def _owner(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("kind", ""))


def _taints(world: KubectlWorld) -> set[str]:
    node = world.cluster.node(world.node)
    assert node is not None
    return {taint["key"] for taint in node["spec"].get("taints") or []}


STORIES = (describe_node,)
STORIES_WITH_A_NODE = (cordon_drain_and_uncordon, delete_node)
"""Each needs a daemon and a Node of its own."""
