# The runtime in an image: nothing but what the hashed lock names, no compiler, no pip, nobody's root.
# docs/operating.md (In containers) says how it is run. Rules, in order:
# 1. Whatever is downloaded is checked against a hash; what comes as source alone is built without fetching anything more.
# 2. The program may write to /var/lib/syndicator alone; everything else may be mounted read-only.
# 3. The process is the service itself and hears SIGTERM: it stops within 30 seconds.

ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS wheels
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements-build.lock requirements-cluster.lock ./
RUN python -m pip install --require-hashes -r requirements-build.lock \
    && python -m pip wheel --require-hashes --no-build-isolation --wheel-dir /wheels -r requirements-cluster.lock
COPY pyproject.toml README.md LICENSE main.py ./
COPY syndicator syndicator
COPY bots bots
COPY feeds feeds
COPY config config
RUN python -m pip wheel --no-build-isolation --no-deps --no-index --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/syndicator \
    && python -m pip --python /opt/syndicator/bin/python install --no-index --no-deps /wheels/*.whl

FROM ${PYTHON}
LABEL org.opencontainers.image.title="Syndicator" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
    && groupadd --system --gid 10001 syndicator \
    && useradd --system --uid 10001 --gid syndicator --no-create-home --home-dir /var/lib/syndicator \
        --shell /usr/sbin/nologin syndicator \
    && install -d -o syndicator -g syndicator -m 0750 /var/lib/syndicator /var/lib/syndicator/var \
    && install -d -o syndicator -g syndicator -m 0755 /var/lib/syndicator/var/feeds \
    && install -d -o root -g syndicator -m 0750 /etc/syndicator
COPY --from=wheels /opt/syndicator /opt/syndicator
ENV PATH=/opt/syndicator/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SYNDICATOR_CONFIG=/etc/syndicator/syndicator.toml \
    SYNDICATOR_WEB__HOST=0.0.0.0 \
    READY_AT=http://127.0.0.1:8080/readyz
USER 10001:10001
WORKDIR /var/lib/syndicator
VOLUME /var/lib/syndicator
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as ask; ask.urlopen(os.environ['READY_AT'], timeout=4)"]
ENTRYPOINT ["syndicator"]
CMD ["run"]
