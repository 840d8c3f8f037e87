"""Defaults and checks of Deployments, ReplicaSets and Jobs."""

from __future__ import annotations

from collections.abc import Callable

from virtual_kubelet_salad.sandbox.api_errors import (
    Json,
    Undecodable,
    field_invalid,
    field_required,
    field_unsupported,
)
from virtual_kubelet_salad.sandbox.api_pods import default_pod_spec
from virtual_kubelet_salad.sandbox.api_rules import Rules, keep_status_apart


def _template(item: Json) -> Json:
    """The pod template, made where it is missing."""
    template = item["spec"].setdefault("template", {})
    if not isinstance(template, dict) or not isinstance(template.setdefault("spec", {}), dict):
        raise Undecodable("json: cannot unmarshal into Go struct field spec.template of type v1.PodTemplateSpec")
    return template


class WorkloadRules(Rules):
    """What the three kinds have in common: generations, a separate status, a pod template with defaults."""

    counts_generations = True

    def default_spec(self, item: Json) -> None:
        """The defaults of this kind's spec, in place."""

    def prepare_create(self, item: Json, random_suffix: Callable[[], str]) -> None:
        item.setdefault("spec", {})
        item["status"] = {}
        default_pod_spec(_template(item)["spec"], is_template=True)
        self.default_spec(item)

    def prepare_update(self, new: Json, old: Json, subresource: str) -> None:
        keep_status_apart(new, old, subresource)
        if subresource != "status":
            new.setdefault("spec", {})
            default_pod_spec(_template(new)["spec"], is_template=True)
            self.default_spec(new)

    def check_create(self, item: Json) -> list[Json]:
        if not item["spec"]["template"]["spec"].get("containers"):
            return [field_required("spec.template.spec.containers")]
        return []

    def check_update(self, new: Json, old: Json, subresource: str) -> list[Json]:
        return self.check_create(new) if subresource != "status" else []


class ReplicaSetRules(WorkloadRules):
    """ReplicaSets: a number of pods that carry the selector's labels."""

    def default_spec(self, item: Json) -> None:
        item["spec"].setdefault("replicas", 1)

    def check_create(self, item: Json) -> list[Json]:
        causes = super().check_create(item)
        wanted = item["spec"].get("selector", {}).get("matchLabels", {})
        labels = item["spec"]["template"].get("metadata", {}).get("labels", {})
        if not wanted:
            causes.append(field_required("spec.selector"))
        elif any(labels.get(key) != value for key, value in wanted.items()):
            field = "spec.template.metadata.labels"
            causes.append(field_invalid(field, labels, "`selector` does not match template `labels`"))
        return causes

    def check_update(self, new: Json, old: Json, subresource: str) -> list[Json]:
        causes = super().check_update(new, old, subresource)
        if new["spec"].get("selector") != old["spec"].get("selector"):
            causes.append(field_invalid("spec.selector", new["spec"].get("selector"), "field is immutable"))
        return causes


class DeploymentRules(ReplicaSetRules):
    """Deployments: ReplicaSets with a strategy."""

    def default_spec(self, item: Json) -> None:
        super().default_spec(item)
        spec = item["spec"]
        strategy = spec.setdefault("strategy", {})
        if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxSurge", "25%")
            rolling.setdefault("maxUnavailable", "25%")
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)


class JobRules(WorkloadRules):
    """Jobs: pods that end."""

    def prepare_create(self, item: Json, random_suffix: Callable[[], str]) -> None:
        super().prepare_create(item, random_suffix)
        uid, name = item["metadata"]["uid"], item["metadata"].get("name", "")
        item["spec"]["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        labels = item["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {})
        labels.update(
            {
                "batch.kubernetes.io/controller-uid": uid,
                "batch.kubernetes.io/job-name": name,
                "controller-uid": uid,
                "job-name": name,
            }
        )

    def default_spec(self, item: Json) -> None:
        spec = item["spec"]
        if "completions" not in spec and "parallelism" not in spec:
            spec["completions"] = 1
        spec.setdefault("parallelism", 1)
        spec.setdefault("backoffLimit", 6)
        spec.setdefault("completionMode", "NonIndexed")
        spec.setdefault("suspend", False)
        spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")

    def check_create(self, item: Json) -> list[Json]:
        causes = super().check_create(item)
        policy = item["spec"]["template"]["spec"]["restartPolicy"]
        if policy not in ("OnFailure", "Never"):
            field = "spec.template.spec.restartPolicy"
            causes.append(field_unsupported(field, policy, ["OnFailure", "Never"]))
        return causes
