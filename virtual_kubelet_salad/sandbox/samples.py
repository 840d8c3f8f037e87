"""What the sandbox runs when it is given nothing: a server, a job, and a pod that can never run on this node."""

from __future__ import annotations

SAMPLE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: inference
spec:
  replicas: 2
  selector: {matchLabels: {app: inference}}
  template:
    metadata:
      labels: {app: inference}
      annotations:
        salad.com/gpu-classes: RTX 4090 (24 GB)
        salad.com/networking-protocol: http
        salad.com/networking-port: "8000"
        salad.com/networking-auth: "true"
    spec:
      tolerations: [{key: virtual-kubelet.io/provider, operator: Exists}]
      containers:
      - name: server
        image: vllm/vllm-openai:v0.6.3
        command: ["vllm", "serve", "--port", "8000"]
        resources: {requests: {cpu: "4", memory: 16Gi}, limits: {nvidia.com/gpu: "1"}}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: training
spec:
  template:
    spec:
      restartPolicy: Never
      tolerations: [{key: virtual-kubelet.io/provider, operator: Exists}]
      containers:
      - name: main
        image: busybox:1.36
        command: ["sh", "-c", "sleep 15; exit 0"]
        env: [{name: STEPS, value: "100"}]
---
apiVersion: v1
kind: Pod
metadata:
  name: refused
spec:
  hostNetwork: true
  tolerations: [{key: virtual-kubelet.io/provider, operator: Exists}]
  containers: [{name: main, image: "busybox:1.36"}]
"""
