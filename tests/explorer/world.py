"""One world for the explorer: the models of the API server and of SaladCloud, and daemon processes between them.

Everything runs in one thread under a fake clock. Whatever reaches SaladCloud or the API server is judged on the spot,
and `check` judges what must hold between any two steps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import random
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from tests.explorer.judge import CANARY, Judge
from tests.explorer.layout import NODE, layout_of
from tests.explorer.process import CLUSTER, ORGANIZATION, Process
from tests.explorer.rules import CLAIM, annotation, is_claimed
from tests.explorer.truth import Truth
from tests.explorer.wires import HEADERS
from tests.support.clock import FakeClock
from virtual_kubelet_salad.kubelet.provider import Owner
from virtual_kubelet_salad.saladcloud import owner
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_wire import ConnectionDropped, Request, Response
from virtual_kubelet_salad.sandbox.salad_world import Group

PROJECT = "default"
WRONG_PROJECT = "other"
TEAM = "team"
STRATEGIC = "application/strategic-merge-patch+json"
# Electors have threads of their own, so time never passes without them.
ELECTION_SLICE_SECONDS = 2.0
# SaladCloud denies an existing group at most this often.
DENIALS_APART_SECONDS = 600.0
# What looks like a catastrophe is held for so long.
BRAKE_SECONDS = 600.0


class _HasStatus(Protocol):
    @property
    def status(self) -> int: ...


_Answered = TypeVar("_Answered", bound=_HasStatus)


class Killed(BaseException):
    """The daemon process dies at this very moment."""


@dataclasses.dataclass(frozen=True)
class MassEvent:
    """Something happened to all of these pods at once."""

    uids: frozenset[str]
    held_until: float
    """Monotonic."""


Fate = Callable[[Process, bool], None]


class World:
    """Models, processes and judgement."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.layout = layout_of(seed)
        self.rng = random.Random(f"world {seed}")
        self.clock = FakeClock()
        self.api_model = ApiServerModel(self.clock, seed=seed)
        self.cloud = SaladCloudModel(self.clock, self.layout.cloud, seed)
        self.cloud.configure(projects=(PROJECT, WRONG_PROJECT))
        self.truth = Truth(self.cloud)
        self.judge = Judge(self)
        self.boots = 0
        self.key_in_file = self.key_in_cloud = "key-1"

        self._begun = self.clock.monotonic()
        self.story: list[str] | None = None
        """What the daemons and people ask for, and the answers, one line each; None: nobody reads it."""

        # What goes wrong.
        self.fate: Fate | None = None
        """What happens to the next call of any process, before (False) or after (True) it is applied."""
        self.api_is_down = False
        self.next_api_fault: tuple[str, bool] | None = None
        """What the API server answers to the next request, and whether it carries it out first."""
        self.frozen_in_call: Process | None = None
        self.late_requests: list[tuple[float, Request]] = []
        """What SaladCloud has received and will carry out later: when (monotonic), and the request."""
        self.next_write_is_late_by: float | None = None
        self.next_denied: str | None = None
        """Method of the next request about one group that is answered with a 404, whatever there is."""
        self.lists_that_omit = 0
        """How many lists, from the next on, show only some of the groups as if there were no others."""
        self.lists_show = 1.0
        """Share of the groups in these."""
        self.denied_at = float("-inf")
        """When SaladCloud last denied a group so; it does that now and then, but not twice within minutes."""

        # What people have done.
        self.edited: set[str] = set()
        """UIDs of pods whose claim was edited by their author."""
        self.let_go: set[str] = set()
        """UIDs of pods that people have taken our finalizer from: their groups are the orphan sweep's."""
        self.squatted: dict[str, str] = {}
        """Groups of others under a name that we compute for the pod of that UID."""
        self.mass_vanishings: list[MassEvent] = []
        """Pods whose groups vanished together with most others, which must not be believed for a while."""
        self.orphans_held_until: dict[str, float] = {}
        """UIDs of pods that were lost together with most others, and until when their groups must not be deleted."""
        self.images_sent: set[tuple[str, str]] = set()
        self.foreign: set[str] = set()
        """Groups of others; they must be there."""
        self.never_ours: set[str] = self.truth.ignored
        """Groups of others, also those that were deleted or bear a name that we compute."""
        self.restore_secrets()
        for number in range(self.layout.foreign_groups):
            self.create_foreign_group(f"somebody-elses-{number}", foreign_environment(number))

        self.processes = [
            Process(self, node, PROJECT) for node in self.layout.nodes for _ in range(self.layout.replicas)
        ]

    def elapsed_seconds(self) -> float:
        """Since the beginning."""
        return self.clock.monotonic() - self._begun

    def tell(self, what: str) -> None:
        """A line of the story, with the time since its beginning."""
        if self.story is not None:
            self.story.append(f"{self.elapsed_seconds():9.1f} s  {what}")

    def told(self, who: str, method: str, path: str, ask: Callable[[], _Answered]) -> _Answered:
        """Asks, and writes down what was asked and what came of it, if anybody reads that."""
        if self.story is None:
            return ask()
        try:
            answer = ask()
        except BaseException as end:
            self.tell(f"  {who}: {method} {path} → {type(end).__name__} {end}")
            raise
        self.tell(f"  {who}: {method} {path} → {answer.status}")
        return answer

    # -- the daemon processes -----------------------------------------------------------------------------------------

    def restart(self, process: Process, project: str = PROJECT) -> Process:
        """A new process in the place of this one."""
        new = Process(self, process.node, project)
        new.api_is_out_of_reach_until = process.api_is_out_of_reach_until
        new.cloud_is_out_of_reach_until = process.cloud_is_out_of_reach_until
        self.processes[self.processes.index(process)] = new
        return new

    def run(self, process: Process, step: Callable[[], object]) -> None:
        """One step of a process; a death on the way is followed by a new process. A frozen one does nothing."""
        if process.is_frozen():
            return
        try:
            step()
        except Killed:
            self.fate = None
            self.restart(process)

    def replace_losers(self) -> None:
        """Who has lost the leadership ends."""
        for process in self.processes:
            if process.is_lost:
                self.restart(process)

    def pass_time(self, seconds: float) -> None:
        """Time passes in which nobody but the electors does anything."""
        if self.layout.replicas == 1:
            self.clock.advance(seconds)
            return
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(min(ELECTION_SLICE_SECONDS, end - self.clock.monotonic()))
            for process in list(self.processes):
                if not process.is_lost:
                    self.run(process, process.elect)

    def meet_fate(self, process: Process, *, is_applied: bool) -> None:
        if self.fate is not None:
            self.fate(process, is_applied)

    def is_denied(self, method: str, path: str) -> bool:
        """Whether this request is answered with a false 404 (once, then not for a while)."""
        now = self.clock.monotonic()
        if method != self.next_denied or now - self.denied_at < DENIALS_APART_SECONDS:
            return False
        if not path.rpartition("/")[0].endswith("/containers"):
            return False
        self.next_denied, self.denied_at = None, now
        return True

    def leave_out(self, method: str, path: str, answer: Any) -> None:
        """Takes from a list of groups what it is not to show; what is kept does not depend on the order."""
        if not self.lists_that_omit or method != "GET" or not path.endswith("/containers"):
            return
        self.lists_that_omit -= 1
        shown = [item for item in answer["items"] if zlib.crc32(item["name"].encode()) / 2**32 < self.lists_show]
        answer["items"] = shown

    def go_on(self, process: Process) -> None:
        """The call in which the process was frozen is carried out now; from here it has to look who leads."""
        if self.frozen_in_call is process:
            self.frozen_in_call = None

    # -- what is there ------------------------------------------------------------------------------------------------

    def pod(self, uid: str) -> Mapping[str, Any] | None:
        return next((pod for pod in self.api_model.all_of("pods") if pod["metadata"]["uid"] == uid), None)

    def group(self, project: str, name: str) -> Group | None:
        return self.cloud._world.groups.get((project, name))

    def groups_of(self, uid: str) -> list[Group]:
        """The groups that daemons of ours have made for a pod."""
        groups = self.cloud._world.groups.values()
        return [group for group in groups if group.owner_uid == uid and group.name not in self.never_ours]

    def own_groups(self) -> list[Group]:
        """All groups that daemons of ours have made."""
        groups = self.cloud._world.groups.values()
        return [group for group in groups if group.name not in self.never_ours]

    def mislaid_pods(self) -> list[Mapping[str, Any]]:
        """Pods whose claims lie in the wrong project."""
        prefix = f"{ORGANIZATION}/{WRONG_PROJECT}/"
        pods = self.api_model.all_of("pods")
        return [pod for pod in pods if is_claimed(pod) and (annotation(pod, CLAIM) or "").startswith(prefix)]

    def now_in_cloud(self) -> datetime.datetime:
        return self.clock.now()

    def check(self) -> None:
        """What must hold between any two steps."""
        self.carry_out_late_requests()
        self.judge.check()

    # -- requests that arrive late ------------------------------------------------------------------------------------

    def receive_late(self, request: Request) -> None:
        """Nobody hears of the request any more, but it will be carried out."""
        assert self.next_write_is_late_by is not None
        self.late_requests.append((self.clock.monotonic() + self.next_write_is_late_by, request))
        self.next_write_is_late_by = None

    def carry_out_late_requests(self) -> None:
        """Timeouts are not refusals: what was received takes effect, in the end."""
        if not self.late_requests:
            return
        now = self.clock.monotonic()
        due = [request for at, request in self.late_requests if at <= now]
        self.late_requests = [(at, request) for at, request in self.late_requests if at > now]
        for request in due:
            with contextlib.suppress(ConnectionDropped):  # a fault was waiting for the next request
                self.cloud.handle(request)

    # -- what people do -----------------------------------------------------------------------------------------------

    def ask_api(self, method: str, path: str, body: object = None, content_type: str | None = None) -> dict[str, Any]:
        """Somebody with kubectl; an answer that refuses is as good as another."""
        answer = self.told("people", method, path, lambda: self.api_model.handle(method, path, {}, body, content_type))
        found: dict[str, Any] = answer.body
        return found

    def ask_cloud(self, method: str, path: str, body: object = None) -> Response | None:
        """Somebody in the portal, whom no fault of the API hits."""
        faults, outage = self.cloud._traffic._faults, self.cloud._traffic.outage
        self.cloud._traffic._faults, self.cloud._traffic.outage = [], None
        headers = {**HEADERS, "Salad-Api-Key": self.cloud.settings.api_key or "portal"}
        try:
            return self.told("portal", method, path, lambda: self.cloud.handle(Request(method, path, headers, body)))
        except ConnectionDropped:
            return None
        finally:
            self.cloud._traffic._faults, self.cloud._traffic.outage = faults, outage

    def create_foreign_group(self, name: str, environment: Mapping[str, str], project: str = PROJECT) -> bool:
        """A group that is none of our business; whether the name was free."""
        container: dict[str, Any] = {"image": "theirs", "resources": {"cpu": 1, "memory": 1024}}
        container["environment_variables"] = dict(environment)
        body = {
            "name": name,
            "autostart_policy": True,
            "replicas": 1,
            "restart_policy": "always",
            "container": container,
        }
        if (project, name) in self.cloud._world.used_names:
            return False
        self.cloud.advance()
        self.never_ours.add(name)
        answer = self.ask_cloud("POST", f"/organizations/{ORGANIZATION}/projects/{project}/containers", body)
        if answer is None or answer.status != 201:
            self.never_ours.discard(name)
            return False
        self.foreign.add(name)
        return True

    def note_mass_vanishing(self, uids: set[str]) -> None:
        """The groups of these pods have just vanished together, and they were most of ours."""
        self.mass_vanishings.append(MassEvent(frozenset(uids), self.clock.monotonic() + BRAKE_SECONDS))

    def note_mass_of_orphans(self, uids: set[str]) -> None:
        """These pods have just been lost together, and their groups are most of ours."""
        self.orphans_held_until.update(dict.fromkeys(uids, self.clock.monotonic() + BRAKE_SECONDS))

    def restore_secrets(self) -> None:
        """The namespaces and the Secrets that pods name are there."""
        self.ask_api("POST", "/api/v1/namespaces", {"metadata": {"name": TEAM}})
        for namespace in ("default", TEAM):
            secret = {"metadata": {"name": "token"}, "stringData": {"value": CANARY}}
            self.ask_api("POST", f"/api/v1/namespaces/{namespace}/secrets", secret)


def foreign_environment(number: int) -> dict[str, str]:
    """People's own, another cluster's of a node of our name, another node's of our cluster."""
    owners = (
        None,
        Owner("another", NODE, "default", "theirs", "uid-of-theirs", 0, ""),
        Owner(CLUSTER, "another-node", "default", "theirs", "uid-of-theirs-too", 0, ""),
    )
    theirs = owners[number % len(owners)]
    return {} if theirs is None else {owner.SALAD_VK_OWNER: owner.encode(theirs)}
