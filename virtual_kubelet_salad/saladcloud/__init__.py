"""SaladCloud as a provider: pods become container groups, container groups become pod statuses. Sees the kubelet only
through its provider seam.
"""
