# Everything goes through cargo; these are the commands worth a name.

# Where rustup puts cargo, for shells that do not know it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: prerequisites
prerequisites: ## Check for a C compiler, libclang and PostgreSQL's programs; install what is missing
	@sh scripts/prerequisites.sh

.PHONY: demo
demo: prerequisites ## Migrate and verify systems/bitstockerz on a throwaway server
	$(CARGO) build --release --package cutover-cli
	@exec $(TARGET)/release/cutover demo

.PHONY: demo-spark
demo-spark: prerequisites ## Simulate systems/spark on a throwaway server: 300 users for 75 seconds, and whether everything held
	$(CARGO) build --release --package spark-simulator
	@mkdir -p $(TARGET)/demo
	@exec $(TARGET)/release/spark-simulator --users 300 --seconds 75 --report $(TARGET)/demo/spark.html

.PHONY: test
test: prerequisites lint ## Lint, then run every test, also those in documentation
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    set -x; $(CARGO) nextest run --workspace --all-features; \
	else \
	    set -x; $(CARGO) test --workspace --all-features --lib --bins --tests --examples; \
	fi
	$(CARGO) test --workspace --all-features --doc

.PHONY: test-majors
test-majors: prerequisites ## Run the tests that need a server on every PostgreSQL named in CUTOVER_TEST_PG_BINS, or installed
	$(CARGO) run --package xtask -- test-majors

.PHONY: lint
lint: prerequisites ## Check formatting, run clippy and build the documentation; any warning fails
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-features --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --all-features --no-deps

FUZZ_TARGETS ?= splitter effects text configuration conventions connection
FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz: prerequisites ## Run each of FUZZ_TARGETS for FUZZ_SECONDS
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo 'make fuzz needs cargo-fuzz: cargo install cargo-fuzz' >&2; exit 1; }
	@command -v c++ >/dev/null 2>&1 || { echo 'make fuzz needs a C++ compiler (g++ or clang++)' >&2; exit 1; }
	@set -e; for target in $(FUZZ_TARGETS); do \
	    echo "fuzzing $$target"; \
	    mkdir -p fuzz/corpus/$$target; \
	    RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=4096 -close_fd_mask=0; \
	done

.PHONY: bench
bench: prerequisites ## Measure against the floors and the other tools
	$(CARGO) run --release --package xtask -- bench
