"""The subcommand `gpu-classes`: prints what GPUs SaladCloud offers to an organization, and at what price."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from virtual_kubelet_salad import config, errors, logs
from virtual_kubelet_salad.commands import gpu_offer, output
from virtual_kubelet_salad.config_options import GPU_CLASSES_OPTIONS
from virtual_kubelet_salad.saladcloud import gpu
from virtual_kubelet_salad.saladcloud.container_group import PRIORITIES
from virtual_kubelet_salad.saladcloud.models import GpuClass

PROGRAM = "virtual-kubelet-salad gpu-classes"
DESCRIPTION = "Prints the GPU classes that SaladCloud offers to an organization, with their prices in dollars per hour."

_EXIT_NOT_ASKED = 1


def main(argv: Sequence[str]) -> int:
    """Prints the classes; the exit code. Raises `config.ConfigProblems`."""
    options = config.parse_options(GPU_CLASSES_OPTIONS, argv, os.environ, program=PROGRAM, description=DESCRIPTION)
    logs.set_up("warning", "text")
    try:
        classes = gpu_offer.ask(options)
    except errors.CouldNotAsk as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return _EXIT_NOT_ASKED
    if options["output"] == "json":
        output.write(json.dumps(gpu_offer.as_document(classes), indent=2, ensure_ascii=False) + "\n")
    else:
        output.write(table(classes))
    return 0


def table(classes: Sequence[GpuClass]) -> str:
    """The classes for people, from little VRAM to much."""
    heading = ["NAME", "VRAM", "GPUS", *(f"{priority.upper()} $/H" for priority in PRIORITIES), "DEMAND", "ID"]
    return output.table([heading, *(_row(one) for one in gpu_offer.in_order(classes))])


def _row(one: GpuClass) -> list[str]:
    vram = gpu.vram_in_gib(one.name)
    prices = (one.prices.get(priority) for priority in PRIORITIES)
    return [
        gpu.title(one),
        "?" if vram is None else f"{float(vram):g} GB",
        str(one.gpu_count or 1),
        *("-" if price is None else f"{price:f}" for price in prices),
        "high" if one.is_high_demand else "-",
        one.id,
    ]
