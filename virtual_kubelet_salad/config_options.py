"""The one table of the daemon's options; parser, `--help`, README and the check of each value are made from it.

The field of `config.Config` that holds an option's value is the flag without its dashes. Names and variables that the
Go kubelet for SaladCloud already had are kept. Pure data: nothing here parses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from virtual_kubelet_salad import config_values as values


@dataclasses.dataclass(frozen=True)
class Option:
    """One option. `default` is text, checked like any other; None means that there is no value."""

    flag: str
    metavar: str
    parse: Callable[[str], Any]
    default: str | None
    meaning: str
    variable: str = ""
    required: bool = False
    hidden_alias: str = ""
    negative: str = ""
    """The flag that switches this one off."""

    @property
    def field(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def environment_variable(self) -> str:
        return self.variable or "SALAD_VK_" + self.field.upper()

    @property
    def is_switch(self) -> bool:
        return self.parse is values.switch

    @property
    def shown_default(self) -> str:
        if self.required:
            return "required"
        if self.is_switch:
            return "on" if self.default == "true" else "off"
        return self.default if self.default is not None else "none"


CONFIG_FILE = Option(
    "--config", "FILE", values.readable_file, None,
    "file with one `flag = value` per line, without the dashes; flags win over variables, variables over this file",
)

DAEMON_OPTIONS: tuple[Option, ...] = (
    CONFIG_FILE,
    Option(
        "--nodename", "NAME", values.node_name, "saladcloud-node", "name of the Node; keep it stable",
        variable="SALAD_VK_NODE_NAME",
    ),
    Option(
        "--kubeconfig", "FILE", values.kubeconfig, None,
        "how to reach the API server; none: the pod's own service account",
        variable="KUBECONFIG", hidden_alias="--kube-config",
    ),
    Option(
        "--sce-api-key", "KEY", values.api_key, None,
        "SaladCloud API key (this or the file is required); `ps` shows flags, so prefer the variable or the file",
        variable="SALAD_CLOUD_API_KEY",
    ),
    Option(
        "--sce-api-key-file", "FILE", values.readable_file, None,
        "file with the SaladCloud API key; read again when it changes",
    ),
    Option(
        "--sce-organization-name", "NAME", values.saladcloud_name, None, "SaladCloud organization",
        variable="SALAD_CLOUD_ORGANIZATION_NAME", required=True,
    ),
    Option(
        "--sce-project-name", "NAME", values.saladcloud_name, None, "SaladCloud project",
        variable="SALAD_CLOUD_PROJECT_NAME", required=True,
    ),
    Option(
        "--sce-api-url", "URL", values.api_url, "https://api.salad.com/api/public",
        "base of the SaladCloud API; https, or http to this machine", variable="SALAD_CLOUD_API_URL",
    ),
    Option(
        "--sce-rate-limit", "N", values.rate_limit, "240",
        "requests per minute that SaladCloud allows this key; 0: no limit",
    ),
    Option(
        "--salad-list-limit", "N", values.whole_number(0, 1_000_000), "100",
        "container groups that one SaladCloud list shows at most; 0: all of them",
    ),
    Option(
        "--cluster-id", "ID", values.label_value, None,
        "name of this cluster in everything created at SaladCloud; none: the UID of the namespace kube-system",
    ),
    Option(
        "--disable-taint", "BOOL", values.switch, "false", "no taint on the Node, so that pods need no toleration",
    ),
    Option("--taint-key", "KEY", values.label_key, "virtual-kubelet.io/provider", "key of the Node's taint"),
    Option("--taint-value", "VALUE", values.label_value, "saladcloud", "value of the Node's taint"),
    Option(
        "--taint-effect", "EFFECT", values.one_of("NoSchedule", "PreferNoSchedule", "NoExecute"), "NoSchedule",
        "effect of the Node's taint: NoSchedule, PreferNoSchedule or NoExecute",
    ),
    Option(
        "--max-pods", "N", values.whole_number(1, 100_000), None,
        "most pods that the Node offers; none: the organization's quota",
    ),
    Option(
        "--capacity", "RESOURCE=QUANTITY,...", values.capacity, None,
        "what the Node offers of these resources, in place of what the quota allows",
    ),
    Option(
        "--max-price-per-hour", "DOLLARS", values.price, None, "most that one pod may cost per hour; none: no limit",
    ),
    Option(
        "--default-priority", "PRIORITY", values.one_of("high", "medium", "low", "batch"), "high",
        "priority of pods that name none: high, medium, low or batch",
    ),
    Option(
        "--namespaces", "NAME,...", values.namespaces, None,
        "pods of other namespaces are refused; none: all may run",
    ),
    Option(
        "--daemonset-pods", "STATE", values.one_of("ready", "pending"), "ready",
        "what DaemonSet pods, which never run here, are reported as: ready or pending",
    ),
    Option(
        "--poll-interval", "TIME", values.duration(0.1, 300), "5s", "time between two lists of the container groups",
    ),
    Option("--feed-interval", "TIME", values.duration(0.1, 300), "10s", "time between two queries for events"),
    Option(
        "--heartbeat-interval", "TIME", values.duration(0.1, 20), "10s",
        "time between two renewals of the Node's lease, which lasts 40 s",
    ),
    Option("--workers", "N", values.whole_number(1, 100), "10", "pods that are worked on at the same time"),
    Option(
        "--create-settle", "TIME", values.duration(0.1, 3600), "120s",
        "how long a create without an answer may still take effect at SaladCloud; only then a missing group is missing",
    ),
    Option("--shutdown-timeout", "TIME", values.duration(1, 600), "20s", "how long an ordered stop may take"),
    Option(
        "--leader-elect", "BOOL", values.switch, "true",
        "only one of several replicas works at a time; `--no-leader-elect` switches it off",
        negative="--no-leader-elect",
    ),
    Option(
        "--leader-identity", "NAME", values.label_value, None,
        "this replica's name in the election; none: host name and random letters",
    ),
    Option(
        "--metrics-address", "ADDRESS:PORT", values.listen_address, "0.0.0.0:8080",
        "where /metrics, /healthz and /readyz are served; port 0: any free one",
    ),
    Option(
        "--kubelet-port", "PORT", values.whole_number(0, 65535), "10250",
        "port that the Node announces for the kubelet API, which this version does not serve",
    ),
    Option("--node-ip", "IP", values.ip_address, None, "address of the Node; none: the pod's own address"),
    Option(
        "--tls-cert-file", "FILE", values.readable_file, None,
        "certificate of the kubelet API, which this version does not serve",
    ),
    Option("--tls-private-key-file", "FILE", values.readable_file, None, "private key of that certificate"),
    Option(
        "--rotate-server-certificates", "BOOL", values.switch, "false",
        "get the certificate of the kubelet API from the cluster; without effect in this version",
    ),
    Option(
        "--log-level", "LEVEL", values.log_level, "info", "debug, info, warning or error",
        variable="SALAD_VK_LOG_LEVEL",
    ),
    Option("--log-format", "FORMAT", values.one_of("text", "json"), "text", "text or json"),
)


def flag_table_markdown(options: Sequence[Option] = DAEMON_OPTIONS) -> str:
    """README's table of the flags."""
    lines = ["| flag | variable | default | meaning |", "|---|---|---|---|"]
    for option in options:
        flag = f"`{option.flag}`" if option.is_switch else f"`{option.flag} {option.metavar}`"
        is_literal = not (option.required or option.is_switch or option.default is None)
        default = f"`{option.shown_default}`" if is_literal else option.shown_default
        lines.append(f"| {flag} | `{option.environment_variable}` | {default} | {option.meaning} |")
    return "\n".join(lines) + "\n"
