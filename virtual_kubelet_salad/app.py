"""The composition root: builds everything from a `Config`, starts it in order, and stops it in order.

Start: HTTP server (so that probes are answered) → the API server is asked who it is → the kubelet's port (the Node
tells its number) → informer → threads. Stop, inside `--shutdown-timeout`: not ready → queue closed, who reads a log is
cut off → threads finish their one call; calls that hang are cut shortly before the time is over → informer → leader's
lease released → the servers. Pods keep running. The first root thread that dies ends the process with a non-zero code
and a dump of all stacks: a daemon with a missing part is worse than one that is started anew.

Ready is who has listed the node's pods and either leads and has registered the node, or stands by for another that
leads: a first start is not ready before its node exists, and a standby of a rolling upgrade is.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import faulthandler
import logging
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import virtual_kubelet_salad
from virtual_kubelet_salad import daemon, errors, health_api
from virtual_kubelet_salad.config import Config
from virtual_kubelet_salad.daemon import Daemon
from virtual_kubelet_salad.kube import leader
from virtual_kubelet_salad.kube.client import ApiServer, OfficialTransport, load_configuration
from virtual_kubelet_salad.kube.events import EventRecorder
from virtual_kubelet_salad.kube.informer import PodInformer
from virtual_kubelet_salad.kube.leader import LeaderElector
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.heartbeat import LEASE_NAMESPACE
from virtual_kubelet_salad.kubelet.node import NodeSettings, Taint
from virtual_kubelet_salad.kubelet.orphans import FRESH_SECONDS
from virtual_kubelet_salad.kubelet_api.port import KubeletPort, PortSettings
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.clock import Clock, SystemClock
from virtual_kubelet_salad.runtime.threads import Loop, Stale, ThreadGroup
from virtual_kubelet_salad.runtime.trouble import Trouble
from virtual_kubelet_salad.saladcloud import provider as saladcloud

log = logging.getLogger(__name__)

T = TypeVar("T")

EXIT_STOPPED = 0
EXIT_FAILED = 1
COMPONENT = "virtual-kubelet-salad"
# The lease and the election wait for nobody and give up on a call well before the next is due.
HEARTBEAT_TIMEOUT_SECONDS = 5.0
ELECTION_TIMEOUT_SECONDS = 4.0
ELECTION_BOUND_SECONDS = 30.0
INFORMER_CHECK_SECONDS = 2.0
INFORMER_CHECK_BOUND_SECONDS = 30.0
FIRST_ANSWER_RETRY_SECONDS = 2.0
# A call to a mute server may take longer than the stop: it is cut with this much of the time left, or half of it.
CUT_BEFORE_DEADLINE_SECONDS = 3.0
# Questions about the rights of those who ask the kubelet's port, at the same time.
REVIEW_CONNECTIONS = 4
# Events reach the log entries late, and the machines' clocks are wrong by up to a minute or so.
CATCH_UP_OVERLAP = datetime.timedelta(minutes=3)


def run(config: Config, stop_requested: threading.Event) -> int:
    """Runs the daemon until `stop_requested` is set or a part of it dies; the exit code. Raises `errors.Error` when
    it cannot start.
    """
    return _Process(config, stop_requested).run()


@dataclasses.dataclass(frozen=True)
class _ApiLines:
    """The ways to the API server, apart from one another: none waits for a connection that another holds."""

    work: OfficialTransport
    lease: OfficialTransport
    election: OfficialTransport
    watch: OfficialTransport
    reviews: OfficialTransport

    def all(self) -> tuple[OfficialTransport, ...]:
        return (*self.of_the_group(), self.election, self.watch)

    def of_the_group(self) -> tuple[OfficialTransport, ...]:
        """Those that the thread group's own threads use."""
        return (self.work, self.lease, self.reviews)


