"""Measures the daemon and prints measured against target; exit code 1 when a target is missed.

    python -m tests.bench [--only NAME …] [--json FILE] [--seed N] [--long]

Runs on this machine's loopback only, each process on its own. The numbers depend on what else the machine does, so the
load average is printed with them.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import time
from collections.abc import Sequence

from tests.bench import report
from tests.bench.measures import MEASURES, Run
from tests.bench.report import Reading
from tests.bench.world import PROFILE, Broken

EXIT_MISSED = 1


def main(arguments: Sequence[str]) -> int:
    """Runs the chosen measures; the exit code."""
    options = _parser().parse_args(arguments)
    chosen = [measure for measure in MEASURES if not options.only or measure.name in options.only]
    readings: list[Reading] = []
    details: dict[str, object] = {}
    broken = []
    print(f"seed {options.seed}, profile {PROFILE}, {os.cpu_count()} cores, load average {_load()}", flush=True)
    for measure in chosen:
        begun = time.monotonic()
        print(f"{measure.name}: {measure.about}", flush=True)
        run = Run(options.seed, options.long)
        try:
            for reading in measure.run(run):
                readings.append(reading)
                print("  " + report.table([reading]).splitlines()[1], flush=True)
        except (Broken, OSError, RuntimeError) as error:
            broken.append(f"{measure.name}: {error}")
            print(f"  broken: {error}", flush=True)
        details[measure.name] = run.details
        print(f"  {time.monotonic() - begun:.0f} s, load average {_load()}", flush=True)
    print()
    print(report.table(readings))
    misses = sum(reading.is_miss for reading in readings)
    print(f"{len(readings)} readings, {misses} misses, {len(broken)} broken measures; load average {_load()}")
    if options.json is not None:
        content = report.as_json(readings, seed=options.seed, profile=PROFILE, details=details)
        options.json.write_text(json.dumps({**content, "broken": broken}, indent=1) + "\n", encoding="utf-8")
    return EXIT_MISSED if misses or broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures the daemon against targets.")
    names = [measure.name for measure in MEASURES]
    parser.add_argument("--only", action="extend", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything to this file as well")
    parser.add_argument("--seed", type=int, default=1, help="of the simulators; default: 1")
    parser.add_argument("--long", action="store_true", help="also what takes minutes: staleness by sweep")
    return parser


def _load() -> str:
    return " ".join(f"{load:.2f}" for load in os.getloadavg())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
