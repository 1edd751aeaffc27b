# The vocabulary of this project. Every target does its own set-up; a second run is quick.
#
#   make run      build, then start a server with two accounts and show mail moving (Ctrl-C stops it)
#   make test     build, then all tests: Rust, Python, real clients, kill tests
#   make lint     formatting, lints, types, layers
#   make build    a release build as .venv/bin/ironpost
#   make soak     the crash, power-loss, fault and model tests in their long forms (SOAK_SECONDS each at most)
#   make bench    the benchmarks, beside Postfix + Dovecot where their packages can be had
#   make fuzz     the fuzz targets, longer (FUZZ_SECONDS=60 each)
#   make wheel    dist/*.whl

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: build run test test-rust test-py soak lint bench fuzz wheel clean

VENV := .venv
PY := $(VENV)/bin/python
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -not -path '*/target/*' -o -name Cargo.toml -not -path '*/target/*' 2>/dev/null)

build: $(VENV)/.built

$(VENV)/.tools: scripts/setup.sh pyproject.toml
	scripts/setup.sh build
	touch $@

$(VENV)/.built: $(VENV)/.tools pyproject.toml $(RUST_SOURCES)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/maturin develop --release --quiet
	touch $@

run: build
	@$(VENV)/bin/ironpost quickstart

test: test-rust test-py

test-rust: $(VENV)/.tools
	cargo test --workspace --locked --exclude ironpost-py -q

test-py: build
	scripts/setup.sh test
	# Apart: sockets that mail clients leave to the collector would count as unclosed in a unit test of the same process.
	$(VENV)/bin/pytest tests/unit -n 2 --dist loadfile
	$(VENV)/bin/pytest tests -n 2 --dist loadfile --ignore tests/unit

# The long forms of what `make test` runs in short (docs/durability.md); each starts from a seed that it prints.
SOAK_SECONDS ?= 7200
SOAK_SEED ?= $(shell date +%s)
SOAK_RUST := timeout $(SOAK_SECONDS) cargo test -p ironpost-store --locked

soak: export IRONPOST_CRASH_ROUNDS = 300
soak: export IRONPOST_POWER_ROUNDS = 100
soak: export IRONPOST_POWER_SEED = $(SOAK_SEED)
soak: export IRONPOST_FAULTS = all
soak: export IRONPOST_MODEL_OPERATIONS = 100000
soak: export IRONPOST_MODEL_SEED = $(SOAK_SEED)
soak: export IRONPOST_STOP_ROUNDS = 50
soak: export IRONPOST_STOP_SEED = $(SOAK_SEED)
soak: export PROPTEST_CASES = 2000
soak: export IRONPOST_CHURN_DAYS = 30
soak: export IRONPOST_CHURN_DELIVERIES = 2000
soak: build
	@echo "soak: seed $(SOAK_SEED)"
	$(SOAK_RUST) --test write_crash --test write_model --test damage
	$(SOAK_RUST) --test processes -- --nocapture
	$(SOAK_RUST) --test power_loss -- --nocapture
	$(SOAK_RUST) --test churn -- --nocapture
	scripts/setup.sh test
	timeout $(SOAK_SECONDS) $(VENV)/bin/pytest tests/crash -n 0

lint: build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(VENV)/bin/ruff format --check python tests benches scripts
	$(VENV)/bin/ruff check python tests benches scripts
	$(VENV)/bin/mypy
	$(PY) scripts/check_layers.py
	$(PY) scripts/check_licences.py
	$(PY) scripts/check_rfc_refs.py

bench: build
	scripts/setup.sh bench
	$(PY) benches/store/run.py --quick
	$(PY) benches/run.py

fuzz: $(VENV)/.tools
	scripts/fuzz.sh

wheel: $(VENV)/.tools
	$(VENV)/bin/maturin build --release --locked --out dist

clean:
	rm -rf target dist $(VENV) .mypy_cache .ruff_cache .pytest_cache