class _Process:
    """One daemon process."""

    def __init__(self, config: Config, stop_requested: threading.Event) -> None:
        self._config = config
        self._stop_requested = stop_requested
        self._clock: Clock = SystemClock()
        self._metrics = Metrics.in_new_registry()
        self._exit_code = EXIT_STOPPED
        self._group = ThreadGroup(self._clock, self._on_death)
        # Of its own, because leadership must last until the others have finished their last call.
        self._election = ThreadGroup(self._clock, self._on_death)
        self._not_ready: Callable[[], list[str]] = lambda: ["the API server has not answered yet"]
        self._elector: LeaderElector | None = None
        self._port: KubeletPort | None = None

    def run(self) -> int:
        config = self._config
        kubernetes = load_configuration(config.kubeconfig, clock=self._clock)
        app = health_api.health_app(self._metrics.registry, self._late_threads, lambda: self._not_ready())
        try:
            health = health_api.HealthServer((config.metrics_address.host, config.metrics_address.port), app)
        except OSError as error:
            raise errors.Error(f"--metrics-address cannot be listened on: {error.strerror}") from None
        api_lines = _ApiLines(
            work=OfficialTransport(kubernetes, pool_size=config.workers + 6),
            lease=OfficialTransport(kubernetes, pool_size=1),
            election=OfficialTransport(kubernetes, pool_size=1),
            watch=OfficialTransport(kubernetes, pool_size=1),
            reviews=OfficialTransport(kubernetes, pool_size=REVIEW_CONNECTIONS),
        )
        try:
            health.start()
            log.info("health and metrics served address=%s:%d", *health.address)
            self._serve(api_lines)
        finally:
            if self._port is not None:
                self._port.stop()
            health.stop()
            for transport in api_lines.all():
                transport.close()
        return self._exit_code

    def _serve(self, api_lines: _ApiLines) -> None:
        config, clock = self._config, self._clock
        api = ApiServer(api_lines.work, self._observe, clock=clock, before_write=self._check_leadership)
        identity = self._first_answer(lambda: (config.cluster_id or api.cluster_uid(), api.version()))
        if identity is None:
            return
        cluster_id, version = identity
        lease_api = ApiServer(
            api_lines.lease,
            self._observe,
            clock=clock,
            timeout=HEARTBEAT_TIMEOUT_SECONDS,
            before_write=self._check_leadership,
        )
        port = self._port = self._kubelet_port(api_lines.reviews)
        settings = _settings(config, cluster_id, str(version.get("gitVersion", "")), port.number)
        recorder = EventRecorder(api, clock, COMPONENT, config.nodename)
        provider = saladcloud.build(
            config,
            cluster_id,
            clock,
            self._metrics,
            before_write=self._check_leadership,
            is_active=self._is_active,
            since=self._last_sign_of_life(lease_api),
        )
        parts = daemon.build(
            settings,
            api=api,
            lease_api=lease_api,
            provider=provider,
            recorder=recorder,
            clock=clock,
            metrics=self._metrics,
            is_active=self._is_active,
        )
        self._add_loops((*parts.loops, *port.loops()), api_lines.election)
        informer = PodInformer(
            api_lines.watch, parts.cache, clock, config.nodename, on_death=self._on_death, observe=self._observe
        )
        self._group.add(
            Loop(
                "informer check",
                _every(INFORMER_CHECK_SECONDS, informer.ensure_running),
                bound_seconds=INFORMER_CHECK_BOUND_SECONDS,
            )
        )
        self._metrics.collect_from(lambda: self._refresh_metrics(parts, informer))
        self._not_ready = lambda: self._reasons_not_ready(parts)
        log.info(
            "starting version=%s node=%s cluster_id=%s workers=%d",
            virtual_kubelet_salad.__version__,
            config.nodename,
            cluster_id,
            config.workers,
        )
        port.serve(
            parts.cache,
            provider,
            Claims(provider, cluster_id, config.nodename),
            is_active=self._is_active,
            late_threads=lambda: [late.name for late in self._late_threads()],
            own_metrics=self._metrics.exposition,
            observe=self._metrics.kubelet_request,
            tell=lambda kind, reason, message: recorder.event(
                daemon.node_reference(settings, parts.node_status), kind, reason, message
            ),
        )
        informer.start()
        self._election.start()
        self._group.start()
        self._stop_requested.wait()
        # All that the threads of the group ask with; the election's and the informer's are stopped after them.
        self._stop(parts, informer, [provider.close, *(line.close for line in api_lines.of_the_group())])

    def _kubelet_port(self, transport: OfficialTransport) -> KubeletPort:
        """Begins to answer on --kubelet-port. Raises `errors.Error`."""
        config = self._config
        settings = PortSettings(
            config.nodename,
            _address(config),
            config.kubelet_port,
            config.tls_cert_file,
            config.tls_private_key_file,
            config.rotate_server_certificates,
        )
        port = KubeletPort(settings, ApiServer(transport, self._observe, clock=self._clock), self._clock)
        port.start()
        return port

    def _add_loops(self, loops: Sequence[Loop], election_transport: OfficialTransport) -> None:
        config = self._config
        if config.leader_elect:
            self._elector = LeaderElector(
                ApiServer(election_transport, self._observe, clock=self._clock, timeout=ELECTION_TIMEOUT_SECONDS),
                self._clock,
                namespace=leader.NAMESPACE,
                name=leader.lease_name(config.nodename),
                identity=config.leader_identity or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
                on_gained=lambda: log.info("leading node=%s", config.nodename),
                on_lost=self._on_leadership_lost,
            )
            self._election.add(Loop("leader", self._elector.step, bound_seconds=ELECTION_BOUND_SECONDS))
        for loop in loops:
            self._group.add(loop)

    def _stop(self, parts: Daemon, informer: PodInformer, cuts: Sequence[Callable[[], None]]) -> None:
        """Stops everything in order; each of `cuts` lets the calls to one server fail."""
        self._not_ready = lambda: ["stopping"]
        parts.queue.shut_down()
        if self._port is not None:
            self._port.begin_stop()
        seconds = self._config.shutdown_timeout
        seconds_after_cut = min(CUT_BEFORE_DEADLINE_SECONDS, seconds / 2)
        hanging = self._group.stop(seconds - seconds_after_cut)
        if hanging:
            # Whether a write that is cut was applied is not known; the next start asks, as after a kill.
            log.warning("calls hang and are cut threads=%s", ", ".join(hanging))
            for cut in cuts:
                cut()
            hanging = self._group.stop(seconds_after_cut)
        if hanging:
            log.error("threads hang and are left behind threads=%s", ", ".join(hanging))
            faulthandler.dump_traceback(file=sys.stderr)
            self._exit_code = EXIT_FAILED
        informer.stop()
        self._election.stop(ELECTION_TIMEOUT_SECONDS)
        if self._elector is not None:
            self._elector.release()
        log.info("stopped exit_code=%d", self._exit_code)

    def _first_answer(self, ask: Callable[[], T]) -> T | None:
        """Asks until there is an answer; None when the stop came first."""
        trouble = Trouble(self._clock, log, "the API server does not answer yet")
        while not self._stop_requested.is_set():
            try:
                answer = ask()
            except errors.Error as error:
                trouble.failed(error)
            else:
                trouble.over()
                return answer
            self._stop_requested.wait(FIRST_ANSWER_RETRY_SECONDS)
        return None

    def _last_sign_of_life(self, api: ApiServer) -> datetime.datetime | None:
        """When a daemon last renewed the node's lease, and some: what SaladCloud did since is still to be read."""
        try:
            lease = api.get_lease(LEASE_NAMESPACE, self._config.nodename)
        except errors.Error as error:
            log.info("the node's last lease is not known reason=%s", error)
            return None
        renewed = pods.parse_time((lease.get("spec") or {}).get("renewTime"))
        return renewed - CATCH_UP_OVERLAP if renewed is not None else None

    # -- leadership ---------------------------------------------------------------------------------------------------

    def _is_active(self) -> bool:
        return self._elector is None or self._elector.is_leader()

    def _check_leadership(self) -> None:
        """Right before every write: after a freeze at most the calls that are past this line go out."""
        if not self._is_active():
            raise errors.NotLeader("another replica leads")

    def _on_leadership_lost(self, reason: str) -> None:
        log.error("leadership lost, the process ends reason=%s", reason)
        self._exit_code = EXIT_FAILED
        self._stop_requested.set()

    def _on_death(self, name: str, cause: BaseException | None) -> None:
        log.critical("thread died, the process ends thread=%s", name, exc_info=cause)
        faulthandler.dump_traceback(file=sys.stderr)
        self._exit_code = EXIT_FAILED
        self._stop_requested.set()

    def _late_threads(self) -> list[Stale]:
        now = self._clock.monotonic()
        return [late for group in (self._group, self._election) for late in group.stale(now)]

    # -- what is told about it ----------------------------------------------------------------------------------------

    def _reasons_not_ready(self, parts: Daemon) -> list[str]:
        reasons = []
        if not parts.cache.has_synced.is_set():
            reasons.append("the pods of this node have not been listed yet")
        elif parts.cache.age_seconds() > FRESH_SECONDS:
            reasons.append("the API server has not been heard of for longer than a watch lasts")
        if not self._is_active():
            if self._elector is not None and not self._elector.is_led_by_another:
                reasons.append("nobody leads yet")
        elif not parts.node_status.is_registered.is_set():
            reasons.append("the node has not been registered yet")
        return reasons

    def _observe(self, verb: str, resource: str, code: str, seconds: float) -> None:
        self._metrics.api_request(verb, resource, int(code) if code.isdigit() else None, seconds)

    def _refresh_metrics(self, parts: Daemon, informer: PodInformer) -> None:
        metrics = self._metrics
        depth = parts.queue.depth()
        metrics.observe_queue(depth.normal, depth.urgent, parts.queue.longest_lag())
        metrics.cache_age_seconds(parts.cache.age_seconds())
        metrics.pods_by_phase(collections.Counter(pods.phase(pod) for pod in parts.cache.all()))
        metrics.lease_age_seconds(parts.heartbeat.age_seconds())
        metrics.watch_restarts(informer.restarts)
        metrics.events(parts.recorder.posted, parts.recorder.dropped)
        metrics.orphans_deleted(parts.orphans.deleted)
        metrics.thread_ages({**self._group.ages(), **self._election.ages()})
        metrics.brake_active(parts.brake.is_engaged())
        if self._port is not None:
            metrics.log_readers(self._port.log_readers())
        for condition, status in parts.node_status.conditions.items():
            metrics.node_condition(condition, status)


def _settings(config: Config, cluster_id: str, server_version: str, kubelet_port: int) -> daemon.Settings:
    taint = None if config.disable_taint else Taint(config.taint_key, config.taint_value, config.taint_effect)
    fixed: Mapping[str, str] = dict(config.capacity or ())
    return daemon.Settings(
        node=NodeSettings(
            name=config.nodename,
            address=_address(config),
            kubelet_port=kubelet_port,
            taint=taint,
            kubelet_version=server_version,
            max_pods=config.max_pods,
            fixed_capacity=fixed,
        ),
        cluster_id=cluster_id,
        workers=config.workers,
        heartbeat_seconds=config.heartbeat_interval,
        create_settle_seconds=config.create_settle,
        daemonset_pods_are_ready=config.daemonset_pods == "ready",
        namespaces=frozenset(config.namespaces or ()),
    )


def _every(seconds: float, action: Callable[[], None]) -> Callable[[], float]:
    def step() -> float:
        action()
        return seconds

    return step


def _address(config: Config) -> str:
    """The node's: as configured, else as the own host name resolves, loopback when it does not."""
    if config.node_ip is not None:
        return config.node_ip
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"
