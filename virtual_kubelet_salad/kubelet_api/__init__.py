"""The port of the node: what the API server, metrics-server and Prometheus ask a kubelet for, over HTTPS."""
