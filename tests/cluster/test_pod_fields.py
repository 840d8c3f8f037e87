"""The published table of pod support against the API server's own description of a pod."""

from __future__ import annotations

from typing import Any

from tests.support import pod_schema
from tests.support.control_plane import ControlPlane
from virtual_kubelet_salad.kubelet.refusal_table import TABLE


def _fields(control_plane: ControlPlane) -> list[str]:
    answer = control_plane.api().request("GET", "/openapi/v3/api/v1")
    assert answer.status == 200
    document: dict[str, Any] = answer.body
    return pod_schema.fields_of_openapi(document)


def test_every_field_that_the_api_server_knows_has_a_row(control_plane: ControlPlane) -> None:
    fields = _fields(control_plane)
    for known in (
        "spec.hostname",
        "spec.containers[].env[].valueFrom.secretKeyRef.key",
        "spec.containers[].livenessProbe.httpGet.httpHeaders[].name",
        "spec.initContainers[].securityContext.capabilities.add[]",
        "spec.volumes[].projected.sources[].serviceAccountToken.audience",
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]"
        ".matchExpressions[].key",
    ):
        assert known in fields
    assert len(fields) > 600
    assert pod_schema.without_row(fields) == []


def test_a_row_that_is_taken_away_is_missed(control_plane: ControlPlane) -> None:
    rest = [row for row in TABLE if row.path not in ("spec.hostname", "spec.containers[].livenessProbe")]
    missed = pod_schema.without_row(_fields(control_plane), rest)
    assert "spec.hostname" in missed
    assert "spec.containers[].livenessProbe.periodSeconds" in missed
