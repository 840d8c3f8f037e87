# syntax=docker/dockerfile:1
# The image holds Python, the package and its dependencies; it needs no shell and may run with a read-only root.

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY virtual_kubelet_salad virtual_kubelet_salad
RUN pip wheel --no-cache-dir --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/virtual-kubelet-salad \
    && pip --python /opt/virtual-kubelet-salad/bin/python install --no-cache-dir --no-compile \
       --no-index /wheels/*.whl \
    # Compiled once here: at run time nothing can be written, and nothing is checked against file times.
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/virtual-kubelet-salad/lib

FROM python:3.13-slim
LABEL org.opencontainers.image.title="virtual-kubelet-salad" \
      org.opencontainers.image.description="A virtual kubelet that runs pods on SaladCloud's distributed GPU network" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/virtual-kubelet-salad /opt/virtual-kubelet-salad
# More than a hundred threads, mostly idle, would have the allocator keep eight pools per core; with two, some 4 MB less
# are held.
ENV PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080 10250
# For engines other than Kubernetes, which has its own probes; it asks the default --metrics-address.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["/opt/virtual-kubelet-salad/bin/python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 8080, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["/opt/virtual-kubelet-salad/bin/virtual-kubelet-salad"]
