"""Which GPU classes a container group may run on.

Classes are a set, and SaladCloud picks any of them: those that the pod names, else every NVIDIA class with the wanted
number of GPUs; of these, the ones that fit its sizes, its least VRAM and the price cap. What the cap or a size leaves
out is told, an unknown name blocks: a list is never shortened in silence. Pure.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from virtual_kubelet_salad.errors import Blocked, Refused
from virtual_kubelet_salad.kubelet.provider import Notice, Pod
from virtual_kubelet_salad.runtime import quantity
from virtual_kubelet_salad.saladcloud import pod_annotations, prices
from virtual_kubelet_salad.saladcloud.models import GpuClass
from virtual_kubelet_salad.saladcloud.resources import Sizes

# The API takes so many classes in one group.
GREATEST_CLASS_COUNT = 100
# So many names are written out in a message.
_NAMED_IN_A_MESSAGE = 8

_VRAM = re.compile(r"\((\d+(?:\.\d+)?) ?GB\)", re.IGNORECASE)
_NOT_NVIDIA = re.compile(r"\b(radeon|arc|instinct|amd|intel|rx)\b|\bmi\d{2,3}[a-z]?\b", re.IGNORECASE)
_NVIDIA = re.compile(
    r"\b(nvidia|rtx|gtx|tesla|quadro|titan|t4g?|[vp]100|g[hb]\d{3}|[ahbl]\d{1,4}[a-z]{0,2})\b", re.IGNORECASE
)
_PRICE = re.compile(r"\$?\d{1,9}(\.\d{1,9})?")


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What a pod, and the operator, want of a GPU."""

    names: tuple[str, ...]
    count: int | None
    """Number of GPUs of one class; None: a pod that names classes and no number takes them as they are."""
    least_vram_in_gib: Fraction
    cap_in_dollars_per_hour: Decimal | None
    priority: str


def wish(pod: Pod, sizes: Sizes, priority: str, operators_cap: Decimal | None) -> Wish | None:
    """What the pod says about GPUs; None: it wants none. Raises `Refused`."""
    names = pod_annotations.items(pod, pod_annotations.GPU_CLASSES)
    least_vram = _least_vram_in_gib(pod)
    cap = _cap(pod)
    if not names and not sizes.gpus and least_vram is None:
        if cap is not None:
            raise pod_annotations.invalid(
                pod_annotations.MAX_PRICE_PER_HOUR, "bounds the price of a GPU, and the pod asks for none; remove it"
            )
        return None
    caps = [bound for bound in (cap, operators_cap) if bound is not None]
    return Wish(
        names=names,
        count=sizes.gpus or (None if names else 1),
        least_vram_in_gib=least_vram or Fraction(0),
        cap_in_dollars_per_hour=min(caps, default=None),
        priority=priority,
    )


def choose(wanted: Wish, sizes: Sizes, classes: Sequence[GpuClass], tell: list[Notice]) -> tuple[GpuClass, ...]:
    """The classes to send, cheapest first; never empty. Raises `Refused` for an ambiguous name, `Blocked` for an
    unknown one and when nothing fits.
    """
    candidates = [_named(name, classes) for name in wanted.names] if wanted.names else _unnamed(wanted, classes)
    candidates = list({candidate.id: candidate for candidate in candidates}.values())
    if not wanted.names:
        # What only costs too much comes first, as a higher price would make it fit.
        without_cap = dataclasses.replace(wanted, cap_in_dollars_per_hour=None)
        candidates.sort(key=lambda one: (_obstacle(one, without_cap, sizes) != "", _price(one, wanted)))
    left_out: list[str] = []
    fitting: list[GpuClass] = []
    for candidate in candidates:
        obstacle = _obstacle(candidate, wanted, sizes)
        if obstacle:
            left_out.append(f"{title(candidate)} ({obstacle})")
        else:
            fitting.append(candidate)
    if not fitting:
        raise Blocked(
            "NoGpuClassFits", f"No GPU class fits: {_shortened(left_out) or 'SaladCloud offers none of that kind'}"
        )
    fitting.sort(key=lambda one: (_price(one, wanted), title(one), one.id))
    chosen = tuple(_agreeing(fitting, wanted, sizes, left_out)[:GREATEST_CLASS_COUNT])
    tell.append(Notice("Normal", "GpuClassesChosen", _description(chosen, wanted, left_out if wanted.names else [])))
    return chosen


def _price(one: GpuClass, wanted: Wish) -> Decimal:
    """Per hour; one that SaladCloud has not published is the highest."""
    return one.prices.get(wanted.priority, Decimal("Infinity"))


def _agreeing(fitting: Sequence[GpuClass], wanted: Wish, sizes: Sizes, left_out: list[str]) -> Sequence[GpuClass]:
    """Those that can be in one group, which has one size: the least that one class takes may be more than another has.
    Classes that take the pod's sizes as they are come first, then the cheapest.
    """
    as_they_are = [one for one in fitting if raised_to_least(sizes, [one]) == sizes]
    agreeing = list(as_they_are)
    for one in fitting:
        if one in as_they_are:
            continue
        raised = raised_to_least(sizes, [*agreeing, one])
        if any(_obstacle(other, wanted, raised) for other in [*agreeing, one]):
            left_out.append(f"{title(one)} (what it takes at least is more than the others have)")
        else:
            agreeing.append(one)
    return [one for one in fitting if one in agreeing]


def raised_to_least(sizes: Sizes, chosen: Sequence[GpuClass]) -> Sizes:
    """The sizes, raised to what each of the chosen classes takes at least."""
    storage = sizes.storage_in_bytes
    if storage is not None:
        storage = max([storage, *(one.min_storage or 0 for one in chosen)])
    return dataclasses.replace(
        sizes,
        cpu_in_cores=max([sizes.cpu_in_cores, *(one.min_vcpu or 0 for one in chosen)]),
        memory_in_mib=max([sizes.memory_in_mib, *(one.min_ram or 0 for one in chosen)]),
        storage_in_bytes=storage,
    )


def is_nvidia(name: str) -> bool:
    """Whether a class is recognized as NVIDIA's by its name; the API does not tell the maker."""
    return bool(_NVIDIA.search(name)) and not _NOT_NVIDIA.search(name)


def vram_in_gib(name: str) -> Fraction | None:
    """The memory of one GPU, which only the name of a class tells; None when it does not."""
    found = _VRAM.findall(name)
    return Fraction(found[-1]) if found else None


def _named(name: str, classes: Sequence[GpuClass]) -> GpuClass:
    wanted = name.strip().casefold()
    found = {one.id: one for one in classes if wanted in (one.id.casefold(), title(one).casefold())}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise Refused(
            "AmbiguousGpuClass",
            f"The GPU class {pod_annotations.quoted(name)} is ambiguous: {len(found)} classes have that name. Name one "
            f"of them by its id: {', '.join(sorted(found))}",
        )
    raise Blocked(
        "UnknownGpuClass",
        f"SaladCloud has no GPU class {pod_annotations.quoted(name)} now; the nearest are {_near(wanted, classes)}",
    )


def _near(wanted: str, classes: Sequence[GpuClass]) -> str:
    titles = {title(one).casefold(): title(one) for one in classes}
    containing = [name for folded, name in sorted(titles.items()) if wanted in folded]
    similar = [titles[folded] for folded in difflib.get_close_matches(wanted, list(titles), n=3, cutoff=0.0)]
    return ", ".join(list(dict.fromkeys(containing + similar))[:3]) or "none, for it offers no classes"


def _unnamed(wanted: Wish, classes: Sequence[GpuClass]) -> list[GpuClass]:
    return [one for one in classes if is_nvidia(one.name) and (one.gpu_count or 1) == wanted.count]


