"""The values that generated pods are made of: ordinary ones as people write them, and odd ones."""

from __future__ import annotations

from typing import Any

from tests.support.gpu_catalog import CLASSES, RTX_4090
from virtual_kubelet_salad.kubelet.refusal_table import TABLE
from virtual_kubelet_salad.saladcloud import pod_annotations

Json = dict[str, Any]

# In no text that a person may read; the generator puts it into every Secret and every value that is refused.
CANARY = "cAnArY"

OPT_OUTS = tuple(dict.fromkeys(row.opt_out for row in TABLE if row.opt_out)) + ("annotations",)
NAMES = ("A", "B", "MODEL", "C.D", "e-f", "LD_LIBRARY_PATH")
WORDS = ("a", "web", "--port", "8000", "v$(A)", "$(MODEL)/x", "$$(A)", "ünï ✓", "a b", "$(NOBODY)", "{}", "-c")
ODD_TEXTS = (
    *(
        "",
        " ",
        "\n",
        f"{CANARY}\nb",
        "\u2028",
        f"{CANARY}\r",
        "\x00",
        "$(",
        "$(A",
        "%s{0}",
        "$(A)",
        "{",
        "null",
        "-1",
        "é" * 999,
    ),
    *(CANARY * 167, "x" * 1000, "x" * 5000, "$(A)" * 250, "9" * 30, "../..", "<b>", "'\"\\", "\ud7ff\U0010ffff"),
)
ODD_INTEGERS = (0, -1, 1, 2, 61, 121, 1201, 5000, 65_535, 65_536, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 10**40)
SIZES: dict[str, tuple[str, ...]] = {
    "cpu": ("100m", "1", "1500m", "3.2", "0", "1e1", "2"),
    "memory": ("64Mi", "1Gi", "1500M", "3e9", "8Gi", "0", "128974848", "12Gi"),
    "ephemeral-storage": ("100Mi", "20Gi", "1500M", "0", "50Gi"),
    "nvidia.com/gpu": ("1", "1", "8", "0"),
}
ODD_SIZES = ("2k", "5E", "8Ei", "1E9", "12e6", "1e", "-1", "one", "", "0.0000001", "1e400", "9" * 40, 7, 0.5)
IMAGES = ("nginx", "nginx:1.29", "ghcr.io/acme/model:3", "gcr.io/p/i", "r:5000/x@sha256:12", "localhost/a")
IMAGES_WITH_SECRETS = ("ghcr.io/acme/model:3", "europe-docker.pkg.dev/p/r/i", "1.dkr.ecr.eu-west-1.amazonaws.com/a")
FIELD_PATHS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels['app']", "metadata.annotations['note']"),
    *("spec.nodeName", "spec.serviceAccountName", "status.hostIP", "metadata.labels", "metadata.annotations['absent']"),
)
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
HEALTHY: dict[str, Json] = {
    "exec": {"command": ["cat", "/healthy"]},
    "httpGet": {"port": 8000, "path": "/healthz"},
    "tcpSocket": {"port": 8000},
    "grpc": {"port": 9000},
}
# Annotations and ordinary values of theirs.
ANNOTATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (pod_annotations.GPU_CLASSES, (RTX_4090.name, f"{RTX_4090.id}, {CLASSES[1].name.upper()}")),
    (pod_annotations.GPU_MEMORY, ("8", "24Gi")),
    (pod_annotations.MAX_PRICE_PER_HOUR, ("0.50", "$2")),
    (pod_annotations.COUNTRY_CODES, ("us", "US, de ,no", "gb,")),
    (pod_annotations.PRIORITY, ("high", "Batch")),
    (pod_annotations.NETWORKING_PORT, ("8000", "80")),
    (pod_annotations.NETWORKING_AUTH, ("true", "false")),
    (pod_annotations.NETWORKING_LOAD_BALANCER, ("round_robin",)),
    (pod_annotations.LOGGING_TCP_HOST, ("logs.example.com",)),
    (pod_annotations.LOGGING_SECRET, ("sink",)),
    (pod_annotations.ON_INTERRUPTION, ("continue",)),
    ("example.com/other", ("x",)),
)
