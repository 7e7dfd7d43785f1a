# Everything runs in .venv, which the first target that needs it sets up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing

# Debian's packages start services of their own on these ports: beside them the demo runs alone.
WITH_STACK = $(shell command -v prometheus >/dev/null \
  && { command -v prometheus-alertmanager || command -v alertmanager; } >/dev/null \
  && $(PYTHON) -c 'import socket; [socket.create_server(("127.0.0.1", p)) for p in (9090, 9093)]' \
    2>/dev/null && echo --stack)

# Counting the lines that fleets run through would take as long again, and tests of a file share servers.
PARALLEL := --numprocesses=auto --maxprocesses=4
COVERED := --dist=loadfile -m "not no_cover" --cov --cov-fail-under=95

.PHONY: help demo demo-stack test lint format bench dist clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(INSTALLED)  ## Run the exporter on an embedded simulated API, and Prometheus where it is installed
	$(BIN)/rk-exporter demo $(WITH_STACK)

demo-stack: $(INSTALLED)  ## Run it with Prometheus and Alertmanager, and see alerts fire on port 9090
	$(BIN)/rk-exporter demo --stack

test: $(DEVELOPING)  ## Run all tests
	$(BIN)/python -m pytest $(PARALLEL) $(COVERED)
	$(BIN)/python -m pytest $(PARALLEL) -m no_cover

lint: $(DEVELOPING)  ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(DEVELOPING)  ## Put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEVELOPING)  ## Measure speed and memory
	$(BIN)/python -m bench

dist: $(DEVELOPING)  ## Build the wheel and the source archive
	$(BIN)/python -m build

clean:  ## Remove all that was made here
	rm -rf $(VENV) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "venv is missing; on Debian: apt install python3-venv" >&2; exit 1; }

$(INSTALLED): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# Dependency groups came with pip 25.1.
$(DEVELOPING): pyproject.toml | $(INSTALLED)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev --editable .
	@touch $@
