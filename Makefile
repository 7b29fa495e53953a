# The ways to build, check and run calltaskd. What takes more than a line is in
# scripts/, so that it works without make as well.

.DEFAULT_GOAL := help

CARGO ?= cargo
# Tests wait more than they compute: for calls to end, for leases to expire.
TEST_THREADS ?= 6

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## The daemon, optimised: target/release/calltaskd
	$(CARGO) build --release --locked

.PHONY: services
services: ## Install and start private PostgreSQL and RabbitMQ; print their URLs
	@scripts/services.sh install
	@scripts/services.sh start
	@scripts/services.sh env

.PHONY: stop
stop: ## End what `make services` or `make demo KEEP=1` left running
	@scripts/demo.sh stop
	@scripts/services.sh stop

.PHONY: demo
demo: ## A day's work in a minute, with simulated calls; KEEP=1 leaves it running
	@KEEP='$(KEEP)' scripts/demo.sh

.PHONY: demo-sip
demo-sip: ## Two hundred calls over SIP, with SIPp as the carrier and the voice agent
	@scripts/with-servers.sh scripts/demo-sip.sh

.PHONY: test
test: ## All tests, on private servers or on those of DATABASE_URL and AMQP_URL
	@RUST_TEST_THREADS=$(TEST_THREADS) scripts/with-servers.sh $(CARGO) test --locked

.PHONY: bench
bench: ## Measure the throughput, as a ratio to what the broker confirms at all
	@scripts/with-servers.sh $(CARGO) bench --locked --bench throughput

.PHONY: load
load: ## 5,000 calls over SIP at once, and 200 a second for a minute, with SIPp at both ends (release build)
	@CALLTASKD_TEST_LOAD=full scripts/with-servers.sh \
		$(CARGO) test --release --locked --test load -- --nocapture --test-threads 1

.PHONY: chaos
chaos: ## Faults drawn from SEED=… for MINUTES=…, and the checker's verdict; CALLEES=… callees; RELEASE=1: optimised
	@CALLTASKD_CHAOS_MINUTES='$(or $(MINUTES),5)' CALLTASKD_CHAOS_SEED='$(or $(SEED),$(shell date +%s))' \
		CALLTASKD_CHAOS_CALLEES='$(CALLEES)' scripts/with-servers.sh \
		$(CARGO) test $(if $(RELEASE),--release) --locked --test chaos -- --nocapture --exact no_promise_is_broken_whatever_falls

.PHONY: switches
switches: ## Each safeguard taken away, to see its promise broken; ONLY=… of them, CONTROL=1: none taken away; SEED=…
	@CALLTASKD_CHAOS_SWITCHES=1 CALLTASKD_CHAOS_SEED='$(SEED)' CALLTASKD_CHAOS_ONLY='$(ONLY)' CALLTASKD_CHAOS_CONTROL='$(CONTROL)' scripts/with-servers.sh \
		$(CARGO) test --locked --test chaos -- --nocapture --exact switches::each_safeguard_turns_its_invariant_red

.PHONY: accept
accept: test bench ## The tests, more restarts, those of a million callees and 10,000 cancels, the bench, and the dependencies' licences, bans and sources
	@echo 'accept: each server restarted three times'
	@CALLTASKD_TEST_RESTARTS=3 scripts/with-servers.sh $(CARGO) test --locked --test restarts
	@echo 'accept: a million callees imported, exported, and exported through a crash'
	@CALLTASKD_TEST_MILLION=1000000 scripts/with-servers.sh \
		$(CARGO) test --release --locked --test million -- --nocapture
	@echo 'accept: a task of a million callees listed, deleted, and removed while another one dials'
	@CALLTASKD_TEST_MILLION=1000000 scripts/with-servers.sh \
		$(CARGO) test --release --locked --test large_tasks -- --nocapture --test-threads 1
	@echo 'accept: 10,000 cancels that race with claims'
	@CALLTASKD_TEST_CANCELS=10000 scripts/with-servers.sh $(CARGO) test --release --locked --test cancel -- --nocapture
	@echo 'accept: an export of a million callees in both formats'
	@CALLTASKD_TEST_EXPORT_ROWS=1000000 scripts/with-servers.sh $(CARGO) test --locked --test exports a_large_export
	@echo 'accept: a thousand calls over SIP that outlive a daemon which is killed'
	@CALLTASKD_TEST_LIVE_CALLS=1000 scripts/with-servers.sh $(CARGO) test --locked --test sip survival -- --nocapture
	@echo 'accept: thousands of calls over SIP'
	@$(MAKE) --no-print-directory load
	@echo 'accept: 20,000 spoilt messages over each transport while a hundred calls are up'
	@CALLTASKD_TEST_MUTATIONS=20000 scripts/with-servers.sh $(CARGO) test --locked --test hostile -- --nocapture
	@echo 'accept: half an hour of faults'
	@$(MAKE) --no-print-directory chaos RELEASE=1 MINUTES=30 CALLEES=200000
	@echo 'accept: each safeguard taken away, and no switch for that in a release build'
	@$(MAKE) --no-print-directory switches
	$(CARGO) test --release --locked --test settings a_release_build_has_no_switch
	@echo 'accept: the dependencies'
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --locked
	$(CARGO) deny check licenses bans sources

.PHONY: fmt
fmt: ## Format the sources
	$(CARGO) fmt

.PHONY: lint
lint: ## Clippy, with warnings as errors
	$(CARGO) clippy --all-targets --locked -- -D warnings

.PHONY: doc
doc: ## The API documentation, with warnings as errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked

.PHONY: check
check: ## What needs no server: format, lint, doc
	$(CARGO) fmt --check
	@$(MAKE) --no-print-directory lint doc
