"""Judges every call of every daemon, and the state of the world between any two steps, by the invariants.

Rules by the names that a violation bears, those of the invariants first:

I1   one group per pod; the next attempt only after the one before is gone, and only the claimed one
I2   writes to groups, pods, nodes and leases of one's own only; deletes only by the pod or as a proven orphan
I3   what could not be asked changes nothing: no pod fails as not found while its group is there
I4   the claim before the create, and until the group is gone; no billed group without a claimed pod
I5   no create for a finished pod; that its group goes is a matter of `settling`
I7   no secret value in anything that is written to the API server, Events too
I8   the node is always Ready, whatever SaladCloud does
I9   at most 240 requests of one process in any minute, none before the time that SaladCloud asked for; at rest only
     list, feed, quota and classes (`settling`)
I10  no reconciles without end (`schedule`); that nothing is forgotten is a matter of `settling`
I11  an update only for another image
brake, leader, phase, schema  what vanished at once is held; who does not lead does not write; phases never go back;
     requests are as SaladCloud describes them
kept  what others write on pods and nodes stays, and so does what was told (`keeping`)
ready, restarts, run, running, ending, waiting, failed, succeeded  a status is true (`telling`)
liveness  in the end everything is as people want it (`settling`)
defect  an exception that nobody expected (`rules`)

Not judged here: I6 (tests/golden and tests/unit/kubelet/test_refusals.py), secrets in logs, metrics and texts
(tests/integration/test_no_secret_anywhere.py), the lease's own thread and its deadlines
(tests/integration/test_daemon_outages.py), how soon a Secret is seen (tests/simulated/test_missing_sources.py).
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.explorer import rules
from tests.explorer.keeping import judge_kept_node, judge_kept_pod
from tests.explorer.rules import ATTEMPT, CLAIM, Violation
from tests.explorer.telling import judge_status
from virtual_kubelet_salad.saladcloud import owner

if TYPE_CHECKING:
    from tests.explorer.process import Process
    from tests.explorer.world import World
    from virtual_kubelet_salad.sandbox.salad_world import Group

MOST_PER_MINUTE = 240
MINUTE_SECONDS = 60.0
# More than these at once are held.
BRAKE_FEWEST = 10
CANARY = "canary-7f3b"
_POD = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)(?:/status)?")
_NODE = re.compile(r"/api/v1/nodes/([^/]+)(?:/status)?")


class Judge:
    """One world's judge. Every method raises `Violation`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before: tuple[str, Mapping[str, Any]] | None = None
        """Path and state of the pod that the present call is about."""

    # -- calls to SaladCloud ------------------------------------------------------------------------------------------

    def before_cloud(self, process: Process, method: str, path: str, body: Any) -> None:
        now = self._world.clock.monotonic()
        if now < process.silent_until - 1e-6:
            raise Violation("I9", f"asked {process.silent_until - now:.1f} s before the time that SaladCloud named")
        calls = process.calls
        calls.append(now)
        while calls[0] <= now - MINUTE_SECONDS:
            calls.popleft()
        if len(calls) > MOST_PER_MINUTE:
            raise Violation("I9", f"{len(calls)} requests in a minute")
        if not process.is_write(method, path):
            return
        self._judge_leadership(process, f"{method} {path}")
        if not path.startswith(process.groups_path):
            raise Violation("I2", f"{method} {path}")
        name = path.removeprefix(process.groups_path).strip("/").partition("/")[0]
        if method == "DELETE":
            self._judge_delete(process, name)
        elif method == "PATCH":
            self._judge_update(process, name, body)
        elif not name:
            self._judge_create(process, body)

    def asked_to_wait(self, process: Process, seconds: float) -> None:
        """SaladCloud has answered 429 and said when to come back."""
        process.silent_until = max(process.silent_until, self._world.clock.monotonic() + seconds)

    def _judge_create(self, process: Process, body: Any) -> None:
        world, record = self._world, owner.decode(body["container"]["environment_variables"][owner.SALAD_VK_OWNER])
        assert record is not None
        pod = world.pod(record.uid)
        if record.uid in world.let_go:
            return
        if pod is None or not rules.is_claimed(pod):
            raise Violation("I4", f"create of {body['name']} without a claim")
        if pod["spec"]["nodeName"] != process.node:
            raise Violation("I2", f"create of {body['name']} for a pod of {pod['spec']['nodeName']}")
        if rules.is_finished(pod):
            raise Violation("I5", f"create of {body['name']} for a finished pod")
        if record.uid not in world.edited and rules.annotation(pod, ATTEMPT) != str(record.attempt):
            claimed = rules.annotation(pod, ATTEMPT)
            raise Violation("I1", f"create of attempt {record.attempt}, but {claimed} is claimed")
        for group in world.groups_of(record.uid):
            if group.name != body["name"]:
                raise Violation("I1", f"create of {body['name']} while {group.name} is there")

    def _judge_delete(self, process: Process, name: str) -> None:
        world, group = self._world, self._world.group(process.project, name)
        if group is None:
            return
        if name in world.foreign:
            raise Violation("I2", f"delete of the foreign group {name}")
        uid = world.squatted.get(name) or group.owner_uid or ""
        pod = world.pod(uid)
        if pod is None:
            if self._is_held_orphan(uid):
                raise Violation("brake", f"delete of {name}, one of many orphans at once")
            return
        if pod["spec"]["nodeName"] != process.node:
            raise Violation("I2", f"delete of {name}, whose pod is another node's")
        if not rules.may_delete(pod, group.status if name not in world.squatted else ""):
            raise Violation("I2", f"delete of {name} though its pod runs: {pod['status'].get('phase')}")

    def _is_held_orphan(self, uid: str) -> bool:
        """Whether its pod was lost with most others, and the orphans are still most of what there is."""
        world, now = self._world, self._world.clock.monotonic()
        groups = [group.owner_uid or "" for group in world.own_groups() if not group.is_deleting]
        held = [owner_uid for owner_uid in groups if now < world.orphans_held_until.get(owner_uid, float("-inf"))]
        return uid in held and len(held) > BRAKE_FEWEST and 2 * len(held) > len(groups)

    def _judge_update(self, process: Process, name: str, body: Any) -> None:
        world, group = self._world, self._world.group(process.project, name)
        if group is None:
            return
        if name in world.never_ours:
            raise Violation("I2", f"update of the foreign group {name}")
        image = str((body.get("container") or {}).get("image"))
        if image == group.spec["container"]["image"] and (name, image) not in world.images_sent:
            raise Violation("I11", f"update of {name} to the image that it has")
        world.images_sent.add((name, image))

    # -- calls to the API server --------------------------------------------------------------------------------------

    def before_api(self, process: Process, method: str, path: str, body: Any) -> None:
        self._before = None
        if method == "GET":
            return
        if CANARY in json.dumps(body):
            raise Violation("I7", f"a secret value in {method} {path}")
        if "/events" in path:
            return
        if "/leases" in path:
            if process.node not in path and process.node not in json.dumps(body):
                raise Violation("I2", f"{method} {path} by {process.node}")
            return
        self._judge_leadership(process, f"{method} {path}")
        found = _NODE.fullmatch(path)
        if found is not None:
            self._judge_node_write(process, found[1], body)
            node = self._world.api_model.look_up("nodes", "", found[1])
            if node is not None and method != "DELETE":
                self._before = (path, node)
        found = _POD.fullmatch(path)
        if found is not None:
            pod = self._world.api_model.look_up("pods", found[1], found[2])
            if pod is not None:
                self._before = (path, pod)
                self._judge_pod_write(process, pod)

    def after_api(self, process: Process, method: str, path: str) -> None:
        if self._before is None or self._before[0] != path:
            return
        before, self._before = self._before[1], None
        uid = before["metadata"]["uid"]
        if _NODE.fullmatch(path):
            node = self._world.api_model.look_up("nodes", "", before["metadata"]["name"])
            if node is not None and node["metadata"]["uid"] == uid:
                judge_kept_node(before, node)
            return
        pod = self._world.pod(uid)
        if rules.is_claimed(before) and (pod is None or not rules.is_claimed(pod)) and uid not in self._world.let_go:
            for group in self._world.groups_of(uid):
                raise Violation("I4", f"{before['metadata']['name']} was let go, and {group.name} is there")
        if pod is None:
            return
        old, new = before["status"].get("phase", "Pending"), pod["status"].get("phase", "Pending")
        if not rules.phase_may_follow(old, new):
            raise Violation("phase", f"{old} → {new} of {pod['metadata']['name']}")
        judge_kept_pod(before, pod)
        judge_status(pod, before, self._world.truth)
        if new == "Failed" != old and pod["status"].get("reason") == "ContainerGroupNotFound":
            self._judge_not_found(pod)

    def _judge_node_write(self, process: Process, name: str, body: Any) -> None:
        if name != process.node:
            raise Violation("I2", f"a write to the node {name} by {process.node}")
        if rules.condition(body, "Ready") not in (None, "True"):
            raise Violation("I8", f"the node says that it is not ready: {body['status']['conditions']}")

    def _judge_pod_write(self, process: Process, pod: Mapping[str, Any]) -> None:
        name = pod["metadata"]["name"]
        if pod["spec"].get("nodeName") != process.node:
            raise Violation("I2", f"a write to {name}, a pod of {pod['spec'].get('nodeName')}")
        location = rules.annotation(pod, CLAIM) or ""
        if rules.is_claimed(pod) and location.count("/") == 2 and pod["metadata"]["uid"] not in self._world.edited:
            if not location.startswith(process.location_prefix):
                raise Violation("I2", f"a write to {name}, which lies in {location}")

    def _judge_not_found(self, pod: Mapping[str, Any]) -> None:
        uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
        if any(not group.is_deleting for group in self._world.groups_of(uid)):
            raise Violation("I3", f"{name} failed as not found, but its group exists")
        for event in self._world.mass_vanishings:
            if uid in event.uids and self._world.clock.monotonic() < event.held_until:
                if sum(map(self._still_counts, event.uids)) > BRAKE_FEWEST:
                    raise Violation("brake", f"{name} failed as not found while most had vanished at once")

    def _still_counts(self, uid: str) -> bool:
        """Whether a pod whose group has vanished should run all the same, as far as people are concerned."""
        pod = self._world.pod(uid)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return False
        if uid in self._world.edited:
            # Under the attempt that it names now nothing has vanished.
            return False
        state = rules.container_status(pod).get("state") or {}
        # Of a group that no status tells of, a new process cannot know that it has vanished.
        waits_for = (state.get("waiting") or {}).get("reason")
        return bool(state) and waits_for not in ("ContainerCreating", "ErrImagePull", "ImagePullBackOff")

    def _judge_leadership(self, process: Process, what: str) -> None:
        if not process.is_active() and process is not self._world.frozen_in_call:
            raise Violation("leader", f"{what} by a process that does not lead")

    # -- between any two steps ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """What must hold at every moment."""
        world = self._world
        if world.cloud._traffic.violation_count:
            raise Violation("schema", str(world.cloud._traffic.violations[:1]))
        groups = world.cloud._world.groups
        present = {group.name for group in groups.values()}
        for name in world.foreign:
            if name not in present:
                raise Violation("I2", f"the foreign group {name} was deleted")
        pods = {pod["metadata"]["uid"]: pod for pod in world.api_model.all_of("pods")}
        seen: dict[str, str] = {}
        for group in groups.values():
            if group.owner_uid is None or group.name in world.never_ours or group.owner_uid in world.let_go:
                continue
            self._check_group(group, pods.get(group.owner_uid), seen)
        if world.layout.replicas > 1:
            leading = collections.Counter(one.node for one in world.processes if one.is_active())
            if leading and max(leading.values()) > 1:
                raise Violation("leader", "two replicas lead")

    def _check_group(self, group: Group, pod: Mapping[str, Any] | None, seen: dict[str, str]) -> None:
        assert group.owner_uid is not None
        other = seen.setdefault(group.owner_uid, group.name)
        if other != group.name:
            raise Violation("I1", f"two groups for one pod: {other} and {group.name}")
        if group.is_deleting:
            return
        if pod is None:
            raise Violation("I4", f"{group.name} is billed and its pod is gone")
        if not rules.is_claimed(pod):
            raise Violation("I4", f"{group.name} is billed and its pod has no finalizer")
