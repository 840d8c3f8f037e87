"""Lets a daemon live for long and looks whether it grows; exit code 1 when it does, or when anything goes wrong.

python -m tests.soak --minutes 20           a real process, in real time
python -m tests.soak --simulated-hours 24   its objects under a fake clock
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import pathlib
import sys
import tempfile

from tests.soak import processes, simulated

# What is remembered up to a number (the events that were read, those that were posted) fills for hours, up to 10 MiB.
MOST_MIB_PER_HOUR = 10.0
# Threads and files come and go with scrapes and broken connections.
MOST_LEFT_OVER = 4
MOST_GROWTH = 1.05


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--simulated-hours", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    is_flat = True
    if options.simulated_hours:
        logging.disable(logging.CRITICAL)
        day = simulated.run(options.simulated_hours, options.seed)
        print(json.dumps({"seed": options.seed, "hours": options.simulated_hours, **dataclasses.asdict(day)}))
        is_flat = max(day.objects[1:]) <= MOST_GROWTH * day.objects[0]
    if options.minutes:
        with tempfile.TemporaryDirectory() as directory:
            report = processes.run(pathlib.Path(directory), options.minutes, options.seed)
        print(json.dumps({"seed": options.seed, **dataclasses.asdict(report)}))
        left_over = (
            report.threads_at_end - report.threads_at_warm,
            report.files_at_end - report.files_at_warm,
        )
        is_flat = is_flat and report.rss_slope_mib_per_hour <= MOST_MIB_PER_HOUR and max(left_over) <= MOST_LEFT_OVER
    print("flat" if is_flat else "it grows")
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
