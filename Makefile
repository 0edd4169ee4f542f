# Every target begins with the same rule: a virtual environment with everything installed and compiled.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test lint check bench conformance coverage format clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         play a short session through a real client, with a crash in the middle"
	@echo "make test         run the whole Python suite"
	@echo "make check        format, lint, types, import contracts, schemas, tests"
	@echo "make coverage     the suite with branch coverage, subprocesses included"
	@echo "make bench        print the table of ratios"
	@echo "make conformance  the protocol's conformance suite and the Inspector (needs npm)"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	$(BIN)/python -m compileall -q ttrpg_mcp || true
	touch $@

demo: $(STAMP)
	$(BIN)/ttrpg-mcp demo

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ttrpg_mcp.schemas --check

check: lint test

coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(STAMP)
	$(BIN)/python -m benchmarks

conformance: $(STAMP)
	$(BIN)/python -m tests.conformance

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .hypothesis .conformance build dist
