# syntax=docker/dockerfile:1

# To pin the base image by its digest: --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The locked packages first: this layer stays in the cache until the lock changes.
COPY requirements/image.txt requirements/
RUN python -m venv /opt/tools \
 && /opt/tools/bin/pip install --require-hashes --requirement requirements/image.txt \
 && /opt/tools/bin/pip wheel --require-hashes --requirement requirements/image.txt --wheel-dir /wheels
COPY pyproject.toml README.md LICENSE ./
COPY rk_exporter rk_exporter
COPY dashboards dashboards
COPY share share
COPY docs/how-to/runbook.md docs/how-to/
COPY tools/build_hook.py tools/
# What `rk-exporter --version` shows; the build context has no Git repository.
ARG SOURCE_COMMIT="" SOURCE_BRANCH=""
# The wheels above are the only source, so exactly the locked versions are installed, and of those
# only what the program needs, with all its extras: in an image nobody can add them. The virtual environment has its final path already.
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/rk-exporter \
 && /opt/tools/bin/pip --python /opt/rk-exporter/bin/python install --no-index --find-links /wheels 'rk-exporter[s3,webhooks]' \
 && /opt/tools/bin/pip --python /opt/rk-exporter/bin/python check \
 && install --directory --owner=65532 --group=65532 /opt/state

FROM ${PYTHON_IMAGE}
ARG SOURCE_COMMIT=""
LABEL org.opencontainers.image.title="rk-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the recordings of Cloudflare RealtimeKit meetings" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${SOURCE_COMMIT}"
COPY --from=build /opt/rk-exporter /opt/rk-exporter
# A new volume that is mounted here belongs to the exporter's user, like this folder.
COPY --from=build --chown=65532:65532 /opt/state /var/lib/rk-exporter
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/rk-exporter/bin:$PATH
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /var/lib/rk-exporter
# Only the port that is always open. Prometheus makes a target of each exposed port of a container, and proxies choose
# among them, so port 10060 of webhooks, which are off by default, would be a target that is always down.
EXPOSE 10058
STOPSIGNAL SIGTERM
# It honours RK_WEB_LISTEN_ADDRESS and TLS.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["python", "-m", "rk_exporter.web.healthcheck"]
ENTRYPOINT ["rk-exporter"]
CMD ["serve"]
