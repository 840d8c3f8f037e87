"""The architecture as a test: which part may import which, and a few rules about every file."""

from __future__ import annotations

import pathlib
import sys

import pytest

from tests.support.architecture import PACKAGE, Rules, violations

ROOT = pathlib.Path(__file__).parent.parent
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)

RULES = Rules(
    # cli -> {app, commands} -> {kubelet, saladcloud}; kubelet -> kube -> runtime -> errors
    may_import={
        "errors": (),
        "runtime": ("errors",),
        "metrics": ("runtime", "errors"),
        "kube": ("metrics", "runtime", "errors"),
        "kubelet": ("kube", "metrics", "runtime", "errors"),
        "kubelet_api": ("kubelet", "kube", "metrics", "runtime", "errors"),
        "saladcloud": ("kubelet.provider", "kubelet.provider_insight", "metrics", "runtime", "errors"),
        "api_key": ("config_values", "errors"),
        "config": ("config_options", "config_values", "api_key", "errors"),
        "config_options": ("config_values", "api_key", "errors"),
        "config_values": ("errors",),
        "logs": (),
        "signals": (),
        "health_api": ("metrics", "runtime", "errors"),
        "daemon": ("kubelet", "kube", "metrics", "runtime", "errors"),
        "app": (
            "config",
            "daemon",
            "logs",
            "signals",
            "api_key",
            "health_api",
            "kubelet",
            "kubelet_api",
            "saladcloud",
            "kube",
            "metrics",
            "runtime",
            "errors",
        ),
        "commands": (
            "config",
            "config_options",
            "config_values",
            "api_key",
            "logs",
            "signals",
            "daemon",
            "kubelet",
            "saladcloud",
            "kube",
            "metrics",
            "runtime",
            "errors",
        ),
        "cli": (
            "app",
            "commands",
            "logs",
            "signals",
            "config",
            "config_options",
            "api_key",
            "sandbox.command",
            "errors",
        ),
        "__main__": ("cli",),
        "sandbox": ("runtime.clock",),
    },
    # The sandbox knows nothing of what it imitates for; only its command starts the daemon.
    exceptions={
        "sandbox.command": (
            "sandbox",
            "app",
            "config",
            "config_options",
            "config_values",
            "logs",
            "signals",
            "runtime",
            "errors",
        )
    },
    third_party={
        "kubernetes": ("kube",),
        # What both clients' transports raise, and the connections below them.
        "urllib3": ("saladcloud.transport", "kube.transport", "runtime.connections"),
        "requests": ("saladcloud.transport",),
        "marshmallow": ("saladcloud.schemas",),
        "configargparse": ("config", "config_options"),
        "prometheus_client": (
            "metrics",
            "health_api",
            "kubelet_api.resource_metrics",
            "kubelet_api.cadvisor_metrics",
        ),
        "pydantic": ("kube.shapes",),  # what the models of the Kubernetes client are made with
        "rich": ("sandbox",),
        "cryptography": ("sandbox", "kubelet_api.certificates", "kubelet_api.requested_certificate"),
        "cheroot": ("kubelet_api.server",),
        "yaml": ("kube.configuration", "sandbox", "commands"),  # kubeconfig files; manifests that a user hands over
    },
    may_catch_everything=frozenset(
        {"runtime.threads", "kubelet.worker", "health_api", "kube.sources", "kubelet_api.application"}
    ),
    may_read_clocks=frozenset({"runtime.clock"}),
    no_postponed_annotations=frozenset({"kube.informer", "kube.pod_source"}),
)


def test_the_source_keeps_its_architecture() -> None:
    found = violations(ROOT, RULES, STANDARD_LIBRARY)
    assert not found, "\n".join(found)


# -- the checker finds what it is for

FAKE_RULES = Rules(
    may_import={
        "errors": (),
        "runtime": ("errors",),
        "kube": ("runtime", "errors"),
        "cloud": ("kube.seam", "errors"),
        "cli": ("kube",),
    },
    exceptions={"runtime.bridge": ("kube",)},
    third_party={"kubernetes": ("kube",), "requests": ("cloud.transport",)},
    may_catch_everything=frozenset({"runtime.threads"}),
    may_read_clocks=frozenset({"runtime.clock"}),
    no_postponed_annotations=frozenset({"kube.informer"}),
    line_limit=20,
)
CLEAN = {
    f"{PACKAGE}/__init__.py": '"""Top."""\n\n__version__ = "1"\n',
    f"{PACKAGE}/errors.py": "class Error(Exception): ...\n",
    f"{PACKAGE}/runtime/__init__.py": '"""Runtime."""\n',
    f"{PACKAGE}/runtime/clock.py": f"import time\nfrom {PACKAGE} import errors\nnow = time.monotonic\n",
    f"{PACKAGE}/runtime/threads.py": "try:\n    pass\nexcept Exception:\n    pass\n",
    f"{PACKAGE}/kube/__init__.py": '"""Kube."""\n',
    f"{PACKAGE}/kube/informer.py": f"import kubernetes.client\nfrom {PACKAGE}.runtime import clock\n",
    f"{PACKAGE}/kube/seam.py": "from ..errors import Error\n",
    f"{PACKAGE}/kube/passes_on.py": "try:\n    pass\nexcept BaseException:\n    print()\n    raise\n",
    f"{PACKAGE}/cloud/__init__.py": '"""Cloud."""\n',
    f"{PACKAGE}/cloud/transport.py": f"import requests\nfrom {PACKAGE} import __version__\n",
    f"{PACKAGE}/cloud/client.py": f"from {PACKAGE}.kube import seam\n",
    "tests/test_it.py": "import time\nimport pytest\nstart = time.monotonic()\n",
}


