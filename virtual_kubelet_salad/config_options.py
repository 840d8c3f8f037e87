"""The tables of the options, one per command; parser, `--help`, README and the check of each value are made from them.

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
    short: str = ""
    """The flag in one letter."""
    is_repeatable: bool = False
    """It may be given several times; its value is the tuple of all that were given."""

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
        "port of the kubelet API (HTTPS), which the Node announces; 0: any free one",
    ),
    Option("--node-ip", "IP", values.ip_address, None, "address of the Node; none: the pod's own address"),
    Option(
        "--tls-cert-file", "FILE", values.readable_file, None,
        "certificate of the kubelet API, read again when it changes; none: one that signs itself",
    ),
    Option("--tls-private-key-file", "FILE", values.readable_file, None, "private key of that certificate"),
    Option(
        "--rotate-server-certificates", "BOOL", values.switch, "false",
        "get the certificate of the kubelet API from the cluster; somebody must approve each request",
    ),
    Option(
        "--log-level", "LEVEL", values.log_level, "info", "debug, info, warning or error",
        variable="SALAD_VK_LOG_LEVEL",
    ),
    Option("--log-format", "FORMAT", values.one_of("text", "json"), "text", "text or json"),
)

_BY_FLAG = {option.flag: option for option in DAEMON_OPTIONS}


def _as_the_daemon(flag: str, **changes: Any) -> Option:
    """The daemon's option, for a command that shares it."""
    return dataclasses.replace(_BY_FLAG[flag], **changes)


RENDER_OPTIONS: tuple[Option, ...] = (
    Option(
        "--filename", "FILE", values.readable_input, None,
        "YAML file with the Pods, or the workloads whose pods are to be shown; `-`: standard input",
        short="-f", is_repeatable=True, required=True,
    ),
    Option(
        "--output", "FORMAT", values.one_of("text", "json", "yaml"), "text", "text, json or yaml", short="-o",
    ),
    Option(
        "--sources", "FILE", values.readable_file, None,
        "YAML file with Secrets, ConfigMaps and ServiceAccounts that the pods use", is_repeatable=True,
    ),
    Option(
        "--set-secret", "NAMESPACE/NAME/KEY=VALUE", values.secret_value, None,
        "value of one key of a Secret, as text; `ps` shows flags, so prefer a made-up one", is_repeatable=True,
    ),
    Option(
        "--gpu-catalog", "FILE", values.readable_file, None,
        "GPU classes and prices, as `gpu-classes --output json` prints them; none: SaladCloud is asked, with a key",
    ),
    Option(
        "--namespace", "NAMESPACE", values.namespace, "default", "namespace of objects that name none", short="-n",
    ),
    _as_the_daemon(
        "--kubeconfig", meaning="the cluster whose Secrets and ConfigMaps are used; none: only what is given here",
    ),
    _as_the_daemon("--sce-api-key", meaning="SaladCloud API key, to ask for the GPU classes"),
    _as_the_daemon("--sce-api-key-file", meaning="file with the SaladCloud API key"),
    _as_the_daemon("--sce-organization-name", required=False),
    _as_the_daemon("--sce-api-url"),
    _as_the_daemon("--nodename", meaning="name of the Node that the pods would be bound to"),
    _as_the_daemon("--node-ip", meaning="address of that Node; none: a placeholder"),
    _as_the_daemon(
        "--cluster-id",
        meaning="name of the cluster; none: the UID of the namespace kube-system, without a cluster a placeholder",
    ),
    _as_the_daemon("--default-priority"),
    _as_the_daemon("--max-price-per-hour"),
    _as_the_daemon("--namespaces"),
)

GPU_CLASSES_OPTIONS: tuple[Option, ...] = (
    Option("--output", "FORMAT", values.one_of("text", "json"), "text", "text (a table) or json", short="-o"),
    _as_the_daemon("--sce-api-key"),
    _as_the_daemon("--sce-api-key-file"),
    _as_the_daemon("--sce-organization-name"),
    _as_the_daemon("--sce-api-url"),
)

# How the daemon that a command is about reaches both sides: with these it takes the daemon's own flags and variables.
_AS_THE_DAEMON_REACHES: tuple[Option, ...] = tuple(
    map(
        _as_the_daemon,
        (
            "--sce-api-key",
            "--sce-api-key-file",
            "--sce-organization-name",
            "--sce-project-name",
            "--sce-api-url",
            "--salad-list-limit",
        ),
    )
)

CLEANUP_OPTIONS: tuple[Option, ...] = (
    CONFIG_FILE,
    Option("--dry-run", "BOOL", values.switch, "false", "only say what would be done"),
    Option(
        "--node", "NAME", values.node_name, "saladcloud-node", "name of the Node",
        variable="SALAD_VK_NODE_NAME", hidden_alias="--nodename",
    ),
    _as_the_daemon(
        "--cluster-id",
        meaning="name of the cluster at SaladCloud; none: the UID of the namespace kube-system. Required without a "
        "cluster",
    ),
    Option(
        "--without-cluster", "BOOL", values.switch, "false",
        "the cluster is lost: delete what the owner records in the container groups name, and ask no API server. So it "
        "is as well when there is a cluster id, no kubeconfig, and this is no pod",
    ),
    Option(
        "--force", "BOOL", values.switch, "false",
        "take the leader's lease from a daemon that still runs, and keep it away for 5 minutes",
    ),
    Option("--timeout", "TIME", values.duration(1, 86_400), "15m", "how long it may take; then it says what is left"),
    _as_the_daemon("--kubeconfig"),
    *_AS_THE_DAEMON_REACHES,
    _as_the_daemon("--sce-rate-limit"),
    _as_the_daemon("--create-settle"),
    _as_the_daemon("--log-level", default="warning"),
    _as_the_daemon("--log-format"),
)

CHECK_OPTIONS: tuple[Option, ...] = (
    CONFIG_FILE,
    _as_the_daemon("--nodename"),
    _as_the_daemon("--kubeconfig"),
    *_AS_THE_DAEMON_REACHES,
    _as_the_daemon("--cluster-id"),
    _as_the_daemon("--log-level", default="warning"),
    _as_the_daemon("--log-format"),
)


def flag_table_markdown(options: Sequence[Option] = DAEMON_OPTIONS) -> str:
    """README's table of the flags."""
    lines = ["| flag | variable | default | meaning |", "|---|---|---|---|"]
    for option in options:
        names = " ".join(filter(None, (option.short, option.flag)))
        flag = f"`{names}`" if option.is_switch else f"`{names} {option.metavar}`"
        is_literal = not (option.required or option.is_switch or option.default is None)
        default = f"`{option.shown_default}`" if is_literal else option.shown_default
        lines.append(f"| {flag} | `{option.environment_variable}` | {default} | {option.meaning} |")
    return "\n".join(lines) + "\n"
