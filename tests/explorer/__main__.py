"""The explorer from the command line.

    python -m tests.explorer --first-seed 0 --seeds 200 --steps 2000
    python -m tests.explorer --seed 17 --steps 2000

Exit code 0: no violation, 1: at least one, 2: a mistake in the arguments. Each violation is printed with the shortest
run that shows it and with the command that finds it again.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

import pytest

from tests.explorer.explore import Found, explore, story_of
from tests.explorer.layout import KINDS, seeds_of
from tests.explorer.planted import DEFECTS

SEEDS = 200
STEPS = 2_000
MISTAKE = 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(MISTAKE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parsed(arguments)
    seeds = [given.seed] if given.seed is not None else seeds_of(given.kinds, given.first_seed, given.seeds or SEEDS)
    begun, found = time.monotonic(), 0
    with _planted(given.plant), _quiet():
        for seed in seeds:
            violation = explore(seed, given.steps, shrink=not given.no_shrink)
            if violation is not None:
                found += 1
                print("\n".join([str(violation), *_details(violation, given)]), flush=True)
    seconds = time.monotonic() - begun
    total = len(seeds) * given.steps
    print(f"{len(seeds)} seeds, {total} steps, {total / seconds:.0f} steps/s, {found} violations")
    return 1 if found else 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m tests.explorer",
        description="Looks for a violated invariant in random runs of the daemon.",
        allow_abbrev=False,
    )
    parser.add_argument("--seed", type=_count, help="only this seed")
    parser.add_argument("--first-seed", type=_count)
    parser.add_argument("--seeds", type=_positive, help=f"how many, default {SEEDS}")
    parser.add_argument("--steps", type=_positive, default=STEPS, help=f"of each seed, default {STEPS}")
    parser.add_argument("--kinds", type=_kinds, help=f"only these layouts, separated by commas: {', '.join(KINDS)}")
    parser.add_argument("--no-shrink", action="store_true", help="print whole runs, and what was asked in none")
    parser.add_argument("--plant", choices=DEFECTS, metavar="DEFECT", help="take a safety line out of the daemon")
    given = parser.parse_args(arguments)
    if given.seed is not None and (given.seeds or given.first_seed is not None or given.kinds):
        parser.error("--seed is one seed: it goes without --seeds, --first-seed and --kinds")
    given.kinds, given.first_seed = given.kinds or KINDS, given.first_seed or 0
    return given


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is none of {', '.join(KINDS)}")
    return kinds


def _details(violation: Found, given: argparse.Namespace) -> list[str]:
    shown = [f"  {action}" for action in violation.actions] if given.no_shrink else story_of(violation)
    again = f"again: python -m tests.explorer --seed {violation.seed} --steps {violation.steps}"
    if given.plant is not None:
        again += f" --plant {given.plant}"
    return [*shown, again]


@contextlib.contextmanager
def _planted(name: str | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if name is not None:
            DEFECTS[name].plant(patch)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Millions of log lines would only be thrown away."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


if __name__ == "__main__":
    sys.exit(main())
