"""A command's tests see neither the variables of the developer's shell nor each other's logging."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from virtual_kubelet_salad import logs


@pytest.fixture(autouse=True)
def process_settings_are_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("SALAD_") or name == "KUBECONFIG"]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in logs.THIRD_PARTIES:
        logging.getLogger(name).setLevel(logging.NOTSET)
