"""What SaladCloud really did, pod by pod, whatever its answers and events let be known of it."""

from __future__ import annotations

import collections
from typing import Any

from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_world import Group, Replica


class Truth:
    """Listens inside the model. Keys are UIDs of pods; groups that only carry a copy of a record are `ignored`."""

    def __init__(self, cloud: SaladCloudModel) -> None:
        self.ignored: set[str] = set()
        self.runs: dict[str, list[str]] = collections.defaultdict(list)
        """The instance of each run that began."""
        self.exits: dict[str, set[tuple[str, int]]] = collections.defaultdict(set)
        """Instance and exit code."""
        self.interrupted: dict[str, set[str]] = collections.defaultdict(set)
        """Instances that were taken away, or restarted by somebody."""
        self.stopped: set[str] = set()
        """Pods whose group has been `stopped`, for whatever reason."""
        self.image_failed: set[str] = set()
        self.updated: set[str] = set()
        self._cloud: Any = cloud
        self._listen()

    def ended_runs(self, uid: str) -> int:
        """How many runs of that pod are over."""
        running = sum(
            replica.run_since is not None
            for group in self._cloud._world.groups.values()
            if group.owner_uid == uid and group.name not in self.ignored
            for replica in group.replicas
        )
        return len(self.runs[uid]) - running

    def _listen(self) -> None:
        logs, life = self._cloud._logs, self._cloud._life
        tell = logs.instance_event

        def instance_event(group: Group, replica: Replica, message: str, *reach: str) -> None:
            self._note(group, replica, message)
            tell(group, replica, message, *reach)

        def noting(act: Any, uids: set[str]) -> Any:
            """The method, with a note of the pod whose group it is about."""

            def noted(group: Group, *arguments: Any) -> None:
                if group.owner_uid is not None and group.name not in self.ignored:
                    uids.add(group.owner_uid)
                act(group, *arguments)

            return noted

        logs.instance_event = instance_event
        life.stop = noting(life.stop, self.stopped)
        # A group whose image was prepared is stopped for a moment, or for good.
        life._prepared = noting(life._prepared, self.stopped)
        life.fail = noting(life.fail, self.image_failed)
        life.update = noting(life.update, self.updated)

    def _note(self, group: Group, replica: Replica, message: str) -> None:
        uid = group.owner_uid
        if uid is None or group.name in self.ignored:
            return
        if message == "Instance Running":
            self.runs[uid].append(replica.instance_id)
        elif message.startswith("Instance Exited:"):
            code = int(message.removeprefix("Instance Exited:").split()[0])
            self.exits[uid].add((replica.instance_id, code))
        elif message.startswith(("Instance Interrupted", "Instance Reallocated", "Instance Restarted")):
            self.interrupted[uid].add(replica.instance_id)
