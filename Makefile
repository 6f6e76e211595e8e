# What a person types. Everything lands in .venv, .demo and .cache; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test lint bench bench-docs docs lock clean help

help:
	@echo "make setup   a working $(BIN)/moat"
	@echo "make demo    the main job, shown with the real Codex CLI; no key needed"
	@echo "make test    all tests (downloads the Codex CLI once, 167 MB)"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make bench   performance, as ratios measured in one run (bench-docs also writes it down)"
	@echo "make docs    check the documentation against the code"
	@echo "make lock    renew the locked dependencies"
	@echo "make clean   remove $(VENV), .demo and .cache"

setup: $(VENV)/.ready

# The stamp is renewed when what it was made from changes.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) tools/setup_venv.py $(VENV)
	@touch $@

demo: setup
	@$(BIN)/python demo

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m tests.bench

bench-docs: setup
	@$(BIN)/python -m tests.bench --write

docs: setup
	$(BIN)/python -m pytest tests/docs

lock: setup
	@$(BIN)/python tools/lock.py

clean:
	rm -rf $(VENV) .demo .cache
