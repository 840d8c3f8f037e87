"""A kubelet that knows no cloud: what happens to a pod and to the node. Everything a cloud does comes through
`provider`.
"""
