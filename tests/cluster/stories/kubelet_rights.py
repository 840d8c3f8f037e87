"""Who may ask the node what: by way of the API server with a user's own rights, and at the node's port itself."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator

from tests.support import manifests
from tests.support.cluster import Object
from tests.support.kubectl_world import SECONDS, TIMEOUT, KubectlWorld
from tests.support.tls import client_context

RBAC = "apis/rbac.authorization.k8s.io/v1"
RBAC_GROUP = "rbac.authorization.k8s.io"
RESTRICTED = "restricted"
# Subresource of nodes -> the path that it opens, beside those which `proxy` opens, too.
NARROW = {
    "stats": "stats/summary",
    "metrics": "metrics/resource",
    "pods": "pods",
    "healthz": "healthz",
    "configz": "configz",
}
WIDE = "proxy"


def a_user_who_may_not_read_logs(world: KubectlWorld) -> None:
    """Pods may be seen, and nothing in them."""
    world.create_pod(manifests.pod("web"))
    world.until_ready("web", SECONDS)
    world.kubectl("create", "role", "sees-pods", "--verb=get,list", "--resource=pods")
    world.kubectl("create", "rolebinding", "sees-pods", "--role=sees-pods", f"--user={RESTRICTED}")
    as_user = f"--as={RESTRICTED}"
    world.until(lambda: world.run("get", "pod", "web", as_user).code == 0, "the right to count", SECONDS)
    for words, right in (
        (("logs", "web"), 'cannot get resource "pods/log"'),
        (("exec", "web", "--", "ls"), 'resource "pods/exec"'),
        (("attach", "web"), 'resource "pods/attach"'),
        (("port-forward", "web", ":80"), 'resource "pods/portforward"'),
        (("debug", "web", "--image=tools", "--", "sh"), 'resource "pods/ephemeralcontainers"'),
    ):
        said = world.refused(as_user, *words)
        assert "forbidden" in said and f'User "{RESTRICTED}"' in said and right in said, said
    assert "container of " in world.kubectl("logs", "web")
    world.kubectl("delete", "pod/web", TIMEOUT)


def each_right_at_the_port_opens_its_own_path(world: KubectlWorld) -> None:
    """By token and by client certificate alike; anonymous 401, without the right 403."""
    world.create_pod(manifests.pod("web"))
    world.until_ready("web", SECONDS)
    log = f"/containerLogs/{world.namespace}/web/main"
    paths = [f"/{path}" for path in NARROW.values()]
    with contextlib.ExitStack() as stack:
        askers = {right: stack.enter_context(_asker(world, right)) for right in (*NARROW, WIDE, "log")}
        for path in (*paths, log, "/logs/", "/runningpods/", "/nothing"):
            assert world.ask_port(path)[0] == 401
            assert world.ask_port(path, token="not.a.token")[0] == 401
        for right, asker in askers.items():
            token, certificate = asker
            # A new right takes a moment to reach the API server's view.
            opened = f"/{NARROW[right]}" if right in NARROW else "/logs/" if right == "log" else log
            expected = 404 if right == "log" else 200
            for is_by_token in (True, False):
                asks = {"token": token} if is_by_token else {}
                client = None if is_by_token else certificate

                def status(path: str, asks: dict[str, str] = asks, client: ssl.SSLContext | None = client) -> int:
                    return world.ask_port(path, client=client, **asks)[0]

                world.until(lambda: status(opened) == expected, f"{right} to open {opened}", SECONDS)  # noqa: B023
                for path in (*paths, log):
                    is_open = path == opened or (right == WIDE and path not in ("/stats/summary", "/metrics/resource"))
                    assert status(path) == (200 if is_open else 403), f"{path} with {right}"
        # To read is not to act.
        token, certificate = askers[WIDE]
        assert world.ask_port("/exec/x/y/z", token=token, method="POST")[0] == 403
        assert world.ask_port("/exec/x/y/z", client=certificate, method="POST")[0] == 403
        status_, said = world.ask_port(log, token=askers["stats"][0])
        assert status_ == 403 and "nodes, subresource=proxy" in said, said
    world.kubectl("delete", "pod/web", TIMEOUT)


@contextlib.contextmanager
def _asker(world: KubectlWorld, right: str) -> Iterator[tuple[str, ssl.SSLContext]]:
    """A ServiceAccount's token and a client certificate of a group, both with one right to `get`."""
    name = f"{world.namespace}-{right}"
    world.kubectl("create", "serviceaccount", right)
    rule = {"apiGroups": [""], "resources": [f"nodes/{right}"], "verbs": ["get"]}
    account = {"kind": "ServiceAccount", "name": right, "namespace": world.namespace}
    group = {"kind": "Group", "name": f"{name}-group", "apiGroup": RBAC_GROUP}
    role: Object = {"metadata": {"name": name}, "rules": [rule]}
    binding: Object = {
        "metadata": {"name": name},
        "roleRef": {"kind": "ClusterRole", "name": name, "apiGroup": RBAC_GROUP},
        "subjects": [account, group],
    }
    world.cluster.create(f"/{RBAC}/clusterroles", role)
    try:
        world.cluster.create(f"/{RBAC}/clusterrolebindings", binding)
        token = world.kubectl("create", "token", right).strip()
        pair = world.control_plane.client_certificate(name, f"{name}-user", f"{name}-group")
        yield token, client_context((pair.certificate, pair.key))
    finally:
        world.cluster.delete(f"/{RBAC}/clusterrolebindings/{name}")
        world.cluster.delete(f"/{RBAC}/clusterroles/{name}")


STORIES = (a_user_who_may_not_read_logs, each_right_at_the_port_opens_its_own_path)
