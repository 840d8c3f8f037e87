"""Child processes of tests: those of the sandbox."""

from virtual_kubelet_salad.sandbox.processes import ChildProcess

__all__ = ["ChildProcess"]
