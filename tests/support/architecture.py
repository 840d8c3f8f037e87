"""Reads the source tree and tells where it breaks the rules of its own architecture.

Everything is read from the syntax trees; nothing is imported. Imports inside functions and under TYPE_CHECKING count
like any other.
"""

from __future__ import annotations

import ast
import graphlib
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

PACKAGE = "virtual_kubelet_salad"


@dataclass(frozen=True)
class Rules:
    """Names are modules below the package, dotted; a name stands for everything below it too."""

    # What each layer may import from the package, itself apart. A layer that is not listed is a violation.
    may_import: Mapping[str, tuple[str, ...]]
    # Single modules with rights of their own, instead of their layer's.
    exceptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Where a third-party package may be imported; one that is not listed may be imported nowhere.
    third_party: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Modules that may catch everything and go on: thread guards, worker loops, HTTP handlers.
    may_catch_everything: frozenset[str] = frozenset()
    # Modules that may read the machine's clocks.
    may_read_clocks: frozenset[str] = frozenset()
    # Modules whose annotations are needed as objects, so that they may not be turned into text.
    no_postponed_annotations: frozenset[str] = frozenset()
    # The longest file, in lines.
    line_limit: int = 400


@dataclass(frozen=True)
class SourceFile:
    """One parsed file; `module` is its name below the package, or None outside it."""

    path: pathlib.Path
    shown: str
    tree: ast.Module
    lines: int
    module: str | None


def violations(root: pathlib.Path, rules: Rules, standard_library: frozenset[str]) -> list[str]:
    """Every broken rule below `root` (which holds the package and `tests`), one line each, in order."""
    files = list(_sources(root))
    modules = {file.module for file in files if file.module is not None}
    found: list[str] = []
    graph: dict[str, set[str]] = {}
    for file in files:
        found += _style_violations(file, rules)
        if file.module is None:
            continue
        own, foreign = _imports(file, modules)
        graph[file.module] = own - {file.module}
        found += _direction_violations(file.module, own, rules)
        found += _fence_violations(file.module, foreign - standard_library, rules)
    return sorted(found) + _cycle(graph)


def _sources(root: pathlib.Path) -> Iterator[SourceFile]:
    for top in (PACKAGE, "tests"):
        for path in sorted((root / top).rglob("*.py")):
            text = path.read_text()
            parts = path.relative_to(root).with_suffix("").parts
            names = parts[1:-1] if parts[-1] == "__init__" else parts[1:]
            module = ".".join(names) if top == PACKAGE else None
            yield SourceFile(
                path, str(path.relative_to(root)), ast.parse(text, str(path)), len(text.splitlines()), module
            )


# -- imports


def _imports(file: SourceFile, modules: set[str]) -> tuple[set[str], set[str]]:
    """The modules of the package that `file` imports, and the top-level names of everything else."""
    own: set[str] = set()
    foreign: set[str] = set()
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, file)
            # `from package import name` imports the module package.name where there is one.
            names = [
                f"{base}.{alias.name}" if _below(f"{base}.{alias.name}") in modules else base for alias in node.names
            ]
        else:
            continue
        for name in names:
            below = _below(name)
            if below is None:
                foreign.add(name.partition(".")[0])
            elif below:  # the package itself holds only its version
                own.add(below)
    return own, foreign


def _absolute(node: ast.ImportFrom, file: SourceFile) -> str:
    if node.level == 0:
        return node.module or ""
    package = [PACKAGE, *(file.module or "").split(".")]
    if file.path.name != "__init__.py":
        package.pop()
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def _below(name: str) -> str | None:
    """The name below the package, "" for the package itself, None for another package's."""
    if name == PACKAGE:
        return ""
    return name.removeprefix(f"{PACKAGE}.") if name.startswith(f"{PACKAGE}.") else None


def _covers(names: tuple[str, ...], module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _direction_violations(module: str, imported: set[str], rules: Rules) -> list[str]:
    layer = module.partition(".")[0]
    if layer not in rules.may_import and module:
        return [f"{module}: the layer {layer} has no rule"]
    allowed = rules.exceptions.get(module, (*rules.may_import.get(layer, ()), layer))
    return [f"{module}: may not import {name}" for name in imported if not _covers(allowed, name)]


def _fence_violations(module: str, foreign: set[str], rules: Rules) -> list[str]:
    return [
        f"{module}: may not import {name}" for name in foreign if not _covers(rules.third_party.get(name, ()), module)
    ]


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [f"imports form a cycle: {' -> '.join(reversed(error.args[1]))}"]
    return []


# -- what stands in one file


def _style_violations(file: SourceFile, rules: Rules) -> Iterator[str]:
    if file.lines > rules.line_limit:
        yield f"{file.shown}: {file.lines} lines, more than {rules.line_limit}"
    if file.module is not None and file.path.name == "__init__.py" and not _is_bare(file.tree, is_top=not file.module):
        yield f"{file.shown}: holds more than a docstring"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ExceptHandler) and file.module is not None and _catches_everything(node):
            if file.module not in rules.may_catch_everything:
                yield f"{file.shown}:{node.lineno}: catches everything"
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "__future__"
            and file.module in rules.no_postponed_annotations
        ):
            yield f"{file.shown}:{node.lineno}: needs its annotations as objects"
    for line, name in _times(file.tree):
        if name.endswith(".sleep"):
            yield f"{file.shown}:{line}: {name}"
        elif file.module is not None and file.module not in rules.may_read_clocks:
            yield f"{file.shown}:{line}: reads {name} instead of the injected clock"


def _is_bare(tree: ast.Module, is_top: bool) -> bool:
    """A docstring and nothing else; at the top of the package also `__version__ = …`."""
    for index, node in enumerate(tree.body):
        is_docstring = index == 0 and ast.get_docstring(tree) is not None
        is_version = (
            is_top and isinstance(node, ast.Assign) and [ast.unparse(name) for name in node.targets] == ["__version__"]
        )
        if not is_docstring and not is_version:
            return False
    return ast.get_docstring(tree) is not None


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether it catches whatever comes and does not raise in the end."""
    if isinstance(handler.body[-1], ast.Raise):
        return False
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind).rpartition(".")[2] in {"Exception", "BaseException"} for kind in kinds)


_CLOCKS = {
    *("time.sleep", "asyncio.sleep", "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    "time.perf_counter",
}


def _times(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where the tree sleeps or reads a clock: line and full name, whatever the imports call it."""
    full_names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full_names.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            full_names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, dot, rest = ast.unparse(node).partition(".")
            name = full_names.get(first, "") + dot + rest
            if name in _CLOCKS:
                yield node.lineno, name
