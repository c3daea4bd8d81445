# Installs into .venv and runs the checks there. Kept to what GNU make 3.81 (macOS) understands.
# Another interpreter for a new .venv: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint format clean
# A recipe that fails half-way must not leave a stamp that says "done".
.DELETE_ON_ERROR:

help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed ## install, then run the demo; its report is written to build/
	$(BIN)/hwmap demo -o build

test: lint ## all checks: lint, types, every test (the slow ones too)
	$(BIN)/python -m pytest

test-fast: $(VENV)/.installed-test ## tests without the slow ones
	$(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/.installed-test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-test ## rewrite the code in the house format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## remove what the tools made; .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian splits ensurepip from venv: there "import venv" works and creating one fails, so ask for both.
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "hwmap needs Python 3.11 or newer: $(PYTHON) not found" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hwmap needs Python 3.11 or newer: $(PYTHON) is older (try make PYTHON=python3.12)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make a virtual environment: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

# The test extra includes the plain installation, so one install answers both stamps.
$(VENV)/.installed-test: pyproject.toml constraints.txt $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[test]"
	@touch $(VENV)/.installed $@
