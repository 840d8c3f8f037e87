from __future__ import annotations

import dataclasses
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.support.gpu_catalog import CLASSES, RTX_3060, RTX_4090, gpu_class
from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Blocked, Refused
from virtual_kubelet_salad.kubelet.provider import Notice
from virtual_kubelet_salad.saladcloud import gpu, resources
from virtual_kubelet_salad.saladcloud.models import GpuClass
from virtual_kubelet_salad.saladcloud.pod_annotations import GPU_CLASSES, GPU_MEMORY, MAX_PRICE_PER_HOUR


def chosen(
    requests: dict[str, str] | None = None,
    classes: tuple[GpuClass, ...] = CLASSES,
    *,
    cap: str | None = None,
    tell: list[Notice] | None = None,
    priority: str = "high",
    **annotations: str,
) -> list[str] | None:
    names = {"names": GPU_CLASSES, "memory": GPU_MEMORY, "price": MAX_PRICE_PER_HOUR}
    pod = stored_pod(
        container={"resources": {"requests": requests or {}}},
        annotations={names[key]: value for key, value in annotations.items()},
    )
    sizes = resources.sizes(pod)
    wish = gpu.wish(pod, sizes, priority, Decimal(cap) if cap else None)
    if wish is None:
        return None
    return [one.name.strip() for one in gpu.choose(wish, sizes, classes, [] if tell is None else tell)]


ONE_GPU = {"nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    "name",
    [
        "RTX 3060 (12 GB)",
        "GTX 1660",
        "A100 (80 GB)",
        "H100 x8 (80 GB)",
        "B200",
        "L40S (48 GB)",
        "T4",
        "Tesla P4",
        "V100",
        "Quadro RTX 8000",
        "RTX A6000",
        "A10G",
        "GH200",
        " RTX 5090 Laptop (24 GB)",
    ],
)
def test_the_classes_of_nvidia_are_recognized_by_name(name: str) -> None:
    assert gpu.is_nvidia(name)


@pytest.mark.parametrize(
    "name",
    ["Radeon RX 7900 XTX (24 GB)", "RX 6800", "Arc A770 (16 GB)", "Instinct MI300X", "AMD MI210", "Intel A770", "CPU"],
)
def test_other_makers_are_not(name: str) -> None:
    assert not gpu.is_nvidia(name)


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        ("RTX 3060 (12 GB)", 12),
        ("X (1 GB) (24 GB)", 24),
        ("RTX 3060 (12GB)", 12),
        ("A (1.5 GB)", Fraction(3, 2)),
        ("T4", None),
    ],
)
def test_vram_is_the_last_one_in_the_name(name: str, gib: Fraction | None) -> None:
    assert gpu.vram_in_gib(name) == gib


def test_a_pod_without_gpu_wants_no_class_and_the_operators_cap_does_not_matter() -> None:
    assert chosen() is None
    assert chosen({"nvidia.com/gpu": "0"}, cap="0.01") is None


def test_one_gpu_is_every_single_nvidia_class_cheapest_first() -> None:
    assert chosen(ONE_GPU) == [
        "RTX 3060 (8 GB)",
        "RTX 3060 (12 GB)",
        "RTX 3090 (24 GB)",
        "RTX 5090 Laptop (24 GB)",
        "RTX 4090 (24 GB)",
        "A100 (80 GB)",
        "GTX 1660",
    ]


def test_several_gpus_are_a_class_with_so_many() -> None:
    assert chosen({"nvidia.com/gpu": "8"}) == ["H100 x8 (80 GB)"]
    with pytest.raises(Blocked, match="offers none of that kind"):
        chosen({"nvidia.com/gpu": "2"})


def test_named_classes_are_found_by_name_or_id_trimmed_and_case_folded() -> None:
    assert chosen(names=f" rtx 3090 (24 gb) , {RTX_4090.id.upper()},RTX 3090 (24 GB)") == [
        "RTX 3090 (24 GB)",
        "RTX 4090 (24 GB)",
    ]


def test_a_class_of_another_maker_counts_when_it_is_named() -> None:
    assert chosen(names="Radeon RX 7900 XTX (24 GB)") == ["Radeon RX 7900 XTX (24 GB)"]


