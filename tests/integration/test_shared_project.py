"""Two clusters and people share one project of SaladCloud, as processes; the stories in between are in
`tests/simulated/test_sharing_a_project.py`.
"""

from __future__ import annotations

import pathlib

import pytest

from tests.integration.stage import QUICK_FLAGS, running, simulated_cloud
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cloud_process import ApiServerProcess, create_foreign_group
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import World, check_cloud

pytestmark = pytest.mark.integration

POD = "/api/v1/namespaces/default/pods"
FOREIGN = 100
# Two sightings at least 30 s apart.
ORPHAN_SECONDS = 120.0


def test_two_clusters_and_a_hundred_foreign_groups_share_a_project(tmp_path: pathlib.Path) -> None:
    """Both have a node and pods of the same names. One has an orphan, which only its own daemon deletes."""
    foreign = [f"somebodys-{number}" for number in range(FOREIGN)]
    left, right = tmp_path / "left", tmp_path / "right"
    left.mkdir(), right.mkdir()
    with (
        # All groups are listed: an orphan that no list shows is nobody's to find.
        simulated_cloud(tmp_path, "--list-limit", "none") as cloud,
        ApiServerProcess(left, "--seed", "1") as left_api,
        ApiServerProcess(right, "--seed", "2") as right_api,
    ):
        for name in foreign:
            create_foreign_group(cloud, name)
        flags = (*QUICK_FLAGS, "--no-leader-elect")
        ours = DaemonProcess(left, left_api.kubeconfig(), cloud.url, *flags)
        theirs = DaemonProcess(right, right_api.kubeconfig(), cloud.url, *flags)
        with running(ours), running(theirs):
            one = World(seen.over_http(left_api.url), cloud, ours)
            other = World(seen.over_http(right_api.url), cloud, theirs)
            for world in (one, other):
                for name in ("orphaned", "stays", "leaves"):
                    world.cluster.create_pod(manifests.pod(name))
            pods = [*one.until_all_ready(3), *other.until_all_ready(3)]
            assert cloud.statistics()["groups"] == FOREIGN + 6
            assert len({seen.group_name(pod) for pod in pods}) == 6
            orphan = seen.group_name(one.until_ready("orphaned"))
            # Somebody strips the finalizer and forces the delete while nobody looks.
            ours.kill()
            one.cluster.patch(
                f"{POD}/orphaned", {"metadata": {"$deleteFromPrimitiveList/finalizers": [seen.FINALIZER]}}
            )
            one.cluster.delete_pod("orphaned", grace_seconds=0)
            one.cluster.delete_pod("leaves")
            ours.start()
            other.cluster.delete_pod("leaves")
            theirs.restart()
            one.until(lambda: orphan not in one.group_names(), "the orphan to be deleted", ORPHAN_SECONDS)
            one.until_all_ready(1)
            stays = seen.group_name(one.until_ready("stays"))
            mine = [seen.group_name(pod) for pod in other.until_all_ready(2)]
            one.until(lambda: one.group_names() == {*foreign, stays, *mine}, "only what should be there")
            assert ours.metrics().value("orphans_deleted_total") == 1
            assert theirs.metrics().value("orphans_deleted_total") == 0
            for world in (one, other):
                for pod in world.pods():
                    world.cluster.delete_pod(pod["metadata"]["name"])
            one.until(lambda: one.group_names() == set(foreign), "nothing of ours to be left")
            one.until(lambda: not one.pods() and not other.pods(), "no pod to be left")
        check_cloud(cloud, foreign)
