# Everything from nothing: `make demo`, `make test`. Override PYTHON to choose the interpreter (>= 3.11).
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
SDK := .venv-sdk
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check --require-virtualenv

.PHONY: demo test test-fast test-sdk soak check bench lock clean

# The runtime only: what a user has after `pip install "coreto[local]"`.
$(VENV)/.runtime: requirements/runtime.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Coreto needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	@test -x $(BIN)/python || { echo "Making the virtual environment …"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing Coreto and what it needs (about 250 MB, once) …"
	@$(BIN)/python $(PIP) -r requirements/runtime.txt
	@$(BIN)/python $(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "Installing the tools of development …"
	@$(BIN)/python $(PIP) -r requirements/dev.txt
	@touch $@

# The official SDKs live apart: they are clients of ours, never a part of us.
$(SDK)/.ready: requirements/sdk.txt
	@test -x $(SDK)/bin/python || $(PYTHON) -m venv $(SDK)
	@$(SDK)/bin/python $(PIP) -r requirements/sdk.txt
	@touch $@

demo: $(VENV)/.runtime
	@$(BIN)/coreto models pull smollm2
	@$(BIN)/coreto --offline ask --explain --model embedded/smollm2 --max-tokens 60 --temperature 0 "Why is the sky blue? One sentence."

test: $(VENV)/.dev test-sdk
	$(BIN)/python -m pytest -n $(JOBS) -m "not soak" tests --ignore=tests/sdk

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not soak" tests/unit tests/simulators tests/contract

test-sdk: $(VENV)/.dev $(SDK)/.ready
	CORETO_PYTHON=$(abspath $(BIN)/python) $(SDK)/bin/python -m pytest tests/sdk

soak: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) -m soak tests --ignore=tests/sdk

check: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/budgets

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/footprint.py
	$(BIN)/python benchmarks/gateway.py
	$(BIN)/python benchmarks/http_clients.py
	$(BIN)/python benchmarks/routing.py tests/unit/routing/held_out_tasks.jsonl
	$(BIN)/python benchmarks/privacy.py tests/unit/routing/privacy_cases.jsonl --held-out
	$(BIN)/python benchmarks/residency.py
	$(BIN)/python benchmarks/runs.py
	$(BIN)/python benchmarks/panel.py

# Resolves the lock files anew. Hashes are checked at installation.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: $(VENV)/.dev
	$(LOCK) pyproject.toml --extra local --output-file requirements/runtime.txt
	$(LOCK) pyproject.toml --extra all --extra dev --output-file requirements/dev.txt
	$(LOCK) requirements/sdk.in --output-file requirements/sdk.txt

clean:
	rm -rf $(VENV) $(SDK) .hypothesis .ruff_cache .import_linter_cache build dist src/*.egg-info
