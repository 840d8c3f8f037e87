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

# A heap that is used again and again loses some places to fragments; a leak of 7 KB for each pod would show.
MOST_MIB_PER_HOUR = 3.0
# Threads and files come and go with scrapes and broken connections.
MOST_LEFT_OVER = 4
MOST_REQUESTS_PER_MINUTE = 240


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--simulated-hours", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not options.minutes and not options.simulated_hours:
        parser.error("say how long: --minutes or --simulated-hours")
    is_flat = True
    if options.simulated_hours:
        logging.disable(logging.CRITICAL)
        day = simulated.run(options.simulated_hours, options.seed)
        print(json.dumps({"seed": options.seed, "hours": options.simulated_hours, **dataclasses.asdict(day)}))
        grown = ", ".join(f"{name} {share:.1%}" for name, share in day.growth().items())
        print(f"grown since the end of the first quarter: {grown}")
        is_flat = day.is_flat() and day.most_requests_per_minute <= MOST_REQUESTS_PER_MINUTE
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
