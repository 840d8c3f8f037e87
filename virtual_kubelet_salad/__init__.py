"""A virtual kubelet for SaladCloud: pods bound to its node run as container groups."""

__version__ = "0.1.0"
