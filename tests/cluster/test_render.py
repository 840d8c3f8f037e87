"""`render` of a manifest as it is written and of the pod that the API server made of it: the same, byte for byte."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.support.control_plane import ControlPlane
from tests.support.waiting import wait_until
from virtual_kubelet_salad import cli
from virtual_kubelet_salad.commands.pod_templates import PLACEHOLDER_UID

Object = dict[str, Any]
Render = Callable[..., list[Object]]

# Controllers on a loaded machine; the condition comes early elsewhere.
PODS_SECONDS = 180.0
CONTAINER = """
      - name: main
        image: registry.example/team/server:1
        command: [serve]
        args: ["$(URL)"]
        env:
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
        - {name: URL, value: "postgres://app:$(PASSWORD)@db"}
        - {name: EMPTY}
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
        - {name: ACCOUNT, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: LABELS, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
        - {name: INDEX, valueFrom: {fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}}
        - {name: JOB, valueFrom: {fieldRef: {fieldPath: "metadata.labels['batch.kubernetes.io/job-name']"}}}
        - {name: CORES, valueFrom: {resourceFieldRef: {resource: requests.cpu}}}
        - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
        envFrom:
        - secretRef: {name: db}
          prefix: ALL_
        - configMapRef: {name: absent, optional: true}
        ports: [{name: http, containerPort: 8080}]
        startupProbe: {httpGet: {port: http}, failureThreshold: 90}
        livenessProbe: {tcpSocket: {port: 8080}}
        readinessProbe: {grpc: {port: 8080}, periodSeconds: 5}
        resources:
          limits: {cpu: 1.5, memory: 3Gi, ephemeral-storage: 5G}
          requests: {cpu: 1}
        securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true}
        volumeMounts: [{name: shm, mountPath: /dev/shm}, {name: scratch, mountPath: /scratch}]
"""
VOLUMES = """
      volumes:
      - {name: shm, emptyDir: {medium: Memory, sizeLimit: 256Mi}}
      - {name: scratch}
"""
POD_SPEC = f"""
      containers:{CONTAINER}{VOLUMES}
      securityContext: {{}}
      terminationGracePeriodSeconds: 5
"""
REFUSED = """
      hostNetwork: true
      initContainers: [{name: first, image: registry.example/init:1}]
      containers: [{name: main, image: registry.example/server, args: [x], stdin: true, lifecycle: {}}]
"""
TEMPLATE = f"""
    metadata:
      labels: {{app: web}}
      annotations: {{salad.com/networking-port: http}}
    spec:{POD_SPEC}
"""
MANIFESTS = {
    "bare": f"""
apiVersion: v1
kind: Pod
metadata: {{name: bare, labels: {{app: bare}}, annotations: {{salad.com/networking-port: "8080"}}}}
spec:{POD_SPEC}
""",
    "least": """
apiVersion: v1
kind: Pod
metadata: {name: least}
spec: {serviceAccountName: plain, containers: [{name: main, image: registry.example/server}]}
""",
    "refused": f"""
apiVersion: v1
kind: Pod
metadata: {{name: refused}}
spec:{REFUSED}
""",
    "web": f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:{TEMPLATE}
""",
    "set": f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: set}}
spec:
  serviceName: set
  selector: {{matchLabels: {{app: web}}}}
  template:{TEMPLATE}
""",
    "claims": """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: claims}
spec:
  serviceName: claims
  selector: {matchLabels: {app: claims}}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
  template:
    metadata: {labels: {app: claims}}
    spec: {containers: [{name: main, image: registry.example/server}]}
""",
    "train": f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: train}}
spec:
  completionMode: Indexed
  completions: 1
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      restartPolicy: Never{POD_SPEC}
""",
}
# What the pods need; the accounts decide about the pull secrets of those that name none.
SOURCES = """
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: correct-horse-battery, token: tr0ub4dor-and-3}
---
apiVersion: v1
kind: Secret
metadata: {name: pull}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths": {"registry.example": {"username": "puller", "password": "pull-password"}}}'}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default}
imagePullSecrets: [{name: pull}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: plain}
"""


