"""What a person reads of a pod: `kubectl describe pod` and `kubectl get pod -o wide`, at each turn of its life.

Every pending pod answers three questions under *Message*: what it waits for, since when, and what happens next. What
SaladCloud said is under *Events*. The daemon has the rights that ship; kubectl, API server, scheduler and controllers
are the real ones.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import NODE_NAME, Object
from tests.support.cluster_world import (
    IDENTITY,
    QUICK_CLOUD_FLAGS,
    QUICK_FLAGS,
    check_rights,
    cluster_world,
    new_namespace,
)
from tests.support.control_plane import ControlPlane
from tests.support.kubectl_described import READ_SECONDS, Description, Reader

# A state that a test has seen stays, because the simulator's next step is as far away as this.
FAR_AWAY_SECONDS = 1_000_000.0
FAST_SECONDS = 0.5

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
NEXT_TRY = rf" \(waiting since {TIME}; next try at {TIME} at the latest\)"
CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
GPU_CLASSES = {"salad.com/gpu-classes": "RTX 3090 (24 GB), RTX 4090 (24 GB)"}


@pytest.fixture(scope="module")
def reader(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """One daemon for all tests of this file."""
    directory = tmp_path_factory.mktemp("kubectl-describe")
    flags = (*QUICK_FLAGS, *IDENTITY, "--heartbeat-interval", "2s")
    with new_namespace(control_plane) as namespace:
        with cluster_world(control_plane, namespace, directory, *flags, cloud_flags=QUICK_CLOUD_FLAGS) as world:
            yield Reader(world)
            check_rights(world.daemon)


@pytest.fixture(autouse=True)
def _everything_is_fast_again(reader: Reader) -> Iterator[None]:
    yield
    reader.configure(allocation=FAST_SECONDS, download=FAST_SECONDS, create=FAST_SECONDS)


def _name() -> str:
    return f"web-{uuid.uuid4().hex[:5]}"


def test_a_gpu_pod_that_waits_for_a_machine(reader: Reader) -> None:
    name = _name()
    reader.configure(allocation=FAR_AWAY_SECONDS)
    reader.create(name, gpus=1, annotations=GPU_CLASSES)
    described = reader.until_it_waits(
        name,
        "Allocating",
        r"SaladCloud looks for a machine with RTX 3090 \(24 GB\) or RTX 4090 \(24 GB\) at priority high; it downloads "
        rf"the image next \(waiting since {TIME}\)",
    )
    assert reader.status(name) == ("0/1", "Allocating", NODE_NAME)
    assert described.field("Status") == "Pending" and described.field("Node").startswith(f"{NODE_NAME}/")
    waiting = {each: "False" for each in CONDITIONS} | {"PodScheduled": "True", "Initialized": "True"}
    assert described.conditions == waiting

    def check(described: Description) -> None:
        chosen = described.event("GpuClassesChosen")
        assert chosen.type == "Normal" and chosen.source.startswith("virtual-kubelet-salad")
        assert chosen.message.startswith(
            "Runs on any of: RTX 3090 (24 GB), RTX 4090 (24 GB); $0.180 to $0.300 per hour"
        )
        assert described.event("Scheduled").source == "default-scheduler"

    reader.until_described(name, check)
    # The text is written once, and not again as time goes by.
    pod = reader.on.pod(name)
    assert pod is not None
    since = pod["status"]["startTime"]
    assert described.field("Message").endswith(f"(waiting since {since})")


def test_a_gpu_pod_that_downloads_its_image(reader: Reader) -> None:
    name = _name()
    reader.configure(download=FAR_AWAY_SECONDS)
    reader.create(name, gpus=1, annotations=GPU_CLASSES)
    reader.until_it_waits(
        name, "Downloading", rf"The machine downloads the image: 0 %; it creates the container next \(since {TIME}\)"
    )
    assert reader.status(name) == ("0/1", "Downloading", NODE_NAME)

    def check(described: Description) -> None:
        assert described.conditions["PodReadyToStartContainers"] == "True"
        machine = re.search(r"salad\.com/machine-id: (\S+)", described.text)
        assert machine is not None
        allocated = described.event("Allocated")
        assert (allocated.type, allocated.count) == ("Normal", 1)
        assert allocated.message == f"Allocated machine {machine[1]}"
        assert described.event("Pulling").message == f'Pulling image "{manifests.IMAGE}"'

    reader.until_described(name, check)


def test_pods_that_something_outside_of_them_holds_back(reader: Reader) -> None:
    names = {kind: f"{kind}-{uuid.uuid4().hex[:5]}" for kind in ("class", "price", "source")}
    reader.create(names["class"], gpus=1, annotations={"salad.com/gpu-classes": "RTX 9999"})
    reader.create(names["price"], gpus=1, annotations={"salad.com/max-price-per-hour": "0.0001"})
    reader.create(names["source"], environment_from=[manifests.from_secret("TOKEN", "tokens", "t")])
    missing = rf"Secret {reader.on.namespace}/tokens not found \(waiting since {TIME}; looked for again every 10 s\)"
    for kind, reason, text in (
        ("class", "UnknownGpuClass", r'SaladCloud has no GPU class "RTX 9999" now; the nearest are .*' + NEXT_TRY),
        ("price", "NoGpuClassFits", r"No GPU class fits: .* at most \$0\.0001 allowed\).*" + NEXT_TRY),
        ("source", "CreateContainerConfigError", missing),
    ):
        reader.until_it_waits(names[kind], reason, text)
        assert reader.status(names[kind]) == ("0/1", reason, NODE_NAME)
        event_reason = "MandatorySecretNotFound" if kind == "source" else reason
        # Each try that fails is counted; the source is looked for too often for that.
        least = 1 if kind == "source" else 2

        def check(described: Description, reason: str = event_reason, least: int = least) -> None:
            event = described.event(reason)
            assert event.type == "Warning" and event.source.startswith("virtual-kubelet-salad")
            assert described.field("Message").startswith(event.message)
            assert event.count >= least

        reader.until_described(names[kind], check)
    reader.on.kubectl("delete", "pod", *names.values(), "--wait=false")


def test_a_pod_that_can_never_run_here(reader: Reader) -> None:
    names = {policy: f"refused-{policy.lower()}-{uuid.uuid4().hex[:5]}" for policy in ("Always", "Never")}
    for policy, name in names.items():
        pod = manifests.pod(name, restart_policy=policy)
        pod["spec"]["hostNetwork"] = True
        reader.on.create_pod(pod)
    described = reader.until_it_waits(
        names["Always"],
        "UnsupportedField",
        rf"hostNetwork: .* \(waiting since {TIME}; not tried again until the pod is changed\)",
    )
    assert described.field("Status") == "Pending"
    assert reader.status(names["Always"]) == ("0/1", "UnsupportedField", NODE_NAME)

    def check(described: Description) -> None:
        assert (described.field("Status"), described.field("Reason")) == ("Failed", "UnsupportedField")
        assert described.field("Message").startswith("hostNetwork: ")
        event = described.event("UnsupportedField")
        assert event.type == "Warning" and event.message == described.field("Message")

    reader.until_described(names["Never"], check)
    assert reader.status(names["Never"]) == ("0/1", "UnsupportedField", NODE_NAME)


def test_an_image_that_does_not_exist(reader: Reader) -> None:
    name, image = _name(), "registry.example/does-not-exist:1"
    reader.create(name, image=image)

    def check(described: Description) -> None:
        assert described.state() == ["Waiting", "Reason: ImagePullBackOff"]
        assert re.fullmatch(
            rf".*manifest unknown \(waiting since {TIME}; next attempt at {TIME} at the latest\)",
            described.field("Message"),
        )
        failed, back_off = described.event("Failed"), described.event("BackOff")
        assert failed.type == "Warning" and back_off.type == "Normal"
        assert re.fullmatch(rf'Failed to pull image "{image}": .*manifest unknown', failed.message)
        assert back_off.message == f'Back-off pulling image "{image}"'

    reader.until_described(name, check)
    reader.on.kubectl("delete", "pod", name, "--wait=false")


def test_a_running_pod_with_a_gateway_and_what_a_restart_of_the_daemon_tells(reader: Reader) -> None:
    name, world = _name(), reader.on
    reader.create(name, gpus=1, annotations={**GPU_CLASSES, "salad.com/networking-port": "8080"})

    def check(described: Description) -> None:
        assert described.conditions == dict.fromkeys(CONDITIONS, "True")
        assert described.state()[0] == "Running"
        assert described.field("Message") == described.field("Reason") == ""
        host = re.search(r"salad\.com/access-domain-name: (\S+)", described.text)
        assert host is not None
        assert described.event("AddressAssigned").message == f"The gateway's host name is {host[1]}"
        assert described.event("Started").message == "Started container main"
        assert described.event("Allocated").count == 1
        assert not [event for event in described.events if event.type == "Warning"]

    before = reader.until_described(name, check)
    assert reader.status(name) == ("1/1", "Running", NODE_NAME)
    # Another daemon tells what happens from now on, and nothing again.
    world.daemon.kill()
    world.daemon.start()
    world.daemon.wait_until_ready()
    pod = world.pod(name)
    assert pod is not None
    world.cloud.control("exit_container", name=seen.group_name(pod), code=3)

    def check_again(described: Description) -> None:
        assert (
            described.event("Exited").message == "Container main exited with code 3 (Error): Instance Exited:3 (Error)"
        )
        assert sum(event.count for event in described.events if event.reason == "Started") == 2
        assert described.state("Last State")[:3] == [
            "Terminated",
            "Reason: Error",
            "Message: Instance Exited:3 (Error)",
        ]
        assert "Exit Code: 3" in described.state("Last State")
        once = ("Scheduled", "GpuClassesChosen", "Allocated", "AddressAssigned")
        assert [described.event(reason) for reason in once] == [before.event(reason) for reason in once]

    reader.until_described(name, check_again)


def test_a_pod_whose_machine_went_away(reader: Reader) -> None:
    name, world = _name(), reader.on
    reader.create(name, gpus=1, annotations=GPU_CLASSES)
    pod = world.until_ready(name, READ_SECONDS)
    reader.configure(allocation=FAR_AWAY_SECONDS)
    world.cloud.control("preempt", name=seen.group_name(pod))
    described = reader.until_it_waits(
        name,
        "Reallocating",
        r"SaladCloud looks for another machine with RTX 3090 \(24 GB\) or RTX 4090 \(24 GB\) at priority high; it "
        rf"downloads the image next \(waiting since {TIME}\)",
    )
    assert described.field("Status") == "Running"
    assert reader.status(name) == ("0/1", "Reallocating", NODE_NAME)
    assert described.state("Last State")[:2] == ["Terminated", "Reason: Interrupted"]
    assert described.conditions["Ready"] == described.conditions["PodReadyToStartContainers"] == "False"

    def check(described: Description) -> None:
        event = described.event("Interrupted")
        assert (event.type, event.count, event.message) == ("Warning", 1, "Instance Interrupted (Priority)")

    reader.until_described(name, check)


@pytest.mark.parametrize(("code", "reason", "condition"), [(0, "Completed", "PodCompleted"), (3, "Error", "PodFailed")])
def test_a_pod_of_a_job_that_has_ended(reader: Reader, code: int, reason: str, condition: str) -> None:
    world, job = reader.on, f"job-{code}-{uuid.uuid4().hex[:5]}"
    spec = manifests.pod_spec(restart_policy="Never", environment=manifests.exits(code))
    world.create_job(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job},
            "spec": {"backoffLimit": 0, "template": {"spec": spec}},
        }
    )

    def pod() -> Object | None:
        return next((each for each in world.pods() if each["metadata"]["name"].startswith(f"{job}-")), None)

    name: str = world.until(pod, "the Job's pod")["metadata"]["name"]

    def check(described: Description) -> None:
        assert described.field("Status") == ("Failed" if code else "Succeeded")
        assert described.state()[:2] == ["Terminated", f"Reason: {reason}"]
        assert f"Exit Code: {code}" in described.state()
        event = described.event("Exited")
        assert (event.type, event.count) == ("Warning" if code else "Normal", 1)
        assert event.message.startswith(f"Container main exited with code {code} ({reason}): Instance Exited:{code} (")
        assert described.conditions["Ready"] == described.conditions["PodReadyToStartContainers"] == "False"

    reader.until_described(name, check)
    assert reader.status(name) == ("0/1", reason, NODE_NAME)
    found = pod()
    assert found is not None
    reasons = {each["type"]: each.get("reason") for each in found["status"]["conditions"]}
    assert reasons["Ready"] == reasons["ContainersReady"] == condition
    assert all(re.fullmatch(TIME, each["lastTransitionTime"]) for each in found["status"]["conditions"])


def test_a_pod_beyond_the_quota(reader: Reader) -> None:
    """After it the node has no room for a while, as far as the scheduler knows."""
    name = _name()
    reader.configure(replica_quota=0)
    try:
        reader.create(name, is_bound=True)
        reader.until_it_waits(name, "QuotaExceeded", r"SaladCloud's quota is used up: .*" + NEXT_TRY)
        assert reader.status(name) == ("0/1", "QuotaExceeded", NODE_NAME)

        def check(described: Description) -> None:
            assert described.event("QuotaExceeded").type == "Warning"

        reader.until_described(name, check)
    finally:
        reader.configure(replica_quota=1_000)


def test_pods_without_credit(reader: Reader) -> None:
    """The last of this file: every group stops."""
    ran, late = _name(), _name()
    world = reader.on
    reader.create(ran, is_bound=True)
    world.until_ready(ran, READ_SECONDS)
    world.cloud.control("out_of_credit", on=True)
    try:
        reader.create(late, is_bound=True)
        reader.until_it_waits(
            late,
            "OutOfCredit",
            r"SaladCloud has no credit for this organization: .*" + NEXT_TRY,
        )
        reader.until_it_waits(
            ran,
            "OutOfCredit",
            r"The organization has no credit left at SaladCloud; its container groups are stopped "
            rf"\(waiting since {TIME}; one start is tried every 5 minutes for all pods together\)",
        )
        for name in (ran, late):
            assert reader.status(name) == ("0/1", "OutOfCredit", NODE_NAME)

            def check(described: Description) -> None:
                assert described.event("OutOfCredit").type == "Warning"

            reader.until_described(name, check)
    finally:
        world.cloud.control("out_of_credit", on=False)
