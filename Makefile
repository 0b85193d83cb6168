# `make` lists the verbs. `make run` and `make test` need only Rust and install everything else themselves.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
# The place for a redis-server that is not on the PATH (see deploy/dev-setup).
TOOLS := $(TARGET)/tools
export PATH := $(TOOLS)/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

# The product and the yardsticks for its benchmarks.
CRATES := Cargo.toml $(wildcard bench/*/Cargo.toml)
# Arguments for `make run` and `make bench`: make run ARGS='--listen 127.0.0.1:9000'
ARGS ?=
# How many tests run at the same time. Many of them only wait for time to pass.
TESTS_AT_ONCE ?= $(shell expr 2 '*' $$(nproc))
# How many mutants `make check` tries; `make mutants` tries all.
MUTANTS_IN_CHECK ?= 3
# How long failures are injected in each history of `make test-slow`; `make test` takes three seconds.
HISTORY_SECONDS ?= 60

.PHONY: help
help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install the missing programs for all verbs, and list the existing ones
	@deploy/dev-setup --tools $(TOOLS) run test lint --report

.PHONY: run
run: ## Start the service on 127.0.0.1:8080, data in ./leaseq-data
	@deploy/dev-setup --tools $(TOOLS) run
	@cargo build --locked --bin leaseq
	@printf '\nTry, from a second terminal:\n\n'
	@sed -n 's,\$$url,localhost:8080,g; s,^\(curl\|LEASE\),  \1,p' openapi/examples/curl/quickstart.sh
	@printf '\n'
	@exec cargo run --quiet --locked --bin leaseq -- serve $(ARGS)

.PHONY: test
test: ## Run all tests except the slow ones
	@deploy/dev-setup --tools $(TOOLS) run test
	@if cargo nextest --version >/dev/null 2>&1; \
		then cargo nextest run --locked --test-threads $(TESTS_AT_ONCE) && cargo test --locked --doc; \
		else cargo test --locked; fi
	@python3 -m unittest discover --quiet --start-directory bench/measure --top-level-directory bench
	@python3 tests/mutants_test.py
	@python3 tests/prose_test.py
	@python3 tests/rooms_test.py
	@python3 tests/mutants.py --check

.PHONY: test-slow
test-slow: ## Run the slow tests: those marked #[ignore = "slow: …"], and longer histories
	@deploy/dev-setup --tools $(TOOLS) run test
	@if cargo nextest --version >/dev/null 2>&1; \
		then cargo nextest run --locked --run-ignored only --profile slow --no-tests pass; \
			LEASEQ_HISTORY_SECONDS=$(HISTORY_SECONDS) cargo nextest run --locked --test it --profile slow histories::; \
		else cargo test --locked --lib --bins --tests -- --ignored; \
			LEASEQ_HISTORY_SECONDS=$(HISTORY_SECONDS) cargo test --locked --test it histories::; fi

.PHONY: check
check: ## Run what CI runs: lint, test, docs, deny, some mutants
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory docs
	@$(MAKE) --no-print-directory deny
	@python3 tests/mutants.py --rotate $(MUTANTS_IN_CHECK)

.PHONY: lint
lint: ## Check formatting, clippy, luacheck, prose and imports, with warnings denied
	@deploy/dev-setup --tools $(TOOLS) run lint
	@for manifest in $(CRATES); do cargo fmt --manifest-path $$manifest -- --check; done
	@luacheck --quiet src/store/lua src/store/ops
	@cargo clippy --locked --all-targets -- -D warnings
	@python3 tests/prose.py
	@python3 tests/rooms.py

.PHONY: fmt
fmt: ## Format the code
	@for manifest in $(CRATES); do cargo fmt --manifest-path $$manifest; done

.PHONY: deny
deny: ## Check bans, licences and sources of dependencies, if cargo-deny is installed
	@if cargo deny --version >/dev/null 2>&1; \
		then cargo deny --locked check bans licenses sources; \
		else echo 'skipped: cargo-deny is not installed (cargo install cargo-deny --locked)'; fi

.PHONY: docs
docs: ## Build the crate's documentation, and check README, docs and alerts
	@RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items --quiet
	@python3 tests/links.py
	@python3 tests/readme.py
	@python3 tests/alerts.py

.PHONY: openapi
openapi: ## Write openapi/openapi.json from the code
	@cargo run --quiet --locked --bin leaseq -- openapi > $(TARGET)/openapi.json
	@cp $(TARGET)/openapi.json openapi/openapi.json

.PHONY: bench
bench: ## Measure and print the table of budgets
	@deploy/dev-setup --tools $(TOOLS) run test
	@bench/run $(ARGS)

.PHONY: mutants
mutants: ## Break the code line by line (tests/mutants.toml) and check that tests fail
	@deploy/dev-setup --tools $(TOOLS) run test
	@python3 tests/mutants.py $(ARGS)

.PHONY: image
image: ## Build the container image
	@docker build --tag leaseq .
