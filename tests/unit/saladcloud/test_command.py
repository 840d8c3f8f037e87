from __future__ import annotations

import pytest

from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Blocked, Refused
from virtual_kubelet_salad.kubelet.provider import Inputs, Pod
from virtual_kubelet_salad.saladcloud import command
from virtual_kubelet_salad.saladcloud.pod_annotations import ENTRYPOINT


def pod_with(*, words: list[str] | None = None, args: list[str] | None = None, entrypoint: str | None = None) -> Pod:
    container = {key: value for key, value in (("command", words), ("args", args)) if value is not None}
    return stored_pod(container=container, annotations={} if entrypoint is None else {ENTRYPOINT: entrypoint})


def built(pod: Pod, *, words: tuple[str, ...] = (), args: tuple[str, ...] = ()) -> list[str] | None:
    return command.command(pod, Inputs(environment=[], secrets={}, command=words, args=args))


def test_an_image_runs_as_it_is_when_the_pod_states_nothing() -> None:
    assert built(pod_with()) is None


def test_arguments_follow_the_command_and_both_come_expanded() -> None:
    pod = pod_with(words=["run", "$(A)"], args=["-v"])
    assert built(pod, words=("run", "one"), args=("-v",)) == ["run", "one", "-v"]


def test_arguments_alone_follow_the_entrypoint_that_the_pod_names() -> None:
    pod = pod_with(args=["-v"], entrypoint='["vllm", "serve"]')
    assert built(pod, args=("-v",)) == ["vllm", "serve", "-v"]


def test_a_command_makes_the_entrypoint_annotation_moot() -> None:
    assert built(pod_with(words=["run"], entrypoint='["vllm"]'), words=("run",)) == ["run"]


def test_arguments_alone_are_refused_with_the_line_to_add() -> None:
    pod = pod_with(args=["-v"])
    for attempt in (lambda: command.check(pod), lambda: built(pod, args=("-v",))):
        with pytest.raises(Refused, match="salad.com/entrypoint: '"):
            attempt()


@pytest.mark.parametrize("entrypoint", ["vllm serve", '"vllm"', "[]", "[1]", "{}", "[" * 100_000, " "])
def test_an_entrypoint_must_be_a_json_array_of_texts(entrypoint: str) -> None:
    with pytest.raises(Refused):
        command.check(pod_with(args=["-v"], entrypoint=entrypoint))


@pytest.mark.parametrize(("item", "said"), [("", "is empty"), ("x" * 1001, "1001 characters"), ("a\nb", "line break")])
def test_an_item_beyond_the_limits_is_named_by_its_index_only(item: str, said: str) -> None:
    pod = pod_with(words=["sh"], args=[item])
    for attempt in (lambda: command.check(pod), lambda: built(pod, words=("sh",), args=(item,))):
        with pytest.raises(Refused) as refusal:
            attempt()
        assert said in str(refusal.value) and "Item 1" in str(refusal.value)
        assert not item or item not in str(refusal.value)


def test_an_item_that_a_variable_made_too_long_blocks_for_the_variable_may_change() -> None:
    env = [{"name": "SCRIPT", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]
    pod = stored_pod(container={"command": ["$(SCRIPT)"], "env": env})
    command.check(pod)
    with pytest.raises(Blocked, match="Item 0"):
        built(pod, words=("x" * 1001,))


def test_an_item_that_the_pods_own_values_made_too_long_is_refused_for_nothing_can_mend_it() -> None:
    pod = pod_with(words=["$(SCRIPT)"])
    command.check(pod)
    with pytest.raises(Refused, match="Item 0"):
        built(pod, words=("x" * 1001,))


def test_the_limits_themselves_are_fine() -> None:
    words = ["x" * 1000] * 100
    assert built(pod_with(words=words), words=tuple(words)) == words
    with pytest.raises(Refused, match="101 items"):
        command.check(pod_with(words=["x"] * 101))
