"""What the commands print, for README: made by the commands themselves, with the offer of the sandbox."""

from __future__ import annotations

import functools
import json
import pathlib
import subprocess
import sys
import tempfile

from virtual_kubelet_salad.commands import gpu_classes, gpu_offer
from virtual_kubelet_salad.sandbox.salad_catalog import GPU_CLASSES
from virtual_kubelet_salad.saladcloud.models import GpuClass
from virtual_kubelet_salad.saladcloud.schemas import answers

REPOSITORY = pathlib.Path(__file__).parents[2]
RENDER_SECONDS = 120.0
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  name: llm
  annotations:
    salad.com/gpu-memory: "24"
    salad.com/max-price-per-hour: "0.25"
spec:
  containers:
    - name: llm
      image: ghcr.io/example/llm-server:1.4
      env:
        - {name: HF_TOKEN, valueFrom: {secretKeyRef: {name: hugging-face, key: token}}}
      resources:
        limits: {cpu: "4", memory: 16Gi, nvidia.com/gpu: "1"}
"""
ARGUMENTS = (
    *("-f", "pod.yaml", "--gpu-catalog", "gpu-classes.json"),
    *("--set-secret", "default/hugging-face/token=made-up"),
)


def _offer() -> tuple[GpuClass, ...]:
    classes = answers.gpu_classes({"items": list(GPU_CLASSES)})
    assert classes is not None
    return classes


@functools.cache
def render_example() -> str:
    """A pod, the command, and what it prints."""
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / "pod.yaml").write_text(MANIFEST)
        catalog = pathlib.Path(directory) / "gpu-classes.json"
        catalog.write_text(json.dumps(gpu_offer.as_document(_offer())))
        done = subprocess.run(
            [sys.executable, "-m", "virtual_kubelet_salad", "render", *ARGUMENTS],
            cwd=directory,
            env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=RENDER_SECONDS,
        )
    assert (done.returncode, done.stderr) == (0, ""), done
    command = f"virtual-kubelet-salad render {' '.join(ARGUMENTS)}"
    return f"```yaml\n{MANIFEST}```\n\n```sh\n{command}\n```\n\n```text\n{done.stdout}```\n"


def gpu_classes_example() -> str:
    """The table of what the sandbox offers."""
    return f"```text\n{gpu_classes.table(_offer())}```\n"