def _obstacle(candidate: GpuClass, wanted: Wish, sizes: Sizes) -> str:
    """Why a class does not serve; empty when it does."""
    gpu_count = candidate.gpu_count or 1
    vram = vram_in_gib(candidate.name)
    price = candidate.prices.get(wanted.priority)
    cap = wanted.cap_in_dollars_per_hour
    if wanted.count is not None and gpu_count != wanted.count:
        return f"it has {gpu_count} GPU, {wanted.count} wanted"
    if wanted.least_vram_in_gib and (vram is None or vram < wanted.least_vram_in_gib):
        return (
            "its VRAM is unknown"
            if vram is None
            else f"it has {_plain(vram)} GB of VRAM, {_plain(wanted.least_vram_in_gib)} wanted"
        )
    if candidate.max_vcpu is not None and sizes.cpu_in_cores > candidate.max_vcpu:
        return f"it has at most {candidate.max_vcpu} cores, {sizes.cpu_in_cores} wanted"
    if candidate.max_ram is not None and sizes.memory_in_mib > candidate.max_ram:
        return f"it has at most {candidate.max_ram} MiB of memory, {sizes.memory_in_mib} wanted"
    if candidate.max_storage is not None and (sizes.storage_in_bytes or 0) > candidate.max_storage:
        return f"it has at most {candidate.max_storage} bytes of storage, {sizes.storage_in_bytes} wanted"
    if cap is not None and price is None:
        return f"it has no price at priority {wanted.priority}"
    if cap is not None and price is not None and price > cap:
        return f"it costs ${price:f} per hour at priority {wanted.priority}, at most ${cap:f} allowed"
    return ""


def _description(chosen: Sequence[GpuClass], wanted: Wish, left_out: Sequence[str]) -> str:
    known = [one.prices[wanted.priority] for one in chosen if wanted.priority in one.prices]
    text = f"Runs on {'any of: ' if len(chosen) > 1 else ''}{_shortened([title(one) for one in chosen])}"
    if known:
        text += f"; {prices.in_words(known, wanted.priority)}"
    return text + (f". Left out: {_shortened(left_out)}" if left_out else "")


def title(one: GpuClass) -> str:
    """The name of a class; at least one is published with a leading blank."""
    return one.name.strip()


def _shortened(texts: Sequence[str]) -> str:
    listed = ", ".join(texts[:_NAMED_IN_A_MESSAGE])
    return f"{listed} and {len(texts) - _NAMED_IN_A_MESSAGE} more" if len(texts) > _NAMED_IN_A_MESSAGE else listed


def _plain(value: Fraction) -> str:
    return f"{float(value):g}"


def _least_vram_in_gib(pod: Pod) -> Fraction | None:
    """A plain number is GB as in the names of the classes, which mean GiB; a quantity with a unit is what it says."""
    value = pod_annotations.text(pod, pod_annotations.GPU_MEMORY)
    if value is None:
        return None
    try:
        amount = quantity.parse(value)
    except ValueError:
        amount = Fraction(0)
    if amount <= 0:
        raise pod_annotations.invalid(
            pod_annotations.GPU_MEMORY,
            f"is {pod_annotations.quoted(value)}; it must be an amount of VRAM such as 24 or 24Gi",
        )
    return amount / quantity.GIBIBYTE_IN_BYTES if value[-1].isalpha() else amount


def _cap(pod: Pod) -> Decimal | None:
    value = pod_annotations.text(pod, pod_annotations.MAX_PRICE_PER_HOUR)
    if value is None:
        return None
    try:
        cap = Decimal(value.removeprefix("$")) if _PRICE.fullmatch(value) else Decimal(0)
    except InvalidOperation:
        cap = Decimal(0)
    if cap <= 0:
        raise pod_annotations.invalid(
            pod_annotations.MAX_PRICE_PER_HOUR,
            f"is {pod_annotations.quoted(value)}; it must be dollars per hour such as 0.25",
        )
    return cap