def test_an_unknown_name_blocks_the_whole_list_and_the_near_ones_are_told() -> None:
    with pytest.raises(Blocked) as obstacle:
        chosen(names="RTX 3060 (12 GB), RTX 4090")
    assert obstacle.value.reason == "UnknownGpuClass"
    assert '"RTX 4090"' in str(obstacle.value) and "RTX 4090 (24 GB)" in str(obstacle.value)
    with pytest.raises(Blocked, match="offers no classes"):
        chosen(names="x", classes=())


def test_an_ambiguous_name_is_refused_with_the_ids() -> None:
    twin = gpu_class("rtx 4090 (24 GB) ", "0.5", identifier="11111111-1111-4111-8111-111111111111")
    with pytest.raises(Refused) as refusal:
        chosen(names="RTX 4090 (24 GB)", classes=(*CLASSES, twin))
    assert refusal.value.reason == "AmbiguousGpuClass"
    assert twin.id in str(refusal.value) and RTX_4090.id in str(refusal.value)


@pytest.mark.parametrize(
    ("memory", "is_met"), [("24", True), ("24Gi", True), ("25", False), ("25G", True), ("26G", False)]
)
def test_the_least_vram_is_a_number_of_gb_or_a_quantity(memory: str, is_met: bool) -> None:
    names = chosen(ONE_GPU, (RTX_4090, gpu_class("A100 (80 GB)", "1")), memory=memory)
    assert names == (["RTX 4090 (24 GB)", "A100 (80 GB)"] if is_met else ["A100 (80 GB)"])


def test_a_class_of_unknown_vram_fits_no_bound() -> None:
    assert chosen(memory="1") is not None and "GTX 1660" not in (chosen(memory="1") or [])


def test_the_lower_of_both_caps_holds_at_the_chosen_priority() -> None:
    assert chosen(ONE_GPU, cap="0.10") == ["RTX 3060 (8 GB)", "RTX 3060 (12 GB)"]
    assert chosen(ONE_GPU, cap="0.10", price="$0.08") == ["RTX 3060 (8 GB)"]
    assert chosen(ONE_GPU, cap="0.08", price="9") == ["RTX 3060 (8 GB)"]
    assert chosen(ONE_GPU, cap="0.04", priority="batch") == ["GTX 1660", "RTX 3060 (8 GB)", "RTX 3060 (12 GB)"]


def test_a_named_class_beyond_the_cap_is_left_out_aloud_and_alone_it_blocks() -> None:
    tell: list[Notice] = []
    assert chosen(names="RTX 3060 (12 GB), RTX 4090 (24 GB)", price="0.2", tell=tell) == ["RTX 3060 (12 GB)"]
    assert (
        "Left out: RTX 4090 (24 GB) (it costs $0.30 per hour at priority high, at most $0.2 allowed)" in tell[0].message
    )
    with pytest.raises(Blocked) as obstacle:
        chosen(names="RTX 4090 (24 GB)", price="0.2")
    assert obstacle.value.reason == "NoGpuClassFits"


def test_when_nothing_fits_what_only_costs_too_much_is_named_first_the_cheapest_first() -> None:
    with pytest.raises(Blocked) as obstacle:
        chosen(ONE_GPU, (RTX_3060, RTX_4090, gpu_class("A100 (80 GB)", "0.2")), memory="24", price="0.01")
    said = str(obstacle.value)
    assert said.index("A100 (80 GB) (it costs $0.2 ") < said.index("RTX 4090 (24 GB) (it costs $0.30 ")
    assert said.endswith("RTX 3060 (12 GB) (it has 12 GB of VRAM, 24 wanted)")


def test_a_single_class_is_told_without_a_choice() -> None:
    tell: list[Notice] = []
    chosen(ONE_GPU, (RTX_4090,), tell=tell)
    assert tell[0].message == "Runs on RTX 4090 (24 GB); $0.30 per hour at priority high"


@pytest.mark.parametrize(
    ("requests", "obstacle"),
    [
        ({"cpu": "17"}, "at most 16 cores"),
        ({"memory": "61Gi"}, "at most 61440 MiB"),
        ({"ephemeral-storage": "251Gi"}, "bytes of storage"),
        ({"nvidia.com/gpu": "8"}, "1 GPU, 8 wanted"),
    ],
)
def test_a_class_that_is_too_small_blocks_with_what_it_has(requests: dict[str, str], obstacle: str) -> None:
    with pytest.raises(Blocked, match=obstacle):
        chosen(requests, names="RTX 4090 (24 GB)")


