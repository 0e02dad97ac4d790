# Every target sets up what it needs by itself; `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := view,peers,ray,volumes,dev

# The first interpreter that runs and is of a supported version. `make PYTHON=...` overrides it.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.13; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)

# Examples in these files run as doctests.
DOCUMENTS := $(wildcard README.md docs/*.md)

# One worker process for each core, so one thread for each worker: more would only wait for
# one another. Tests that are about threads set their own number. `make test XDIST=` is serial.
XDIST ?= -n auto --dist worksteal
# pytest-benchmark cannot time next to other workers, and says so with a warning.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(XDIST) --benchmark-disable

# What builds and tests the decoder in JavaScript; not there where there is no Node.
WEB_STAMP := web/node_modules/.installed

.PHONY: help install venv demo test lint docs check web clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## create .venv with doh3d, its extras and the tools

venv: $(STAMP)  ## the same as install

# Remade when a pinned version or the project's description changes. The stamp comes last, so
# that an installation that was cut short is taken up again. In pip's usual editable mode a folder
# called doh3d in the working directory, as beside a checkout, would hide the package.
$(STAMP): pyproject.toml constraints.txt scripts/system_packages.sh
	@test -n "$(PYTHON)" || { echo "doh3d: no Python 3.11 to 3.13 found; install one, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@scripts/system_packages.sh $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "doh3d: installing into $(VENV) (about 3 GB, some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--config-settings editable_mode=compat -e '.[$(EXTRAS)]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'meshoptimizer>=0.2.30a0' 2>/dev/null \
		|| echo "doh3d: meshoptimizer cannot be built here; the benchmark and its tests do without"
	@touch $@

# Only what the lock file names, and no scripts of packages.
$(WEB_STAMP): web/package-lock.json $(STAMP)
	@if command -v npm >/dev/null; then \
		echo "doh3d: installing web/node_modules"; \
		cd web && npm ci --silent --ignore-scripts --no-audit --no-fund && touch node_modules/.installed; \
	else echo "doh3d: there is no npm; tests of the decoder in JavaScript are skipped" >&2; fi

web: $(WEB_STAMP)  ## build the decoder in JavaScript, for npm and for pages
	@cd web && npm run --silent build

demo: $(STAMP)  ## compress the Stanford bunny, decode it, measure and draw both: out/
	@$(BIN)/python scripts/demo.py

test: $(STAMP) $(WEB_STAMP)  ## the fast tests
	@$(PYTEST) -m 'not slow'

lint: $(STAMP)  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(STAMP)  ## the site, into build/docs; warnings are errors
	@$(BIN)/python scripts/build_docs.py
	@echo "build/docs/index.html"

check: lint docs $(WEB_STAMP)  ## lint, the site, then every test, the slow ones and the documentation's examples too
	@DOH3D_NODE=required $(PYTEST) --doctest-glob='*.md' tests $(DOCUMENTS)

clean:  ## remove what building, testing and the demo leave behind; .venv stays
	rm -rf out build dist web/types *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +
