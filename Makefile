# What a person types. Everything lands in .venv, .demo and .cache; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test mutations soak fuzz lint bench bench-docs docs filters lock clean help

help:
	@echo "make setup      a working $(BIN)/moat"
	@echo "make demo       the main job, shown with the real Codex CLI; no key needed"
	@echo "make test       all tests (downloads the Codex CLI once, 167 MB)"
	@echo "make mutations  every guard is switched off once, and some attack must succeed then"
	@echo "make soak       mixed, hostile traffic through a real proxy for minutes (SECONDS=300 SEED=…)"
	@echo "make fuzz       what is nearly right, in more cases than the tests take (CASES=20000 SEED=…)"
	@echo "make lint       ruff, mypy, import-linter"
	@echo "make bench      performance, as ratios measured in one run (bench-docs also writes it down)"
	@echo "make docs       check the documentation against the code"
	@echo "make lock       renew the locked dependencies"
	@echo "make clean      remove $(VENV), .demo and .cache"

setup: $(VENV)/.ready

# The stamp is renewed when what it was made from changes.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) tools/setup_venv.py $(VENV)
	@touch $@

demo: setup
	@$(BIN)/python demo

test: setup
	$(BIN)/python -m pytest

mutations: setup
	@$(BIN)/python -m tests.mutations

SECONDS ?= 300
soak: setup
	@$(BIN)/python -m tests.soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

CASES ?= 20000
fuzz: setup
	MOAT_FUZZ_CASES=$(CASES) MOAT_FUZZ_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/fuzz --timeout 0

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m tests.bench

bench-docs: setup
	@$(BIN)/python -m tests.bench --write

# What a start has no time to compile.
filters: setup
	@$(BIN)/python -m moat.runtimes.sandbox.seccomp > .filters.new
	@mv .filters.new src/moat/runtimes/sandbox/filters.py

docs: setup
	$(BIN)/python -m pytest tests/docs

lock: setup
	@$(BIN)/python tools/lock.py

clean:
	rm -rf $(VENV) .demo .cache
