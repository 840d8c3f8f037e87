"""The subcommand `cleanup`: removes a node for good, its container groups first.

With a cluster: lead in place of the daemon, cordon the Node, delete the groups, let the pods go once their groups are
confirmed gone, delete the Node and its leases. Without one: delete what the owner records in the groups name. What is
left is named, and a second run goes on where the first ended. Nothing is printed that is secret.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from virtual_kubelet_salad import config, errors, logs
from virtual_kubelet_salad.api_key import ApiKeySource
from virtual_kubelet_salad.commands import output
from virtual_kubelet_salad.commands.cleaning import Cleaning, Outcome, Over
from virtual_kubelet_salad.commands.node_removal import NodeRemoval, NotOurNode
from virtual_kubelet_salad.commands.remains import Remains
from virtual_kubelet_salad.commands.takeover import KEPT_SECONDS, StillRunning, Takeover
from virtual_kubelet_salad.config_options import CLEANUP_OPTIONS
from virtual_kubelet_salad.kube import leader
from virtual_kubelet_salad.kube.client import ApiServer, ConfigurationError, OfficialTransport, load_configuration
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.clock import Clock, SystemClock
from virtual_kubelet_salad.saladcloud import provider as saladcloud
from virtual_kubelet_salad.signals import StopSignals

PROGRAM = "virtual-kubelet-salad cleanup"
DESCRIPTION = (
    "Removes a node: deletes its container groups at SaladCloud, lets its pods go once the groups are confirmed gone, "
    "and deletes the Node. Exit code 0: everything is clean; 1: something is left, and named."
)

EXIT_CLEAN = 0
EXIT_LEFT = 1
# The election gives up on a call well before its next is due.
ELECTION_TIMEOUT_SECONDS = 4.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """The command line, checked. Times are in seconds."""

    api_key: ApiKeySource = dataclasses.field(repr=False)
    dry_run: bool
    node: str
    cluster_id: str | None
    without_cluster: bool
    force: bool
    timeout: float
    kubeconfig: str | None
    sce_organization_name: str
    sce_project_name: str
    sce_api_url: str
    sce_rate_limit: int | None
    salad_list_limit: int
    create_settle: float
    log_level: str
    log_format: str
    # What else a provider wants to know, though it starts nothing here.
    poll_interval: float = 5.0
    feed_interval: float = 10.0
    default_priority: str = "high"
    max_price_per_hour: Decimal | None = None

    @property
    def nodename(self) -> str:
        return self.node


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Cleans up; the exit code. Raises `config.ConfigProblems`."""
    values = config.parse_options(CLEANUP_OPTIONS, argv, environ, program=PROGRAM, description=DESCRIPTION)
    settings = Settings(**values)
    if settings.without_cluster and settings.cluster_id is None:
        raise config.ConfigProblems(["--without-cluster: needs --cluster-id, which only the cluster could tell"])
    logs.set_up(settings.log_level, settings.log_format)
    clock = SystemClock()
    with StopSignals() as stop_requested:
        patience = Patience(clock, stop_requested, settings.timeout)
        try:
            transports = _connect(settings, clock)
            try:
                run = Cleanup(settings, clock, patience, transports, lambda line: output.write(f"{line}\n"))
                return run.run()
            finally:
                for transport in transports or ():
                    transport.close()
        except StillRunning as error:
            text = f"a daemon works for this node: {error}; stop it first, or take the lead from it with --force"
        except (errors.Error, NotOurNode, Over) as error:
            text = str(error)
        print(f"{PROGRAM}: {text}; no pod and no container group was touched", file=sys.stderr)
        return EXIT_LEFT


class Patience:
    """How long to go on: until the time is up or the stop is asked for. Used by one thread."""

    def __init__(self, clock: Clock, stop_requested: threading.Event, seconds: float) -> None:
        self._clock = clock
        self._stop_requested = stop_requested
        self._deadline = clock.monotonic() + seconds
        self._seconds = seconds
        self.is_over: Callable[[], str] = lambda: ""
        """Another reason to end; empty while there is none."""

    def wait(self, seconds: float) -> None:
        """Pauses. Raises `Over`."""
        left = self._deadline - self._clock.monotonic()
        if self._stop_requested.wait(min(seconds, max(left, 0.0))):
            raise Over("it was stopped")
        if self.is_over():
            raise Over(self.is_over())
        if left <= seconds:
            raise Over(f"the time is up (--timeout {self._seconds:g}s)")


class Cleanup:
    """One run. `transports` are two connections to the API server, the second for the election alone; None: there is
    no cluster.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        patience: Patience,
        transports: Sequence[OfficialTransport] | None,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._patience = patience
        self._say = say
        self._takeover: Takeover | None = None
        self._api: ApiServer | None = None
        if transports is not None:
            self._api = ApiServer(transports[0], clock=clock, before_write=self._check_leadership)
            self._takeover = Takeover(
                ApiServer(transports[1], clock=clock, timeout=ELECTION_TIMEOUT_SECONDS),
                clock,
                node_name=settings.node,
                namespace=leader.NAMESPACE,
                lease_name=leader.lease_name(settings.node),
                identity=f"cleanup-{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
                wait=patience.wait,
            )

    def run(self) -> int:
        """The exit code. Raises `errors.Error`, `NotOurNode`, `StillRunning`, `Over` before anything was changed."""
        settings = self._settings
        cluster_id = settings.cluster_id or self._cluster_uid()
        cloud = saladcloud.build(
            settings,
            cluster_id,
            self._clock,
            Metrics.in_new_registry(),
            before_write=self._check_leadership,
            is_active=lambda: True,
        )
        try:
            return self._with(cloud, cluster_id)
        finally:
            cloud.close()

    def _with(self, cloud: saladcloud.SaladCloudProvider, cluster_id: str) -> int:
        settings, clock = self._settings, self._clock
        claims = Claims(cloud, cluster_id, settings.node)
        removal = None
        if self._api is not None:
            removal = NodeRemoval(self._api, claims, cloud.identity, settings.node, clock)
        cleaning = Cleaning(
            cloud,
            Remains(cloud, claims, removal, clock, cluster_id, settings.node),
            removal,
            clock,
            settle_seconds=settings.create_settle,
            wait=self._patience.wait,
            say=self._say,
        )
        if settings.dry_run:
            return self._look(cleaning, removal)
        if removal is None:
            return self._summary(cleaning.run())
        return self._remove(cleaning, removal)

    # -- a dry run ----------------------------------------------------------------------------------------------------

    def _look(self, cleaning: Cleaning, removal: NodeRemoval | None) -> int:
        node = removal.node() if removal is not None else None
        holder = self._takeover.holder() if self._takeover is not None else ""
        if node is not None and not (node.get("spec") or {}).get("unschedulable"):
            self._say(f"would cordon node {self._settings.node}")
        outcome = cleaning.look()
        if node is not None:
            self._say(f"would delete node {self._settings.node}")
        if holder:
            outcome.notes.append(f"{holder} holds the leader's lease: stop the daemon first, or use --force")
        return self._summary(outcome)

    # -- with a cluster -----------------------------------------------------------------------------------------------

    def _remove(self, cleaning: Cleaning, removal: NodeRemoval) -> int:
        takeover = self._takeover
        assert takeover is not None, "where there is a cluster there is an election"
        removal.node()
        is_clean = False
        try:
            takeover.acquire(by_force=self._settings.force)
            self._patience.is_over = lambda: takeover.lost
            outcome = Outcome()
            if removal.cordon():
                self._say(f"cordoned node {self._settings.node}")
            outcome = cleaning.run()
            if not outcome.left:
                self._delete_node(removal, outcome)
            is_clean = not outcome.left
        finally:
            self._patience.is_over = lambda: ""
            self._end_of_lease(takeover, is_clean)
        return self._summary(outcome)

    def _delete_node(self, removal: NodeRemoval, outcome: Outcome) -> None:
        try:
            if removal.delete_heartbeat_lease():
                self._say(f"deleted lease kube-node-lease/{self._settings.node}")
            if removal.delete_node():
                self._say(f"deleted node {self._settings.node}")
        except (errors.Error, NotOurNode) as error:
            outcome.left.append(f"node {self._settings.node}: {error}")

    def _end_of_lease(self, takeover: Takeover, is_clean: bool) -> None:
        name = leader.lease_name(self._settings.node)
        if not is_clean:
            takeover.release()
        elif self._settings.force:
            if takeover.keep():
                minutes = KEPT_SECONDS // 60
                self._say(f"lease {name} keeps a daemon that still runs away for {minutes} minutes: remove it now")
        elif takeover.delete():
            self._say(f"deleted lease {leader.NAMESPACE}/{name}")

    # -----------------------------------------------------------------------------------------------------------------

    def _cluster_uid(self) -> str:
        assert self._api is not None, "without a cluster there is a cluster id"
        try:
            return self._api.cluster_uid()
        except errors.CouldNotAsk as error:
            raise errors.Error(f"{error} (when the cluster is lost: --without-cluster and --cluster-id)") from error

    def _check_leadership(self) -> None:
        if self._takeover is not None:
            self._takeover.check()

    def _summary(self, outcome: Outcome) -> int:
        groups, pods = _count(outcome.deleted, "container group"), _count(outcome.released, "pod")
        if self._settings.dry_run:
            self._say(f"a cleanup would delete {groups} and let {pods} go; nothing was changed")
        else:
            self._say(f"{groups} deleted, {pods} let go")
        for note in outcome.notes:
            self._say(f"note: {note}")
        for left in outcome.left:
            self._say(f"left: {left}")
        return EXIT_LEFT if outcome.left else EXIT_CLEAN


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _connect(settings: Settings, clock: Clock) -> list[OfficialTransport] | None:
    """None: without a cluster. Raises `config.ConfigProblems`, `errors.Error`."""
    if settings.without_cluster:
        return None
    try:
        kubernetes: Any = load_configuration(settings.kubeconfig, clock=clock)
    except ConfigurationError:
        if settings.kubeconfig is not None:
            raise
        if settings.cluster_id is None:
            raise config.ConfigProblems(
                ["--kubeconfig (KUBECONFIG): is required outside of a cluster; or --cluster-id, when it is lost"]
            ) from None
        return None
    return [OfficialTransport(kubernetes, pool_size=2), OfficialTransport(kubernetes, pool_size=1)]
