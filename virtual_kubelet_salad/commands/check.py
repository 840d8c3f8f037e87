"""The subcommand `check`: asks both sides all that the daemon will need, and changes nothing.

One line per fact, ok or fail; exit code 0 when all are ok, else 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from virtual_kubelet_salad import config, logs
from virtual_kubelet_salad.commands import checking, output
from virtual_kubelet_salad.commands.checking import Fact, ServerTime, TimedApi, TimedSaladCloud
from virtual_kubelet_salad.config_options import CHECK_OPTIONS
from virtual_kubelet_salad.kube.client import ApiServer, ConfigurationError, OfficialTransport, load_configuration
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.clock import Clock, SystemClock
from virtual_kubelet_salad.runtime.ratelimit import Budget
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.transport import RequestsTransport

PROGRAM = "virtual-kubelet-salad check"
DESCRIPTION = (
    "Asks the API server and SaladCloud all that the daemon with these flags will need, and changes nothing. One line "
    "per fact; exit code 0: all are ok."
)

EXIT_OK = 0
EXIT_FAILED = 1


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Checks; the exit code. Raises `config.ConfigProblems`."""
    options = config.parse_options(CHECK_OPTIONS, argv, environ, program=PROGRAM, description=DESCRIPTION)
    logs.set_up(options["log_level"], options["log_format"])
    clock = SystemClock()
    are_ok = [_told(facts) for facts in (_api_server(options, clock), _saladcloud(options, clock))]
    return EXIT_OK if all(are_ok) else EXIT_FAILED


def _told(facts: Iterable[Fact]) -> bool:
    """Prints each as soon as it is known; whether all are ok."""
    all_are_ok = True
    for fact in facts:
        output.write(f"{fact}\n")
        all_are_ok = all_are_ok and fact.is_ok
    return all_are_ok


def _api_server(options: Mapping[str, Any], clock: Clock) -> Iterator[Fact]:
    try:
        kubernetes = load_configuration(options["kubeconfig"], clock=clock)
    except ConfigurationError as error:
        yield Fact(False, f"API server: {error}")
        return
    transport, time = OfficialTransport(kubernetes, pool_size=1), ServerTime(clock)
    try:
        api = ApiServer(TimedApi(transport, time), clock=clock)
        yield from checking.api_server_facts(api, time, options["nodename"], options["cluster_id"])
    finally:
        transport.close()


def _saladcloud(options: Mapping[str, Any], clock: Clock) -> Iterator[Fact]:
    transport = RequestsTransport(options["sce_api_url"], options["api_key"].api_key, lambda: True, clock)
    time = ServerTime(clock)
    client = SaladCloud(
        TimedSaladCloud(transport, time),
        Budget(clock, 0),
        clock,
        Metrics.in_new_registry(),
        options["sce_organization_name"],
        options["sce_project_name"],
    )
    try:
        yield from checking.saladcloud_facts(client, time, options["salad_list_limit"])
    finally:
        transport.close()