@pytest.fixture
def render(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Render:
    """Renders one manifest and returns what it says of its pods, apart from where they were written."""
    for name in ("KUBECONFIG", "SALAD_CLOUD_API_KEY", "SALAD_CLOUD_ORGANIZATION_NAME"):
        monkeypatch.delenv(name, raising=False)

    def run(manifest: str, *arguments: str) -> list[Object]:
        file = tmp_path / "manifest.yaml"
        file.write_text(manifest)
        code = cli.main(["render", "-f", str(file), "-o", "json", *arguments])
        printed = capsys.readouterr()
        assert printed.err == ""
        pods: list[Object] = json.loads(printed.out)["pods"]
        assert code == (0 if all(pod["outcome"] == "accepted" for pod in pods) else 1)
        for pod in pods:
            del pod["source"]
            pod.pop("made_up", None)
        return pods

    return run


def pod_of(control_plane: ControlPlane, namespace: str, name: str) -> Object | None:
    """The pod of that name, or the first that a workload of that name has made."""
    pods: Any = control_plane.get("pods", f"--namespace={namespace}")["items"]
    return next((pod for pod in pods if pod["metadata"]["name"] == name or _owner(pod).startswith(name)), None)


def _owner(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences") or [{"name": ""}]
    return str(owners[0]["name"])


def as_made_up(pod: Object, name: str) -> str:
    """What the API server has, with what it made up in place of what `render` makes up."""
    metadata = pod["metadata"]
    text = json.dumps(pod).replace(metadata["uid"], PLACEHOLDER_UID)
    return text.replace(f'"{metadata["name"]}"', f'"{name}"')


def dry_run(control_plane: ControlPlane, namespace: str) -> str:
    """What the API server would make of a pod that says nothing."""
    arguments = ("create", f"--namespace={namespace}", "--dry-run=server", "-o", "yaml", "-f", "-")
    manifest = "{apiVersion: v1, kind: Pod, metadata: {name: dry}, spec: {containers: [{name: main, image: a}]}}"
    return control_plane.kubectl(*arguments, stdin=manifest).stdout


def test_a_manifest_and_the_pod_that_the_api_server_made_of_it_are_rendered_the_same(
    control_plane: ControlPlane, namespace: str, render: Render, tmp_path: pathlib.Path
) -> None:
    sources = tmp_path / "sources.yaml"
    sources.write_text(SOURCES)
    control_plane.kubectl("apply", f"--namespace={namespace}", "--server-side", "--force-conflicts", "-f", str(sources))
    # What admits pods hears of the account's pull secrets a moment later.
    wait_until(
        lambda: "imagePullSecrets" in yaml.safe_load(dry_run(control_plane, namespace))["spec"],
        timeout=PODS_SECONDS,
        what="the pull secrets of the account to be given to pods",
        interval=0.5,
    )
    in_cluster = (f"--kubeconfig={control_plane.admin_kubeconfig}", f"--namespace={namespace}")
    cluster_id = str(control_plane.get("namespace", "kube-system")["metadata"]["uid"])  # type: ignore[index]
    offline = (f"--sources={sources}", f"--cluster-id={cluster_id}", f"--namespace={namespace}")
    for manifest in MANIFESTS.values():
        control_plane.kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=manifest)
    outcomes = []
    for name, manifest in MANIFESTS.items():
        pod = wait_until(
            lambda name=name: pod_of(control_plane, namespace, name),  # type: ignore[misc]
            timeout=PODS_SECONDS,
            what=f"the pod of {name}",
            interval=0.5,
        )
        (written,) = render(manifest, *in_cluster)
        (stored,) = render(as_made_up(pod, written["pod"]["name"]), *in_cluster)
        assert json.dumps(written) == json.dumps(stored), name
        assert written["pod"]["namespace"] == namespace
        # Without the cluster, from files alone, it is the same again.
        (from_files,) = render(manifest, *offline)
        assert json.dumps(from_files) == json.dumps(written), name
        outcomes.append((name, written["outcome"]))
    assert outcomes == [(name, "refused" if name in ("refused", "claims") else "accepted") for name in MANIFESTS]


def test_what_the_server_makes_of_a_dry_run_can_be_rendered(
    control_plane: ControlPlane, namespace: str, render: Render
) -> None:
    text = dry_run(control_plane, namespace)
    assert yaml.safe_load(text)["spec"]["dnsPolicy"] == "ClusterFirst"
    (shown,) = render(text)
    assert shown["outcome"] == "accepted"