def test_limits_that_a_class_does_not_state_do_not_bound() -> None:
    unlimited = gpu_class("RTX 1", "1", max_vcpu=None, max_ram=None, max_storage=None)
    assert chosen({"cpu": "100", **ONE_GPU}, (unlimited,)) == ["RTX 1"]


def test_the_choice_is_told_with_its_price_range() -> None:
    tell: list[Notice] = []
    chosen(ONE_GPU, (RTX_4090, RTX_3060), tell=tell)
    assert tell == [
        Notice(
            "Normal",
            "GpuClassesChosen",
            "Runs on any of: RTX 3060 (12 GB), RTX 4090 (24 GB); $0.10 to $0.30 per hour at priority high",
        )
    ]


def test_at_most_a_hundred_classes_are_sent_the_cheapest() -> None:
    many = tuple(gpu_class(f"RTX {number} (8 GB)", str(number)) for number in range(150, 0, -1))
    names = chosen(ONE_GPU, many) or []
    assert len(names) == 100 and names[0] == "RTX 1 (8 GB)"


@pytest.mark.parametrize(
    "annotation",
    [
        {"memory": "much"},
        {"memory": "0"},
        {"memory": "-1"},
        {"price": "cheap"},
        {"price": "0"},
        {"price": "-1"},
        {"price": "1e3"},
        {"names": ""},
        {"names": " , "},
        {"price": "1", "memory": ""},
    ],
)
def test_an_unreadable_annotation_is_refused(annotation: dict[str, str]) -> None:
    with pytest.raises(Refused) as refusal:
        chosen(ONE_GPU, **annotation)
    assert refusal.value.reason == "InvalidAnnotation"


def test_a_price_cap_on_a_pod_without_gpu_is_refused_for_it_would_bound_nothing() -> None:
    with pytest.raises(Refused, match="asks for none"):
        chosen(price="1")


def test_sizes_are_raised_to_what_every_chosen_class_takes_at_least() -> None:
    sizes = resources.sizes(stored_pod(container={"resources": {"requests": {"ephemeral-storage": "1Gi"}}}))
    assert gpu.raised_to_least(sizes, CLASSES) == sizes
    large = dataclasses.replace(RTX_4090, min_vcpu=4, min_ram=8192)
    raised = gpu.raised_to_least(sizes, (RTX_4090, large))
    assert (raised.cpu_in_cores, raised.memory_in_mib) == (4, 8192)


def test_classes_that_cannot_share_one_size_are_never_sent_together() -> None:
    large = dataclasses.replace(RTX_4090, min_ram=32_768)
    small = dataclasses.replace(RTX_3060, max_ram=16_384)
    tell: list[Notice] = []
    assert chosen(ONE_GPU, (large, small)) == ["RTX 3060 (12 GB)"]
    named = "RTX 4090 (24 GB), RTX 3060 (12 GB)"
    assert chosen({}, (large, small), names=named, tell=tell) == ["RTX 3060 (12 GB)"]
    assert "Left out: RTX 4090 (24 GB) (what it takes at least is more than the others have)" in tell[0].message
    assert chosen({}, (large, small), names="RTX 4090 (24 GB)") == ["RTX 4090 (24 GB)"]
    assert chosen({"memory": "16Gi"}, (large, RTX_3060)) is None
    assert chosen({"memory": "16Gi", **ONE_GPU}, (large, RTX_3060)) == ["RTX 3060 (12 GB)", "RTX 4090 (24 GB)"]


def test_a_class_that_takes_nothing_below_its_own_least_is_never_sent_with_more_than_it_has() -> None:
    odd = dataclasses.replace(RTX_4090, min_ram=32_768)
    sizes = resources.sizes(stored_pod())
    wish = gpu.Wish(("RTX 4090 (24 GB)",), None, Fraction(0), None, "high")
    assert gpu.raised_to_least(sizes, gpu.choose(wish, sizes, (odd, RTX_3060), [])).memory_in_mib == 32_768
