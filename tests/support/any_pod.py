"""Pods of every kind, made from a seed: ordinary ones as people write them, and wild ones with odd values, unset parts
and fields that nobody knows. Together they have every field of a pod's spec.

The same seed makes the same pod. What has a fate of its own in the request is made here with care; every other field is
made from the schema of the official client.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

from tests.support.any_pod_values import (
    ANNOTATIONS,
    CANARY,
    FIELD_PATHS,
    HANDLERS,
    HEALTHY,
    IMAGES,
    IMAGES_WITH_SECRETS,
    NAMES,
    ODD_INTEGERS,
    ODD_SIZES,
    ODD_TEXTS,
    OPT_OUTS,
    PROBES,
    SIZES,
    WORDS,
)
from tests.support.gpu_catalog import RTX_4090
from tests.support.pod_schema import fields_of_client
from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.saladcloud import pod_annotations

Json = dict[str, Any]

# Fields that are made with care below, in place of any value of the schema.
CAREFUL = tuple(
    f"spec.{path}"
    for path in (
        *(f"containers[].{field}" for field in ("name", "image", "command", "args", "env[].name", "env[].value")),
        *(f"containers[].env[].valueFrom.{kind}KeyRef" for kind in ("secret", "configMap")),
        *(f"containers[].env[].valueFrom.{kind}Ref" for kind in ("field", "resourceField")),
        *(f"containers[].{field}" for field in ("envFrom", "resources.requests", "resources.limits")),
        *(f"containers[].volumeMounts[].{field}" for field in ("name", "mountPath")),
        *(f"containers[].ports[].{field}" for field in ("name", "containerPort", "protocol")),
        *("imagePullSecrets", "restartPolicy", "activeDeadlineSeconds", "nodeName", "readinessGates"),
        *("resources.requests", "resources.limits", "volumes[].name", "volumes[].emptyDir", "os.name"),
    )
)


def _schema_fields() -> tuple[tuple[str, str], ...]:
    below = tuple(f"{path}{mark}" for path in CAREFUL for mark in (".", "[]"))
    return tuple(
        (path, kind)
        for path, kind in fields_of_client().items()
        if path not in CAREFUL and not path.startswith(below) and not _is_careful_part_of_a_probe(path)
    )


def _is_careful_part_of_a_probe(path: str) -> bool:
    rest = ("terminationGracePeriodSeconds", "grpc.mode", "httpGet.protocol")
    return any(f"spec.containers[].{kind}." in path and not path.endswith(rest) for kind in PROBES)


SCHEMA_FIELDS = _schema_fields()


class AnyPod:
    """The pod of one seed and the Secrets and ConfigMaps that are there for it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.oddness = self.random.choice((0.0, 0.0, 0.01, 0.05, 0.3))
        self.is_ordinary = True
        """Nothing in it can be refused: whatever it states can be had, or is ignored out loud."""
        self.pod = stored_pod(annotations={"note": "a b"})
        self.pod["metadata"]["labels"] = {"app": "web"}
        self.spec: Json = self.pod["spec"]
        self.container: Json = self.spec["containers"][0]
        self.documents: list[Json] = [
            _document("Secret", "s", {"k": _encoded(f"{CANARY}-k"), "1bad": "", "K2": _encoded(f"{CANARY}-2")}),
            _document("ConfigMap", "c", {"k": "blue", "A": "from c", "b c": "x"}),
        ]
        if self.random.random() < 0.6:
            self.annotate(pod_annotations.IGNORE_UNSUPPORTED, ", ".join(OPT_OUTS))
        self.is_opted_out = pod_annotations.IGNORE_UNSUPPORTED in self.pod["metadata"]["annotations"]
        for make in self.random.choices(_PARTS, k=self.random.randrange(9)):
            make(self)
        if self.random.random() < self.oddness:
            self.break_something()

    # -- values

    def odd(self) -> bool:
        """Whether the next value is an odd one; then the pod is no ordinary one any more."""
        if self.random.random() >= self.oddness:
            return False
        self.is_ordinary = False
        return True

    def one(self, *ordinary: Any, odd: tuple[Any, ...] = ODD_TEXTS) -> Any:
        return self.random.choice(odd if self.odd() else ordinary)

    def words(self) -> list[Any]:
        return [self.one(*WORDS) for _ in range(self.random.randrange(1, 4))]

    def annotate(self, name: str, value: str) -> None:
        self.pod["metadata"]["annotations"][name] = value

    def refusable(self) -> None:
        """What follows is refused unless its author has opted out."""
        self.is_ordinary = self.is_ordinary and self.is_opted_out

    # -- what the request is made of

    def image(self) -> None:
        self.container["image"] = self.one(*IMAGES).replace(CANARY, "x")

    def command(self) -> None:
        self.container["command"] = self.words()

    def arguments(self) -> None:
        self.container["args"] = self.words()
        if self.random.random() < 0.8:
            odd = ("vllm", '"a"', "[]", "[1]", "{}", "[" * 2000, " ", '[""]')
            self.annotate(pod_annotations.ENTRYPOINT, self.one('["python3", "-m", "server"]', '["/bin/sh"]', odd=odd))
        else:
            self.is_ordinary = self.is_ordinary and "command" in self.container

    def environment(self) -> None:
        self.container.setdefault("env", []).append(
            {"name": self.one(*NAMES, odd=("SALAD_VK_OWNER", "a b", "ü"))} | self.value()
        )

    def value(self) -> Json:
        kind = self.random.randrange(8)
        if kind < 3:
            return {"value": self.one(*WORDS)} if self.random.random() < 0.9 else {}
        if kind == 3:
            path = self.one(*FIELD_PATHS, odd=("status.podIP", "status.phase", "", "metadata.labels['"))
            return {"valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
        if kind == 4:
            resource = self.one("requests.cpu", "requests.memory", odd=("limits.memory", "cpu"))
            reference = {"resource": resource, "containerName": self.one("", "web", odd=("nobody",))}
            return {
                "valueFrom": {"resourceFieldRef": reference | {"divisor": self.one("0", "1m", "1Mi", odd=ODD_SIZES)}}
            }
        name, key = ("s", "c")[kind % 2], self.one("k", "K2", "absent", odd=("", "..", "é"))
        reference = {"name": self.one(name, odd=("gone", "")), "key": key, "optional": True}
        if key == "k" and self.random.random() < 0.5:
            del reference["optional"]
        return {"valueFrom": {("secretKeyRef" if name == "s" else "configMapKeyRef"): reference}}

    def environment_from(self) -> None:
        kind, name = self.random.choice((("secretRef", "s"), ("configMapRef", "c")))
        entry: Json = {kind: {"name": self.one(name, odd=("gone",)), "optional": self.random.random() < 0.5}}
        if self.random.random() < 0.5:
            entry["prefix"] = self.one("P_", "X", odd=("1", "a b"))
        self.container.setdefault("envFrom", []).append(entry)

    def sizes(self) -> None:
        owner = self.container if self.random.random() < 0.8 else self.spec
        stated = owner.setdefault("resources", {})
        for name in self.random.sample(sorted(SIZES), k=self.random.randrange(1, 4)):
            kind = self.random.choice(("requests", "limits"))
            stated.setdefault(kind, {})[name] = self.one(*SIZES[name], odd=ODD_SIZES)

    def other_resources(self) -> None:
        self.refusable()
        limits = self.container.setdefault("resources", {}).setdefault("limits", {})
        limits[self.random.choice(("amd.com/gpu", "rdma/hca", "hugepages-2Mi"))] = self.one("1", odd=ODD_SIZES)

    def ports(self) -> None:
        self.container["ports"] = [{"name": "http", "containerPort": 8000, "protocol": "TCP"}, {"containerPort": 9000}]

    def probe(self) -> None:
        handler = self.random.choice(HANDLERS)
        action = dict(HEALTHY[handler])
        if handler == "exec":
            action["command"] = self.words()
            self.is_ordinary = self.is_ordinary and not any("$(" in word for word in action["command"])
        else:
            action["port"] = self.one(1, 8000, 65_535, odd=(0, 65_536, "http", "grpc", "8080", -1))
        if handler in ("httpGet", "tcpSocket"):
            action["host"] = self.one("", "localhost", odd=("db", "10.0.0.1"))
        if handler == "httpGet":
            action["path"] = self.one("/", "/healthz?full=1", "ready", odd=("", "/\n", "/" + "x" * 2048))
            action["scheme"] = self.one("HTTP", "HTTPS", odd=("", None))
            if self.random.random() < 0.5:
                action["httpHeaders"] = [{"name": self.one("X-A"), "value": self.one("1", "é")} for _ in range(2)]
        if handler == "grpc":
            action["service"] = self.one("", "model.v1")
        timing = {
            "initialDelaySeconds": (0, 5, 1200),
            "timeoutSeconds": (1, 5, 60),
            "periodSeconds": (1, 10, 45),
            "successThreshold": (1,),
            "failureThreshold": (1, 3, 30, 50),
        }
        for field in self.random.sample(sorted(timing), k=self.random.randrange(6)):
            action_owner = self.one(*timing[field], odd=ODD_INTEGERS)
            timing[field] = (action_owner,)
        self.container[self.random.choice(PROBES)] = {handler: action} | {
            field: values[0] for field, values in timing.items() if len(values) == 1
        }

    def pull_secret(self) -> None:
        kind = self.random.randrange(4)
        self.container["image"] = IMAGES_WITH_SECRETS[kind % 3]
        data: Json = {
            ".dockerconfigjson": _encoded(json.dumps({"auths": {"ghcr.io": {"auth": _encoded(f"u:{CANARY}")}}}))
        }
        if kind == 1:
            entry = {"username": "_json_key", "password": f'{{\n"key": "{CANARY}"}}'}
            data = {".dockerconfigjson": _encoded(json.dumps({"auths": {"*-docker.pkg.dev": entry}}))}
        elif kind == 2:
            data = {"AWS_ACCESS_KEY_ID": _encoded("AKIA"), "AWS_SECRET_ACCESS_KEY": _encoded(CANARY)}
        elif kind == 3:
            data = {".dockercfg": _encoded(json.dumps({"quay.io": {"username": "u", "password": CANARY}}))}
        if self.odd():
            data = {key: self.random.choice((_encoded(CANARY), "%%%", "", _encoded('{"auths": 1}'))) for key in data}
        name = f"pull-{kind}"
        self.documents.append(_document("Secret", name, data))
        self.spec.setdefault("imagePullSecrets", []).append({"name": self.one(name, odd=("gone",))})

    def annotation(self) -> None:
        name, ordinary = self.random.choice(ANNOTATIONS)
        # What an annotation says may be quoted, so it is no place for a secret.
        self.annotate(name, self.one(*ordinary).replace(CANARY, "x"))
        if name in (pod_annotations.NETWORKING_AUTH, pod_annotations.NETWORKING_LOAD_BALANCER):
            self.annotate(pod_annotations.NETWORKING_PORT, "8000")
        if name == pod_annotations.MAX_PRICE_PER_HOUR:
            self.annotate(pod_annotations.GPU_CLASSES, RTX_4090.name)
        if name == pod_annotations.LOGGING_TCP_HOST:
            self.annotate(pod_annotations.LOGGING_TCP_PORT, "514")
        if name == pod_annotations.LOGGING_SECRET:
            sink = {"splunk": {"host": "h", "token": CANARY}}
            self.documents.append(_document("Secret", "sink", {"logging": _encoded(json.dumps(sink))}))
        logging = {key for key in self.pod["metadata"]["annotations"] if key.startswith("salad.com/logging-")}
        self.is_ordinary = self.is_ordinary and len({key.split("-")[1] for key in logging}) < 2

    def misspelled_annotation(self) -> None:
        self.refusable()
        self.annotate("salad.com/gpu-clases", "x")

    def life(self) -> None:
        self.spec["restartPolicy"] = self.one("Always", "OnFailure", "Never", odd=("", "Sometimes", None))
        self.spec["activeDeadlineSeconds"] = self.one(60, 3600, odd=ODD_INTEGERS)
        self.spec["readinessGates"] = [{"conditionType": "example.com/ready"}]
        self.spec["os"] = {"name": self.one("linux", odd=("windows",))}

    def shared_memory(self) -> None:
        empty_dir = self.one(
            {}, {"medium": "Memory"}, {"medium": "Memory", "sizeLimit": "2Gi"}, odd=(None, {"sizeLimit": "x"})
        )
        if all(mount["mountPath"] != "/dev/shm" for mount in self.container["volumeMounts"]):
            self.mount({"emptyDir": empty_dir}, "/dev/shm")

    def empty_dir(self) -> None:
        self.mount(
            self.random.choice(({"emptyDir": {}}, {"emptyDir": {"sizeLimit": "1Gi", "mode": 448}}, {})), "/cache"
        )

    def mount(self, volume: Json, path: str) -> None:
        name = f"v{len(self.spec['volumes'])}"
        self.spec["volumes"].append({"name": name, **volume})
        self.container["volumeMounts"].append({"name": name, "mountPath": path})

    # -- every other field

    def schema_field(self) -> None:
        """Any field of the schema, with what must be there beside it."""
        path, kind = self.random.choice(SCHEMA_FIELDS)
        # Which of them are refused is not repeated here: only who has opted out of everything is sure to be accepted.
        self.refusable()
        for probe in PROBES:
            if f".containers[].{probe}." in path:
                handler = next((name for name in HANDLERS if f".{name}." in path), "tcpSocket")
                self.container[probe] = {handler: dict(HEALTHY[handler])}
        if ".containers[].env[]." in path:
            self.container.setdefault("env", []).append({"name": "OTHER", "value": ""})
        if ".containers[].ports[]." in path:
            self.container["ports"] = [{"name": "http", "containerPort": 8000, "protocol": "TCP"}]
        if path.startswith("spec.volumes[]"):
            self.spec["volumes"].append({"name": f"v{len(self.spec['volumes'])}"})
        _put(self.pod, path.split("."), self.value_of(kind))

    def value_of(self, kind: str) -> Any:
        match kind:
            case "int":
                return self.random.choice((1, 5, 30, *ODD_INTEGERS))
            case "bool":
                return self.random.choice((True, False))
            case "Dict[str, str]":
                return self.random.choice(({"a": "b"}, {}, {"": ""}))
            case "object":
                return self.random.choice(("1", 1, "10%"))
            case _:
                return self.random.choice(("a", "web", "File", "Linux", "10.0.0.1", *ODD_TEXTS))

    def unknown_field(self) -> None:
        """A field that is in no schema, anywhere that is not refused as a whole."""
        places = [place for place in _objects(self.spec) if "auths" not in place]
        place = self.random.choice(places)
        if place in self.spec["volumes"]:
            self.refusable()  # It may be of a kind that nobody knows.
        value = self.random.choice((1, 0, False, "x", {"a": 1}, [1], "", {}, None))
        place[f"fieldOfTheFuture{self.random.randrange(1000)}"] = value

    def more_containers(self) -> None:
        self.refusable()
        self.spec["containers"].append({"name": "sidecar", "image": "x", "env": [{"name": "A", "value": "1"}]})

    def break_something(self) -> None:
        """Unsets or empties a part of the pod, or makes it odd."""
        self.is_ordinary = False
        owner = self.random.choice([place for place in _objects(self.spec) if place])
        key = self.random.choice(sorted(owner))
        old = owner[key]
        nothing: tuple[Any, ...] = (None,)
        if isinstance(old, (dict, list, str)):
            nothing += (type(old)(),)
        if isinstance(old, str):
            nothing += ODD_TEXTS
        if isinstance(old, int) and not isinstance(old, bool):
            nothing += ODD_INTEGERS
        new = self.random.choice(nothing)
        # What stood there may have been a name, which a message may quote.
        owner[key] = new.replace(CANARY, "x") if isinstance(new, str) else new
        if self.random.random() < 0.2:
            self.pod["metadata"]["annotations"] = None


def _document(kind: str, name: str, data: Json) -> Json:
    return {"kind": kind, "metadata": {"name": name, "namespace": "default"}, "data": data}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _put(owner: Any, path: list[str], value: Any) -> None:
    """Sets the field at a path, making what is on the way; of a list, in its last item."""
    name, is_list = path[0].removesuffix("[]"), path[0].endswith("[]")
    if not is_list:
        if len(path) == 1:
            owner[name] = value
        else:
            _put(owner.setdefault(name, {}), path[1:], value)
        return
    items: list[Any] = owner.setdefault(name, [])
    if len(path) == 1:
        items.append(value)
        return
    if not items:
        items.append({})
    _put(items[-1] if name != "containers" else items[0], path[1:], value)


def _objects(value: Any) -> list[Json]:
    """All objects below a value, but for the maps whose keys the pod's author chooses."""
    if isinstance(value, list):
        return [found for item in value for found in _objects(item)]
    if not isinstance(value, dict):
        return []
    named = (
        "requests",
        "limits",
        "annotations",
        "labels",
        "nodeSelector",
        "matchLabels",
        "overhead",
        "volumeAttributes",
    )
    below = [found for key, item in value.items() if key not in named for found in _objects(item)]
    return [value, *below]


_PARTS: tuple[Callable[[AnyPod], None], ...] = (
    *(AnyPod.image, AnyPod.command, AnyPod.arguments, AnyPod.environment, AnyPod.environment, AnyPod.environment),
    *(AnyPod.environment_from, AnyPod.sizes, AnyPod.sizes, AnyPod.other_resources, AnyPod.ports, AnyPod.probe),
    *(AnyPod.probe, AnyPod.pull_secret, AnyPod.annotation, AnyPod.annotation, AnyPod.misspelled_annotation),
    *(AnyPod.life, AnyPod.shared_memory, AnyPod.empty_dir, AnyPod.unknown_field, AnyPod.more_containers),
    *(AnyPod.schema_field,) * 8,
)
