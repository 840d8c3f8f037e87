"""The pods that people create: what kind each is, as a change of a plain one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FOREIGN_FINALIZER = "example.com/keep"
# Marks that say what must come of a pod, for the rules.
NEVER_RUNS = "explorer/never-runs"
LOOPS = "explorer/loops"

Pod = dict[str, Any]


def _plain(pod: Pod) -> None:
    """Nothing special."""


def _environment(pod: Pod, name: str, value: str) -> None:
    pod["spec"]["containers"][0]["env"].append({"name": name, "value": value})


def _has_probe(pod: Pod) -> None:
    pod["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/", "port": 80}}


def _exits(code: str) -> Callable[[Pod], None]:
    def change(pod: Pod) -> None:
        _environment(pod, "SIM_EXIT", code)
        policy = pod["spec"]["restartPolicy"]
        if policy == "Always" or (policy == "OnFailure" and not code.startswith("0")):
            pod["metadata"]["annotations"][LOOPS] = "yes"

    return change


def _has_no_image(pod: Pod) -> None:
    pod["spec"]["containers"][0]["image"] = "does-not-exist:1"


def _does_not_start(kind: str) -> Callable[[Pod], None]:
    def change(pod: Pod) -> None:
        _environment(pod, "SIM_START", kind)
        pod["metadata"]["annotations"][LOOPS] = "yes"

    return change


def _lacks_secret(pod: Pod) -> None:
    reference = {"secretKeyRef": {"name": "absent", "key": "value"}}
    pod["spec"]["containers"][0]["env"].append({"name": "ABSENT", "valueFrom": reference})
    pod["metadata"]["annotations"][NEVER_RUNS] = "yes"


def _is_kept_by_others(pod: Pod) -> None:
    pod["metadata"]["finalizers"] = [FOREIGN_FINALIZER]


def _has_deadline(pod: Pod) -> None:
    pod["spec"]["activeDeadlineSeconds"] = 300


def _survives_interruption(pod: Pod) -> None:
    pod["metadata"]["annotations"]["salad.com/on-interruption"] = "continue"


def _is_refused(pod: Pod) -> None:
    pod["spec"]["hostNetwork"] = True
    pod["metadata"]["annotations"][NEVER_RUNS] = "yes"


def _is_of_a_daemon_set(pod: Pod) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "set", "uid": "set", "controller": True}
    pod["metadata"]["ownerReferences"] = [owner]
    pod["metadata"]["annotations"][NEVER_RUNS] = "yes"


def _wants_a_gpu(pod: Pod) -> None:
    pod["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}


def _is_of_another_kubelet(pod: Pod) -> None:
    pod["metadata"]["annotations"]["explorer/released"] = "never ours"
    pod["metadata"]["annotations"][NEVER_RUNS] = "yes"
    running = {"running": {"startedAt": "2025-12-31T00:00:00Z"}}
    status = {"name": "main", "image": "image:0", "imageID": "", "ready": True, "restartCount": 0, "state": running}
    pod["status"] = {"phase": "Running", "containerStatuses": [{**status, "containerID": "docker://1"}]}


_KINDS: tuple[Callable[[Pod], None], ...] = (
    *(_plain,) * 8,
    _has_probe,
    _exits("0 after 5s"),
    _exits("0"),
    _exits("3 after 2s"),
    _exits("137 after 2s oom"),
    _has_no_image,
    _does_not_start("fail"),
    _does_not_start("stuck"),
    _lacks_secret,
    _is_kept_by_others,
    _has_deadline,
    _survives_interruption,
    _is_refused,
    _is_of_a_daemon_set,
    _wants_a_gpu,
    _is_of_another_kubelet,
)
_POLICIES = ("Always", "Always", "OnFailure", "Never")


def plain_choice(choice: int) -> int:
    """One of the choices that give a plain pod."""
    return choice % (len(_POLICIES) * _KINDS.count(_plain))


def pod_of_kind(name: str, node: str, choice: int) -> Pod:
    """A pod bound to the node; its status, if it has one, must be written after its creation."""
    reference = {"secretKeyRef": {"name": "token", "key": "value"}}
    container = {
        "name": "main",
        "image": f"image:{choice % 3}",
        "env": [{"name": "TOKEN", "valueFrom": reference}],
    }
    policy = _POLICIES[choice % len(_POLICIES)]
    pod: Pod = {
        "metadata": {"name": name, "annotations": {}},
        "spec": {"nodeName": node, "restartPolicy": policy, "containers": [container]},
    }
    _KINDS[choice // len(_POLICIES) % len(_KINDS)](pod)
    return pod
