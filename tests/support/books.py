"""The end of a run with many kills, as the simulator's books tell it: printed, and held to its bounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from tests.support.cloud_process import Cloud
from tests.support.mortal import Mortal


class Bound(NamedTuple):
    """How much one group may cost in vain."""

    seconds: float
    """While one daemon lives and works."""
    kills: int
    """So many may come between the end of its pod and its own; it pays for the starts that follow."""


def close_the_books(
    cloud: Cloud, mortal: Mortal, title: str, leaked: Collection[str], bounds: Mapping[str, Bound]
) -> None:
    """AssertionError when a group is left, a pod had two, one of somebody else was deleted, or a container ran for
    longer than it may without a live pod while a daemon was there that could stop it.

    `bounds`: for groups whose names begin so; the first that fits counts.
    """
    statistics = cloud.statistics()
    creates = statistics["requests_by_operation"].get("create_container_group", 0)
    print(f"{title}, {mortal.kills} kills, {creates} creates, {statistics['requests']} requests")
    duplicates, foreign_deletions = statistics["duplicates"], statistics["foreign_deletions"]
    print(f"{len(leaked)} leaked, {len(duplicates)} double, {len(foreign_deletions)} foreign deleted")
    print(_answers(statistics))
    print(f"{sum(statistics['billed_seconds'].values()):.0f} s billed, of these without a live pod:")
    bound_of = {
        name: next(bound for prefix, bound in bounds.items() if name.startswith(prefix))
        for name in statistics["billed_seconds"]
    }
    for prefix, bound in bounds.items():
        names = {name for name, of_name in bound_of.items() if of_name is bound}
        print(f"  {prefix}*: {_in_vain(statistics, names)}; bound {bound.seconds:g} s of one life")
    print(f"ready after {_range(mortal.starts)} s in {len(mortal.starts)} starts", flush=True)
    assert not leaked
    assert duplicates == []
    assert foreign_deletions == []
    for name, bound in bound_of.items():
        seconds, at_starts = (statistics[f"unwanted_seconds_{kind}"][name] for kind in ("of_one_life", "at_starts"))
        assert seconds <= bound.seconds, f"{name} ran unwanted for {seconds} s while a daemon worked"
        of_starts = sum(sorted([*mortal.starts, *mortal.cut_starts])[-bound.kills - 1 :])
        assert at_starts <= of_starts, f"{name} ran unwanted for {at_starts} s while daemons started"


def _in_vain(statistics: Mapping[str, Any], names: Collection[str]) -> str:
    worked = _sum(statistics["unwanted_seconds"], names)
    of_one_life = max((statistics["unwanted_seconds_of_one_life"][name] for name in names), default=0.0)
    started = _sum(statistics["unwanted_seconds_at_starts"], names)
    away = _sum(statistics["unattended_seconds"], names)
    return f"while daemons worked {worked}, {of_one_life:.1f} s of one life; at their starts {started}; else {away}"


def _sum(seconds_by_name: Mapping[str, float], names: Collection[str]) -> str:
    seconds = [seconds_by_name[name] for name in names if seconds_by_name[name]]
    return f"{sum(seconds):.1f} s in {len(seconds)} groups (at most {max(seconds, default=0.0):.1f} s in one)"


def _answers(statistics: Mapping[str, Any]) -> str:
    codes = sorted(statistics["requests_by_code"].items())
    return "answers: " + ", ".join(f"{count} × {code}" for code, count in codes)


def _range(seconds: Collection[float]) -> str:
    return f"{min(seconds):.1f} to {max(seconds):.1f}" if seconds else "no"
