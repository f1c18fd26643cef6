# Everything a person types here installs what it needs into .venv first: with uv when it is present, else venv + pip.
# The interpreter is the machine's own where that is one of the tested ones, else another that is; uv fetches one if need be.
TESTED := 3.11 3.12 3.13 3.14
PYTHON ?= $(or $(shell for p in python3 $(TESTED:%=python%); do \
  $$p -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv)' $(TESTED) 2>/dev/null && echo $$p && break; \
  done),$(if $(UV),$(lastword $(TESTED))))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(shell command -v uv)
INSTALL = $(if $(UV),uv pip install --python $(BIN)/python,$(BIN)/python -m pip install --disable-pip-version-check) \
  $(if $(UV),--quiet,--quiet --quiet) -c constraints.txt # twice: pip's warnings of indexes concern nobody here

.PHONY: demo dev test coverage test-carried test-memory test-unit test-pythons wheels check docs bench faults faults-long clean

demo: $(STAMP)
	@$(BIN)/truto-worker demo

dev: $(STAMP)
	@$(BIN)/truto-worker dev

test: $(STAMP)
	$(BIN)/pytest -n 3 --dist loadscope $(COVERAGE)

coverage: COVERAGE = --cov --cov-report=term -m "not processor_time"
coverage: test

# What depends on Redis, with the server that comes along, whatever is on PATH.
test-carried: $(STAMP)
	$(BIN)/pytest -n 3 --dist loadscope --redis-server carried tests/integration/events tests/integration/worker

# What the store promises, on the store of the test kit: the same scenarios that `make test` runs on Redis.
CONFORMANCE := $(addprefix tests/integration/events/test_,$(addsuffix .py,leasing accepting conflicts keeping lanes \
  large_bodies looking spending usage waking enrolling)) tests/integration/worker/test_dispatch.py
test-memory: $(STAMP)
	$(BIN)/pytest -n 3 --dist loadscope --store memory $(CONFORMANCE)

test-unit: $(STAMP)
	$(BIN)/pytest -n 2 tests/unit

# The unit tests and the demo on each tested interpreter of this machine: those on PATH, and those that pyenv keeps.
test-pythons:
	@set -e; for version in $(TESTED); do \
	  for python in python$$version $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python; do \
	    $$python -c pass 2>/dev/null || continue; \
	    echo "== $$($$python --version)"; \
	    $(MAKE) --no-print-directory VENV=.venv-$$version PYTHON=$$python test-unit demo; \
	    break; \
	  done; \
	done

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)
	$(BIN)/python -m ingress.sources.documenting docs/presets.md
	$(BIN)/python -m tests.unit.truto.integration.coverage docs/integration-coverage.md

bench: $(STAMP)
	$(BIN)/python -m benchmarks

faults: $(STAMP)
	$(BIN)/pytest tests/faults

faults-long: $(STAMP)
	$(BIN)/pytest tests/faults --long

# The wheels that deploy/Dockerfile installs, with the versions of constraints.txt and all their hashes from PyPI.
lock: COMPILE = $(BIN)/uv pip compile --quiet -c constraints.txt --generate-hashes --universal --python-version 3.11 \
  --no-annotate --custom-compile-command "make lock"
lock: $(STAMP)
	$(INSTALL) --group lock
	$(COMPILE) -o deploy/requirements.txt pyproject.toml
	$(COMPILE) -o deploy/build-requirements.txt --group build

# Known vulnerabilities of what is deployed. --strict: one that could not be looked up is no pass.
audit: $(STAMP)
	$(INSTALL) --group lock
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r deploy/requirements.txt -r deploy/build-requirements.txt

# Which packages lack a wheel for a tested Python on a promised system: docs/platforms.md.
wheels: $(STAMP)
	deploy/check-wheels.sh

pin-images:
	deploy/pin-images.sh

clean:
	rm -rf .venv .venv-* .truto-worker

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "truto-worker needs one of Python $(TESTED), or uv, on PATH" >&2; exit 2; }
	@test -d $(VENV) || $(if $(UV),uv venv --quiet --python "$(PYTHON)" $(VENV),"$(PYTHON)" -m venv $(VENV))
	@$(if $(UV),true,$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1')
	@echo "Installing truto-worker and what it needs into $(VENV), once; this takes a minute or two ..." >&2
	@$(INSTALL) -e . --group dev
	@echo "Installed." >&2
	@touch $@
