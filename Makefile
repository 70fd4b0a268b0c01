# Requires Linux x86-64, Python 3.11, git and make. Everything else comes from the lock files. They serve
# Python 3.12 and 3.13 as well: `make demo PYTHON=python3.13`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes

.PHONY: demo demo-picture test test-fast test-faults test-inputs test-fuzz bench test-browser test-containers test-slurm image lint docs docs-options docs-numbers lock audit clean

demo: $(VENV)/.installed
	$(BIN)/python demo/build.py demo/bids --truth demo/truth
	$(BIN)/python run.py demo/bids demo/derivatives participant --work-dir demo/work
	$(BIN)/python demo/summary.py demo/derivatives --bids demo/bids --truth demo/truth

# The picture in README.md, from the output of the demo.
demo-picture: $(VENV)/.installed
	$(BIN)/python docs/figures.py demo/derivatives sub-01 docs/images/openms26.png 15 29 \
		--source demo/bids/sub-01/anat/sub-01_T1w.nii.gz \
		--outline demo/truth/sub-01/anat/sub-01_label-lesion_mask.nii.gz

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest --durations=25 --durations-min=5 \
		-m "slow and not gpu and not browser and not container and not slurm"

test-fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

# What a run survives, with the real steps on small heads: an hour. Few of each, by stand-ins, are among
# the tests of `make test`.
FAULTS ?= 20
test-faults: $(VENV)/.installed-dev
	rm -rf build/faults
	FAULTS=$(FAULTS) FAULTS_STEPS=real FAULTS_OUTCOMES=build/faults FAULTS_TABLE=docs/reliability/faults.md \
		$(BIN)/python -m pytest --dist load -v -m slow tests/run/test_faults.py
	FAULTS=$(FAULTS) $(BIN)/python -m pytest -n 0 -v -m slow tests/run/test_survivors.py

# Images drawn at random, with stand-ins; REAL=30 does so many with the real steps. Each writes its table into
# docs/reliability. Damaged files, for a time. A seed that is not given is drawn, and printed.
COUNT ?= 2000
SECONDS ?= 600
TRY_INPUTS := $(BIN)/python tests/inputs/try_inputs.py $(if $(SEED),--seed $(SEED))
test-inputs: $(VENV)/.installed-dev
	$(TRY_INPUTS) $(if $(REAL),--real --count $(REAL) --processes 1 --table docs/reliability/inputs_real.md,\
		--count $(COUNT) --table docs/reliability/inputs.md)

test-fuzz: $(VENV)/.installed-dev
	$(BIN)/python tests/inputs/fuzz.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# What a scan costs; nothing else should run. DATA is a folder with ds000011 and ds002748, if there is one.
# KEEP_PLAIN=1 takes the plain chain from the table.
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/bench.py $(if $(DATA),--data $(DATA)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(KEEP_PLAIN),--keep-plain)

# These three install Chromium, podman or SLURM, as root on Debian 12. Elsewhere, without these, they are
# skipped with the reason; with REQUIRED=1 that is an error.
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
		-t bids_inpaint$(if $(filter gpu,$(DEVICE)),:gpu) .

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in build/site, made in a separate environment without the program.
docs: .venv-docs/.installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

# Options and columns in the pages, from the programs.
docs-options: $(VENV)/.installed
	$(BIN)/python docs/options.py

# Figures in the pages, from the cards of the networks and docs/results.
docs-numbers: $(VENV)/.installed
	$(BIN)/python docs/fill_numbers.py

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

# Resolve again; needs uv. Versions stay as they are unless pyproject.toml asks for others. One file serves
# all versions of Python.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate
lock:
	$(COMPILE) pyproject.toml --extra cpu -o requirements.lock
	$(COMPILE) pyproject.toml --extra cpu --extra test --extra lint -o requirements-dev.lock
	$(COMPILE) pyproject.toml --extra gpu --constraint requirements.lock -o requirements-gpu.lock
	$(COMPILE) --group docs -o requirements-docs.lock

# Known vulnerabilities of what is installed; needs pip-audit and the internet.
audit:
	for lock in requirements*.lock; do pip-audit --strict --disable-pip --require-hashes -r $$lock || exit 1; done

clean:
	rm -rf $(VENV) .venv-docs build/site demo/bids demo/truth demo/derivatives demo/work