def _violations(tmp_path: pathlib.Path, planted: dict[str, str]) -> list[str]:
    for name, text in {**CLEAN, **planted}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return violations(tmp_path, FAKE_RULES, STANDARD_LIBRARY)


def test_a_clean_tree_has_no_violation(tmp_path: pathlib.Path) -> None:
    assert _violations(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("name", "text", "violation"),
    [
        ("errors.py", "import virtual_kubelet_salad.kube.seam\n", "errors: may not import kube.seam"),
        (
            "runtime/clock.py",
            "from virtual_kubelet_salad.kube import seam\n",
            "runtime.clock: may not import kube.seam",
        ),
        ("runtime/clock.py", "from ..kube.seam import Error\n", "runtime.clock: may not import kube.seam"),
        (
            "runtime/clock.py",
            "def later():\n    import virtual_kubelet_salad.cli\n",
            "runtime.clock: may not import cli",
        ),
        (
            "cloud/client.py",
            "from virtual_kubelet_salad.kube import informer\n",
            "cloud.client: may not import kube.informer",
        ),
        ("cloud/client.py", "import requests\n", "cloud.client: may not import requests"),
        ("kube/client.py", "from numpy.linalg import norm\n", "kube.client: may not import numpy"),
        ("new/thing.py", "", "new.thing: the layer new has no rule"),
        (
            "kube/__init__.py",
            '"""Kube."""\n\nfrom . import seam\n',
            f"{PACKAGE}/kube/__init__.py: holds more than a docstring",
        ),
        ("kube/__init__.py", "", f"{PACKAGE}/kube/__init__.py: holds more than a docstring"),
        (
            "kube/__init__.py",
            '"""Kube."""\n__version__ = "1"\n',
            f"{PACKAGE}/kube/__init__.py: holds more than a docstring",
        ),
        ("kube/long.py", "\n" * 21, f"{PACKAGE}/kube/long.py: 21 lines, more than 20"),
        ("kube/nap.py", "import time\n\ntime.sleep(1)\n", f"{PACKAGE}/kube/nap.py:3: time.sleep"),
        ("kube/nap.py", "from time import sleep as pause\npause(1)\n", f"{PACKAGE}/kube/nap.py:2: time.sleep"),
        (
            "kube/t.py",
            "import time as t\nt.time()\n",
            f"{PACKAGE}/kube/t.py:2: reads time.time instead of the injected clock",
        ),
        (
            "kube/t.py",
            "from datetime import datetime\ndatetime.now()\n",
            f"{PACKAGE}/kube/t.py:2: reads datetime.datetime.now instead of the injected clock",
        ),
        ("kube/c.py", "try:\n    pass\nexcept:\n    pass\n", f"{PACKAGE}/kube/c.py:3: catches everything"),
        (
            "kube/c.py",
            "try:\n    pass\nexcept (OSError, Exception):\n    pass\n",
            f"{PACKAGE}/kube/c.py:3: catches everything",
        ),
        (
            "kube/informer.py",
            "from __future__ import annotations\n",
            f"{PACKAGE}/kube/informer.py:1: needs its annotations as objects",
        ),
    ],
)
def test_a_planted_violation_is_found(tmp_path: pathlib.Path, name: str, text: str, violation: str) -> None:
    assert violation in _violations(tmp_path, {f"{PACKAGE}/{name}": text})


def test_a_module_with_rights_of_its_own_is_held_to_them(tmp_path: pathlib.Path) -> None:
    module = f"{PACKAGE}/runtime/bridge.py"
    assert _violations(tmp_path, {module: f"from {PACKAGE}.kube import seam\n"}) == []
    assert _violations(tmp_path, {module: f"from {PACKAGE} import errors\n"}) == [
        "runtime.bridge: may not import errors"
    ]


def test_an_allowed_import_that_closes_a_circle_is_found(tmp_path: pathlib.Path) -> None:
    planted = {f"{PACKAGE}/kube/a.py": "from . import b\n", f"{PACKAGE}/kube/b.py": f"import {PACKAGE}.kube.a\n"}
    assert _violations(tmp_path, planted) == ["imports form a cycle: kube.a -> kube.b -> kube.a"]


def test_tests_may_not_sleep_either(tmp_path: pathlib.Path) -> None:
    assert _violations(tmp_path, {"tests/test_nap.py": "import time\ntime.sleep(1)\n"}) == [
        "tests/test_nap.py:2: time.sleep"
    ]
