# `holdfast serve` in a container. A starting point: see docs/CONTAINERS.md.
FROM python:3.13-slim-bookworm AS build

WORKDIR /src
COPY pyproject.toml README.md README.zh.md CHANGELOG.md LICENSE ./
COPY core core
RUN python -m venv /opt/holdfast \
    && /opt/holdfast/bin/pip install --no-cache-dir ".[server,postgres,openai]"

FROM python:3.13-slim-bookworm

# The number is fixed, so that a volume's files keep their owner from one image to the next.
RUN useradd --system --uid 10001 --no-create-home --home-dir /data holdfast \
    && install --directory --owner=holdfast --mode=700 /data
COPY --from=build /opt/holdfast /opt/holdfast
ENV PATH=/opt/holdfast/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOLDFAST_HOME=/data \
    HOLDFAST_PORT=8377

USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8377

HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"HOLDFAST_PORT\"]}/healthz', timeout=4)"]

# Reached from outside of the container, it needs a token: HOLDFAST_TOKEN or HOLDFAST_TOKEN_FILE.
ENTRYPOINT ["holdfast"]
CMD ["serve", "--host", "0.0.0.0"]
