"""Stories that are played at the same time, each in a namespace of its own, by one daemon on one control plane.

A story is a function of a `ClusterWorld`. It waits with bounds, asserts, and leaves nothing in its namespace; it must
not disturb the others: no outage, no restart of what they share.
"""
