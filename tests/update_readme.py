"""Writes the generated tables and examples of README.md anew: `python -m tests.update_readme`."""

from __future__ import annotations

import pathlib
import re

from tests.support.event_table import event_table_markdown
from tests.support.readme_examples import gpu_classes_example, render_example
from virtual_kubelet_salad.config_options import (
    CHECK_OPTIONS,
    CLEANUP_OPTIONS,
    GPU_CLASSES_OPTIONS,
    RENDER_OPTIONS,
    flag_table_markdown,
)
from virtual_kubelet_salad.kubelet.refusals import pod_table_markdown
from virtual_kubelet_salad.metrics import metrics_table_markdown
from virtual_kubelet_salad.saladcloud.pod_annotations import annotation_table_markdown

README = pathlib.Path(__file__).parent.parent / "README.md"


def with_generated_parts(text: str) -> str:
    """`text` with what stands between the markers replaced. ValueError when a pair of markers is not there once."""
    tables = {
        "flags": flag_table_markdown(),
        "check-flags": flag_table_markdown(CHECK_OPTIONS),
        "cleanup-flags": flag_table_markdown(CLEANUP_OPTIONS),
        "gpu-classes-flags": flag_table_markdown(GPU_CLASSES_OPTIONS),
        "render-flags": flag_table_markdown(RENDER_OPTIONS),
        "gpu-classes-example": gpu_classes_example(),
        "render-example": render_example(),
        "events": event_table_markdown(),
        "metrics": metrics_table_markdown(),
        "pod-support": pod_table_markdown(),
        "annotations": annotation_table_markdown(),
    }
    for name, table in tables.items():
        between = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        if len(between.findall(text)) != 1:
            raise ValueError(f"README.md must have the markers of {name} once")
        text = between.sub(lambda match, table=table: f"{match[1]}\n{table}\n{match[2]}", text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    README.write_text(with_generated_parts(README.read_text()))
