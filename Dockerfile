# docker build -t bids_inpaint .                          CPU
# docker build --build-arg DEVICE=gpu -t bids_inpaint .   NVIDIA GPU, or CPU where there is none
#
# docs/containers.md describes the layers. Dependencies come before the source, so that a change of
# code rebuilds the last two layers only.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
ARG DEVICE=cpu
COPY requirements.lock requirements-gpu.lock containers/slim.sh /build/
RUN set -eu; \
    case "$DEVICE" in \
        cpu) lock=/build/requirements.lock ;; \
        gpu) lock=/build/requirements-gpu.lock ;; \
        *) echo "DEVICE must be cpu or gpu, is $DEVICE" >&2; exit 1 ;; \
    esac; \
    python3 -m venv --without-pip /opt/bids_inpaint; \
    python3 -m pip --python /opt/bids_inpaint/bin/python --disable-pip-version-check install \
        --quiet --no-cache-dir --no-compile --no-deps --require-hashes -r "$lock"; \
    /build/slim.sh /opt/bids_inpaint/lib/python3.11/site-packages /opt/bids_inpaint/bin/python

FROM dependencies AS program
COPY pyproject.toml setup.py README.md LICENSE NOTICE /build/source/
COPY models /build/source/models
COPY bids_inpaint /build/source/bids_inpaint
RUN python3 -m pip --python /opt/bids_inpaint/bin/python --disable-pip-version-check install \
        --quiet --no-deps --no-index --no-build-isolation --target /build/program /build/source; \
    mkdir -p /build/image/lib/python3.11/site-packages /build/image/bin; \
    mv /build/program/bin/* /build/image/bin/; rmdir /build/program/bin; \
    mv /build/program/* /build/image/lib/python3.11/site-packages/

FROM ${BASE}
COPY --from=dependencies /opt/bids_inpaint /opt/bids_inpaint
COPY --from=program /build/image /opt/bids_inpaint

ARG DEVICE=cpu
ARG VERSION=0.3.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bids_inpaint" \
      org.opencontainers.image.description="Blind inpainting of white-matter lesions in T1-weighted MRI, as a BIDS App" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="python:3.11-slim-bookworm"
ENV PATH=/opt/bids_inpaint/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    MPLCONFIGDIR=/opt/bids_inpaint/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    BIDS_INPAINT_CONTAINER_TAG="bids_inpaint:${VERSION}-${DEVICE}"
# Where the working folder is made if no --work-dir is given; any user may write there.
WORKDIR /tmp
ENTRYPOINT ["/opt/bids_inpaint/bin/bids_inpaint"]
