"""The explorer from the command line; exit code 1 when it finds a violation."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from tests.explorer.explore import explore


def main() -> int:
    parser = argparse.ArgumentParser(description="Looks for a violated invariant in random runs of the daemon.")
    parser.add_argument("--seed", type=int, help="only this seed")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--steps", type=int, default=2_000, help="of each seed")
    parser.add_argument("--no-shrink", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    only = arguments.seed is not None
    seeds = [arguments.seed] if only else range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    begun, found = time.monotonic(), 0
    for seed in seeds:
        violation = explore(seed, arguments.steps, shrink=not arguments.no_shrink)
        if violation is not None:
            found += 1
            print(violation, flush=True)
    seconds = time.monotonic() - begun
    total = len(seeds) * arguments.steps
    print(f"{len(seeds)} seeds, {total} steps, {total / seconds:.0f} steps/s, {found} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
