# What one needs: Linux x86-64, Python 3.11, git, make. Everything else comes from the lock files.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes

.PHONY: demo test test-fast test-browser test-containers test-slurm image lint docs docs-options lock clean

demo: $(VENV)/.installed
	$(BIN)/python demo/build.py demo/bids --truth demo/truth
	$(BIN)/python run.py demo/bids demo/derivatives participant --work-dir demo/work
	$(BIN)/python demo/summary.py demo/derivatives --bids demo/bids --truth demo/truth

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -m "slow and not gpu and not browser and not container and not slurm"

test-fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

# These three install what they need, as root on Debian 12: Chromium, podman, SLURM. Elsewhere they are
# skipped without it, and say why; with REQUIRED=1 that is an error.
test-browser: $(VENV)/.installed-dev
	tests/browser/run $(BIN)/python

test-containers: $(VENV)/.installed-dev
	tests/containers/run $(BIN)/python

test-slurm: $(VENV)/.installed-dev
	tests/slurm/run $(BIN)/python

# CPU by default; `make image DEVICE=gpu BUILDER=podman`.
DEVICE ?= cpu
BUILDER ?= docker
image:
	$(BUILDER) build --build-arg DEVICE=$(DEVICE) --build-arg REVISION=$$(git rev-parse HEAD) \
		-t bids_inpaint .

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in build/site; in an environment of its own, which needs nothing of the program.
docs: .venv-docs/.installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

# The pages that are made from the programs: options and columns.
docs-options: $(VENV)/.installed
	$(BIN)/python docs/options.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/.installed

.venv-docs/.installed: requirements-docs.lock
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes \
		-r requirements-docs.lock
	touch $@

# Resolve anew; needs uv. Versions stay as they are unless pyproject.toml asks for others.
lock:
	uv pip compile pyproject.toml --extra cpu --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate -o requirements.lock
	uv pip compile pyproject.toml --extra cpu --extra test --extra lint --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-dev.lock
	uv pip compile pyproject.toml --extra gpu --constraint requirements.lock --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-gpu.lock
	uv pip compile --group docs --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate -o requirements-docs.lock

clean:
	rm -rf $(VENV) .venv-docs build/site demo/bids demo/truth demo/derivatives demo/work
