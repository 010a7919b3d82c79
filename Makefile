# `make run` and `make test` are the two commands a newcomer needs; each does all that is missing.

.DEFAULT_GOAL := help
SHELL := /bin/sh
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
SUITE ?= suites/quickstart.toml

# cargo finds the libtorch of `make libtorch` through .cargo/config.toml; an empty LIBTORCH must not hide it.
ifeq ($(strip $(LIBTORCH)),)
unexport LIBTORCH
endif

.PHONY: help libtorch build run test gpu-check slurm-check browser fmt lint bench scale fuzz kills damage doc schema example clean tools components bench-peers

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo "  Variables: LIBTORCH=/path (use that libtorch), CUDA=1|cu126|cu128 (install with GPU libraries), SUITE=file.toml (for run)"

libtorch: ## Install libtorch into .libtorch/ with pip, once (CUDA=1 for a GPU, cu126 or cu128 for older drivers)
	@scripts/libtorch.sh

build: tools libtorch ## Build target/release/am-eval
	$(CARGO) build --release --locked

run: build ## Run the quickstart suite on embedded models and data
	$(TARGET_DIR)/release/am-eval run $(SUITE)

# One profile (dev) serves all of it, so that torch-sys, which compiles for minutes, is paid for once.
test: tools libtorch fmt lint doc ## Check format, lints and docs, and run the tests with and without libtorch
	$(CARGO) test --locked --no-default-features
	$(CARGO) test --locked

gpu-check: build ## Check parity, repeatability, speed and failures on a GPU beside PyTorch (small on a CPU)
	@BINARY=$(TARGET_DIR)/release/am-eval scripts/gpu_check.sh

slurm-check: build ## Run examples/slurm.sh on a real Slurm of one node (needs root; installs slurm-wlm and munge)
	@BINARY=$(TARGET_DIR)/release/am-eval scripts/slurm_check.sh

browser: tools ## Open reports in Chromium: accessibility, behaviour, no network (needs node and chromium)
	@CARGO=$(CARGO) scripts/browser.sh

fmt: components
	$(CARGO) fmt --all -- --check

lint: components libtorch ## Run clippy with and without libtorch
	$(CARGO) clippy --locked --no-default-features --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc: libtorch ## Build the library's documentation
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

bench: tools libtorch ## Run the benchmarks
	$(CARGO) bench --locked

bench-peers: build ## Measure am-eval beside torchattacks, Foolbox, adversarial-library and AutoAttack (DATA=folder of CIFAR-10)
	@BINARY=$(TARGET_DIR)/release/am-eval scripts/bench_peers.sh

scale: tools ## Measure report and gate on 5 million records
	$(CARGO) test --locked --release --no-default-features --test gate_scale -- --ignored --nocapture

fuzz: tools ## Run libFuzzer on every reader of files (SECONDS=60 for each)
	fuzz/run.sh $(or $(SECONDS),60)

kills: build ## Kill a run a hundred times, resume it, and compare every byte
	scripts/kills.py --program $(TARGET_DIR)/release/am-eval

damage: build ## Change a byte or field of each file of a finished run, and ask four commands whether they notice
	scripts/damage.py --program $(TARGET_DIR)/release/am-eval

schema: ## Write suites/suite.schema.json from the code
	@$(CARGO) run --locked --quiet --no-default-features -- schema > suites/suite.schema.json.partial
	@mv suites/suite.schema.json.partial suites/suite.schema.json

example: build ## Make the example run in reports/example again
	scripts/example.sh $(TARGET_DIR)/release/am-eval

clean: ## Remove build products (libtorch stays; `rm -r .libtorch` removes it)
	$(CARGO) clean

tools:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust 1.89 or later (rustup)" >&2; exit 1; }
	@command -v $${CXX:-c++} >/dev/null || { echo "a C++ compiler is missing (Debian and Ubuntu: apt install g++)" >&2; exit 1; }

components:
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 \
	  || rustup component add rustfmt clippy \
	  || { echo "rustfmt or clippy is missing: rustup component add rustfmt clippy" >&2; exit 1; }
