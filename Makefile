# Nothing but Python (3.11 or later) and make is needed; the first run builds .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.packsight-stack
DEV_STAMP = $(VENV)/.packsight-dev
FULL_STAMP = $(VENV)/.packsight-full

# Hundreds of processes import the same modules: their bytecode is kept, whatever the caller does with that of others.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo unit test lint coverage bench chaos fuzz soak canary compose-test lock audit licences reliability train-alphabet clean

help:
	@echo "make install   build $(VENV) with all that packsight up needs"
	@echo "make demo      draw a small shop, recognise photos of its products, write demo-out/report.html; KEEP=1 leaves it running,"
	@echo "               COMPARE=1 measures other ways of deciding"
	@echo "make unit      the quick tests: no server, no network, no torch, a minute or two"
	@echo "make test      lint, types and all tests"
	@echo "make lint      lint and types"
	@echo "make coverage  how much of the code unit and integration tests reach, in lines and branches"
	@echo "make bench     measure throughput, stages and accuracy on this machine, write bench-out/last.json"
	@echo "make chaos     a job while everything around it is killed, frozen, filled and cut: SEED=1 PHOTOS=1000, or STANDIN=1"
	@echo "make fuzz      damaged photos, feeds, tables, lists, messages and catalogs: SEED=1 IMAGES=10000 QUEUE=300"
	@echo "make soak      N=20000 mixed photos: is memory flat, and the broker?"
	@echo "make canary    run the tests of queue and store against the newest Celery, kombu and MinIO client"
	@echo "make compose-test  build the images and run docker-compose.yml for real; needs a Docker engine: FROM=COMMIT tries an upgrade too"
	@echo "make lock      renew locks/: the newest releases that pyproject.toml allows, with their hashes"
	@echo "make audit     ask pip-audit whether vulnerabilities of the locked releases are known"
	@echo "make licences  write docs/licences.md from what is installed"
	@echo "make reliability  write docs/reliability.md from the figures that chaos, fuzz and soak left in bench-out/"
	@echo "make train-alphabet  train the head that reads Cyrillic, or ALPHABET=armenian WORDS=list.txt: LINES=400000"
	@echo "make clean     remove what the build and the demo wrote"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# Libraries as locks/ names them, by hash; then packsight itself, which must find all of them there.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(STAMP): pyproject.toml locks/stack.txt | $(BIN)/python
	@echo "Installing libraries into $(VENV): some minutes, 1.4 GB"
	$(INSTALL) --require-hashes --requirement locks/stack.txt
	$(INSTALL) --no-build-isolation --no-deps --editable .
	touch $@

$(DEV_STAMP): pyproject.toml locks/dev.txt | $(BIN)/python
	$(INSTALL) --require-hashes --requirement locks/dev.txt
	$(INSTALL) --no-build-isolation --no-deps --editable .
	touch $(STAMP) $@

# torch and torchvision are in no lock: which build of them fits depends on the machine's GPU.
$(FULL_STAMP): $(DEV_STAMP)
	$(INSTALL) --no-build-isolation --editable '.[gpu]'
	touch $@

# Also names the build's own tool, so that nothing unlocked is installed to build packsight.
LOCK = echo 'setuptools>=65' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--annotation-style line --custom-compile-command 'make lock' pyproject.toml -

lock: | $(BIN)/python
	$(INSTALL) uv
	$(LOCK) --upgrade --extra dev --output-file locks/dev.txt
	$(LOCK) --constraint locks/dev.txt --output-file locks/core.txt
	$(LOCK) --constraint locks/dev.txt --extra worker --extra indexer --extra flower --extra http --output-file locks/services.txt
	$(LOCK) --constraint locks/dev.txt --extra stack --output-file locks/stack.txt

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/packsight demo $(if $(KEEP),--keep) $(if $(COMPARE),--compare)

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(DEV_STAMP)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile tests/unit

# Whole stacks two at a time and after the rest: each takes some gigabytes, and all cores while it works.
test: lint $(FULL_STAMP)
	$(BIN)/python -m pytest --numprocesses 5 --dist loadfile --no-loadscope-reorder -m 'not whole_stack' tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m whole_stack tests/acceptance

coverage: $(FULL_STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests/unit tests/integration
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(FULL_STAMP)
	$(BIN)/python -m bench

SEED ?= 1
PHOTOS ?= 1000
IMAGES ?= 10000
QUEUE ?= 300
N ?= 20000
STANDIN ?=

chaos: $(DEV_STAMP)
	$(BIN)/python -m tests.chaos --seed $(SEED) --photos $(PHOTOS) $(if $(STANDIN),--standin)

fuzz: $(DEV_STAMP)
	$(BIN)/python -m tests.fuzz --seed $(SEED) --count $(IMAGES) --queue $(QUEUE)

soak: $(DEV_STAMP)
	$(BIN)/python -m bench --soak $(N)

audit: $(DEV_STAMP)
	$(INSTALL) uv
	$(BIN)/python -m tests.audit

licences: $(DEV_STAMP)
	$(BIN)/python -m tests.licences

reliability: $(DEV_STAMP)
	$(BIN)/python -m tests.reliability bench-out

ALPHABET ?= cyrillic
WORDS ?=
LINES ?= 400000
HEAD = --name $(ALPHABET) $(if $(WORDS),--list $(WORDS)) --state training-out/$(ALPHABET).pt

# Fonts and dictionaries are Debian packages: docs/models.md names them.
train-alphabet: $(FULL_STAMP)
	$(BIN)/python -m training.alphabet train $(HEAD) --lines $(LINES)
	$(BIN)/python -m training.alphabet finish $(HEAD) --out training-out/$(ALPHABET).npz

canary: $(DEV_STAMP)
	$(BIN)/python -m tests.canary

FROM ?=

compose-test: $(DEV_STAMP)
	$(BIN)/python -m tests.compose $(if $(FROM),--from $(FROM))

clean:
	rm -rf demo-out bench-out training-out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
