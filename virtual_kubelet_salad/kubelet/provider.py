"""The seam between the kubelet and a cloud: what a provider must do, and the values both sides exchange.

A *workload* is what a cloud runs for one attempt of one pod. The kubelet decides about pods and never learns which
cloud it is; a provider decides nothing about pods and never talks to the API server. Names of the cloud (annotations,
condition, finalizer) come from the provider's `Identity`.

Contract for every method that asks the cloud: an answer is the truth at the time of the call; `errors.CouldNotAsk`
says nothing about it. "It does not exist" is None or `errors.NotFound`, never an exception of another kind. Methods
are called from any worker thread, never twice at once for the same workload name.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from virtual_kubelet_salad.errors import Blocked
from virtual_kubelet_salad.kubelet.provider_insight import LogQuestion, LogStream, Usage
from virtual_kubelet_salad.runtime.threads import Loop

Pod = Mapping[str, Any]
"""A pod as the API server sends it; read-only."""

# A pod that waits for a Secret or ConfigMap (to appear, or to be mended) is planned again this often: it sees it within
# 15 s, and what is left is for the read and the create.
SOURCE_RETRY_SECONDS = 10.0
SOURCE_THEN = "looked for again every 10 s"


class UnfitSource(Blocked):
    """A Secret or ConfigMap that the pod names is missing, or is no use as it is; it is read again soon."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message, retry_after=SOURCE_RETRY_SECONDS, then=SOURCE_THEN)


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """The names a provider lends to the kubelet."""

    name: str
    """The cloud's own name in lower case: value of the taint, scheme of node and container ids ("saladcloud")."""
    finalizer: str
    claim_annotation: str
    attempt_annotation: str
    ignore_annotation: str
    """Comma-separated refusals that a pod's author opts out of."""
    interruption_annotation: str
    """`continue` lets a pod with restartPolicy Never survive the loss of its machine."""
    place_annotation: str
    """On the Node: the place that it served last."""
    reachable_condition: str
    """Type of the Node condition that tells whether the cloud answers."""
    misplaced_reason: str
    """Why that condition is False when the daemon serves another place than its pods' ("ProjectMismatch")."""
    container_id_scheme: str
    workload_noun: str
    """What the cloud calls a workload, for messages ("container group")."""
    not_found_reason: str
    """Reason of a pod whose workload has vanished ("ContainerGroupNotFound")."""
    stopped_by_cloud_reason: str
    """Waiting reason of a workload that the cloud itself has stopped ("OutOfCredit"); on the pod, it is the memory of
    that.
    """
    address_annotation: str
    """Where a workload writes back the host name under which it is reached from outside."""
    machine_annotation: str
    """Where a workload writes back the machine that it was given."""
    settled_annotations: frozenset[str] = frozenset()
    """Those of a pod's author that count only when a workload is created."""


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """Who a workload belongs to; written into the workload, read back from every list."""

    cluster_id: str
    node: str
    namespace: str
    pod: str
    uid: str
    attempt: int
    image_hash: str
    """Hash of the container's image as the pod writes it, and of nothing else."""


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """Something that a pod's author should read: it becomes a Kubernetes Event."""

    type: str
    """`Normal` or `Warning`."""
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """What a pod needs from the cluster beside itself; holds secret values, so it has no repr."""

    environment: Sequence[tuple[str, str]] = dataclasses.field(repr=False)
    """Resolved names and values, in the kubelet's order."""
    secrets: Mapping[str, Mapping[str, Any]] = dataclasses.field(repr=False)
    """The Secret objects that `Provider.wanted_secrets` named, by name."""
    command: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    """The container's command with `$(VAR)` expanded; empty: the pod states none."""
    args: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    """The container's arguments, expanded likewise."""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A request to the cloud, ready to send, and what its making had to tell."""

    request: Mapping[str, Any] = dataclasses.field(repr=False)
    notices: tuple[Notice, ...] = ()
    made_of: tuple[str, ...] = ()
    """Versions of the image's name and of the Secrets it was made of, filled in by the kubelet."""


