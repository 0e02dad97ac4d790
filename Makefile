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
XDIST ?= -n auto
# pytest-benchmark cannot time next to other workers, and says so with a warning.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(XDIST) --benchmark-disable

.PHONY: help install venv demo test lint docs check clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## create .venv with doh3d, its extras and the tools

venv: $(STAMP)  ## the same as install

# Remade when a pinned version or the project's description changes. The stamp comes last, so
# that an installation that was cut short is taken up again.
$(STAMP): pyproject.toml constraints.txt scripts/system_packages.sh
	@test -n "$(PYTHON)" || { echo "doh3d: no Python 3.11 to 3.13 found; install one, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@scripts/system_packages.sh $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "doh3d: installing into $(VENV) (about 2 GB, some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'meshoptimizer>=0.2.30a0' 2>/dev/null \
		|| echo "doh3d: meshoptimizer cannot be built here; the benchmark and its tests do without"
	@touch $@

demo: $(STAMP)  ## compress the Stanford bunny, decode it, measure and draw both: out/
	@$(BIN)/python scripts/demo.py

test: $(STAMP)  ## the fast tests
	@$(PYTEST) -m 'not slow'

lint: $(STAMP)  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(STAMP)  ## the site, into build/docs; warnings are errors
	@$(BIN)/python scripts/build_docs.py
	@echo "build/docs/index.html"

check: lint docs  ## lint, the site, then every test, the slow ones and the documentation's examples too
	@$(PYTEST) --doctest-glob='*.md' tests $(DOCUMENTS)

clean:  ## remove what building, testing and the demo leave behind; .venv stays
	rm -rf out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +
