# Nothing but Python (3.11 or later) and make is needed; the first run builds .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.packsight-stack
DEV_STAMP = $(VENV)/.packsight-dev

.PHONY: help demo test lint bench clean

help:
	@echo "make demo   draw a small shop, recognise photos of its products, write demo-out/report.html"
	@echo "make test   lint, types and all tests"
	@echo "make lint   lint and types"
	@echo "make bench  measure throughput, stages and accuracy on this machine, write bench-out/last.json"
	@echo "make clean  remove what the build and the demo wrote"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[stack]'
	touch $@

$(DEV_STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[gpu,stack,dev]'
	touch $(STAMP) $@

demo: $(STAMP)
	$(BIN)/packsight demo

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

bench: $(DEV_STAMP)
	$(BIN)/python -m bench

clean:
	rm -rf demo-out bench-out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