class State(enum.Enum):
    """What a workload is doing as a whole."""

    STARTING = "starting"
    RUNNING = "running"
    """At least one run has begun; between two runs `Workload.run` is None."""
    STOPPED = "stopped"
    FAILED = "failed"
    """It cannot start as it is (the image): only a next attempt helps."""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One life of the container on one machine."""

    container_id: str
    """With scheme: `salad://<instance id>`."""
    started_at: datetime.datetime
    """When this run was first seen running; the cloud's clock, whole seconds."""
    ready: bool
    started: bool


@dataclasses.dataclass(frozen=True, slots=True)
class RunReference:
    """A run as the pod's status remembers it: enough to recognise it again."""

    container_id: str
    started_at: datetime.datetime
    is_over: bool
    """Its ending is in the pod's status already: it must not be told again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """A run that is over."""

    container_id: str
    started_at: datetime.datetime | None
    finished_at: datetime.datetime
    exit_code: int
    reason: str
    """`Completed`, `Error`, `OOMKilled`, `ContainerStatusUnknown` or `Interrupted`."""
    message: str
    is_interruption: bool = False
    """The machine went away; the container did not exit by itself."""
    is_replacement: bool = False
    """We ended it ourselves, to run a changed image: a restart whatever the restart policy."""


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """The machine that a workload was given."""

    title: str
    """For people: "machine 5f0c1b7a with RTX 3090 (24 GB)"."""
    has_image: bool = False
    """The download is over: the container is being created, or runs."""
    download: datetime.timedelta | None = None
    """How long the download took, or took at most, where this process has seen it."""
    is_download_exact: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """What the cloud says about one workload, relative to the run the pod's status remembers."""

    name: str
    owner: Owner | None
    state: State
    reason: str = ""
    """One CamelCase word: why it waits, stopped or failed."""
    message: str = ""
    """In a sentence; for what waits also what comes next."""
    since: datetime.datetime | None = None
    """Since when that has been so, as the cloud tells it; None: it does not."""
    machine: Machine | None = None
    """None: it has none, or the cloud has not told of it yet."""
    is_vague: bool = False
    """The reason is the least that can be said; a finer one that was told before may still be true."""
    run: Run | None = None
    is_running: bool = False
    """The cloud counts it as running, though the run itself may not have been read yet (`run` is None then)."""
    endings: tuple[Ending, ...] = ()
    """Runs that ended since the remembered one began (itself included unless it is over already), oldest first."""
    is_stopped_by_cloud: bool = False
    """STOPPED, and nobody decided that: it may be started again under OnFailure too."""
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """To be written back to the pod."""
    look_again_after: float | None = None
    """Seconds after which it should be observed again though nothing wakes it; None: a wake-up is enough."""
    notices: tuple[Notice, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Sighting:
    """A workload in the latest list, whoever it belongs to."""

    name: str
    owner: Owner | None


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The latest successful list. Presence is truth; absence only if it is complete."""

    number: int
    """Counts successful lists; two snapshots with one number are the same."""
    taken_at: float
    """Monotonic."""
    is_complete: bool
    sightings: tuple[Sighting, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """What the cloud lets us use."""

    workloads: int
    """How many may exist at once, ours and others'."""
    workloads_used: int
    """How many exist, ours included."""
    largest: Mapping[str, int]
    """The most that one workload can have: `cpu` in cores, `memory` and `ephemeral-storage` in bytes,
    `nvidia.com/gpu` in devices.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class Reachability:
    """Whether the cloud answers."""

    is_reachable: bool
    since: float
    """Monotonic time since which that has been so."""
    reason: str
    message: str


class Translator(Protocol):
    """The part of a provider that turns pods into requests; it asks nobody."""

    @property
    def identity(self) -> Identity: ...

    def refusals(self, pod: Pod) -> list[Notice]:
        """Everything in the pod that this cloud can never honour, decided from the pod alone; empty: none."""
        ...

    def wanted_secrets(self, pod: Pod) -> tuple[str, ...]:
        """Names of the Secrets (in the pod's namespace) that `plan` must see."""
        ...

    def plan(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        """The request that creates the workload, made with what the cloud last said about its offer.

        Raises `Refused` (never possible), `Blocked` (not now), `CouldNotAsk`.
        """
        ...

    def plan_update(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        """The request that brings image, credentials and environment of a workload in line with the pod. Raises as
        `plan`.
        """
        ...


class Provider(Translator, Protocol):
    """A cloud that runs pods."""

    @property
    def place(self) -> str:
        """Where its workloads lie: what every location begins with, before the last slash."""
        ...

    def workload_name(self, cluster_id: str, pod_name: str, uid: str, attempt: int) -> str:
        """The one name that this attempt of this pod can have: a pure function."""
        ...

    def location(self, name: str) -> str:
        """Where the workload of that name lies, for the claim annotation: `<place>/<name>`."""
        ...

    def name_at(self, location: str) -> str | None:
        """The name in a location that this provider serves; None when it lies elsewhere. Raises `ValueError` for what
        is no location.
        """
        ...

    def create(self, plan: Plan, owner: Owner) -> None:
        """Creates the workload. Raises `Conflict` (name in use or used up), `Blocked`, `Refused`, `CouldNotAsk`
        (`may_be_applied` tells if it may exist now).
        """
        ...

    def update(self, name: str, plan: Plan) -> None:
        """Sends what `plan_update` made. Raises as `create`, and
        `NotFound`.
        """
        ...

    def start(self, name: str) -> None:
        """Starts a stopped workload. Raises `NotFound`, `Blocked`, `CouldNotAsk`."""
        ...

    def delete(self, name: str) -> None:
        """Asks the cloud to delete it; accepted is not done. Raises `NotFound`, `CouldNotAsk`."""
        ...

    def exists(self, name: str, *, confirms: bool = False) -> Owner | bool:
        """A live question: False = it does not exist (said by the cloud), its owner record, or True when it carries
        none. `confirms`: the second answer of a row that must not break, so it goes before other questions. Raises
        `CouldNotAsk`.
        """
        ...

    def observe(self, name: str, remembered: RunReference | None) -> Workload | None:
        """The workload now: from the latest list, with a live read where the list does not tell. None = the cloud
        said by a live answer that it does not exist.

        Raises `CouldNotAsk`.
        """
        ...

    def forget(self, name: str) -> None:
        """The pod is gone: drop everything kept for this workload."""
        ...

    def snapshot(self) -> Snapshot | None:
        """The latest list; None before the first success."""
        ...

    def newest_attempt(self, uid: str) -> int | None:
        """The highest attempt of that pod in any owner record seen in the latest list."""
        ...

    def capacity(self) -> Capacity | None:
        """The last known capacity; None before the first success. Never asks."""
        ...

    def reachability(self) -> Reachability:
        """Whether the cloud answered lately. Never asks."""
        ...

    def logs(self, question: LogQuestion) -> LogStream:
        """What the container of a pod wrote. Asks nothing yet; the stream does."""
        ...

    def usage(self, name: str) -> Usage | None:
        """What the workload's present run used, as measured last; None: not measured (yet). Never asks the cloud, but
        who asks regularly has it measured regularly.
        """
        ...

    def loops(self) -> Sequence[Loop]:
        """The provider's own threads (pollers), started and stopped by the composition root."""
        ...

    def on_change(self, wake: Callable[[str], None]) -> None:
        """Registers the function that is told the UID of a pod whose workload may have changed. Called once, before
        the loops start.
        """
        ...

    def on_recovery(self, wake_all: Callable[[], None]) -> None:
        """Registers the function that is called when something that held pods back may be over: the cloud answers
        again, it has room or credit again, or it offers something else. What waits in a backoff need not wait it out.
        Called once, before the loops start; the function may be called from any thread.
        """
        ...
