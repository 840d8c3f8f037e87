"""Talks to the Kubernetes API server; the only place that imports the official client. Imported by `kubelet/` and
`app`.
"""
