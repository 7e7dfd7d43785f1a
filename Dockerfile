# syntax=docker/dockerfile:1

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY rk_exporter rk_exporter
COPY dashboards dashboards
COPY share share
COPY docs/how-to/runbook.md docs/how-to/
# A virtual environment at the place where it will run: it can be copied as it is.
RUN python -m venv /opt/rk-exporter \
 && /opt/rk-exporter/bin/pip install --no-cache-dir . \
 && /opt/rk-exporter/bin/pip uninstall --yes pip

FROM python:3.13-slim
LABEL org.opencontainers.image.title="rk-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the recordings of Cloudflare RealtimeKit meetings" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/rk-exporter /opt/rk-exporter
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 10058
# On another port than this, give `docker run` a --health-cmd of its own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s \
  CMD ["/opt/rk-exporter/bin/python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 10058, timeout=4); c.request('GET', '/-/healthy'); exit(c.getresponse().status != 200)"]
ENTRYPOINT ["/opt/rk-exporter/bin/rk-exporter"]
CMD ["serve"]
