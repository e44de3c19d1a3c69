# A slim image without root: no shell is needed, no port is open, and nothing is written outside the mounted folders.
#
#     docker build -t deident .
#     docker run --rm --read-only --tmpfs /tmp --network none --cap-drop ALL --user "$(id -u)" \
#         -v "$PWD/calls:/calls:ro" -v "$PWD/out:/out" deident run /calls --out /out/store

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY deident ./deident
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[av]'

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'deident[av]'
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["deident"]
CMD ["--help"]
