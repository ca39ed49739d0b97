# The only front door: `make help` lists what there is. Everything runs inside this directory; `make clean` removes it.

.DEFAULT_GOAL := help
.PHONY: help up setup test lint format types imports check coverage compiled conformance fidelity test-compiled faults approvals-property slow-approval kill-switch live-agents bench bench-console pictures demo docs wheel compose-test clean
SHELL := bash

PYTHON ?= python3
UV := $(shell command -v uv || echo .uv/bin/uv)
UV_VERSION := 0.13.8
BIN := .venv/bin
COMPILED := approvals e2e gateway governance mcp_proxy pipeline sessions
PACKAGES := approvals console gateway governance mcp_proxy pipeline sessions wicket
WORKERS ?= 3
ARGS ?=

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

up: .venv/.installed ## set up on the first run, then run both proxies until Ctrl-C
	@exec $(BIN)/wicket up $(ARGS)

setup: .venv/.developing ## install everything that developing needs

test: .venv/.developing .fidelity/installed ## run the tests; ARGS='tests/wicket -k up' runs some of them
	@WICKET_TEST_POSTGRES=$$(.ci/prepare) && export WICKET_TEST_POSTGRES && \
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(ARGS)

coverage: .venv/.developing .fidelity/installed ## run the tests and measure the branches they take
	@WICKET_TEST_POSTGRES=$$(.ci/prepare) && export WICKET_TEST_POSTGRES && \
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --cov --cov-branch --cov-report=term $(ARGS)

compiled: .compiled/.installed ## install Wicket with its hot path compiled, in .compiled/venv

test-compiled: .compiled/.installed ## run the tests of what is compiled, on the compiled distribution
	@rm -rf .compiled/run && mkdir .compiled/run && cp -r tests docs pyproject.toml .compiled/run
	@WICKET_TEST_POSTGRES=$$(.ci/prepare) && export WICKET_TEST_POSTGRES && cd .compiled/run && \
	../venv/bin/python -c "from governance import jsontree as it; assert it.__file__.endswith('.so'), it.__file__" && \
	../venv/bin/pytest -n $(WORKERS) --dist loadgroup $(or $(ARGS),$(addprefix tests/,$(COMPILED)))

lint: .venv/.developing ## look at style and at common mistakes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: .venv/.developing ## write everything in the one style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: .venv/.developing ## check types, strictly
	$(BIN)/pyright

imports: .venv/.developing ## check that imports run down only
	$(BIN)/lint-imports

check: lint types imports coverage conformance ## everything that must hold before a change is taken

conformance: .venv/.developing ## run the official MCP conformance suite with and without Wicket, and write docs/conformance.md
	@$(BIN)/python -m tests.conformance $(ARGS)

fidelity: .venv/.developing .fidelity/installed ## compare direct with proxied traffic, frame by frame, and nothing else
	$(BIN)/pytest -n 0 tests/fidelity $(ARGS)

faults: .venv/.developing ## kill both processes under load, 200 times or WICKET_KILLS times, and hold the log to what happened
	@WICKET_KILLS=$${WICKET_KILLS:-200} $(BIN)/pytest tests/e2e/test_faults.py --durations=1 \
	  -o log_cli=true --log-cli-level=INFO $(ARGS)

approvals-property: .venv/.developing ## take 100,000 random steps with approvals in two racing processes, on each database; WICKET_APPROVAL_SEED=N again
	@WICKET_TEST_POSTGRES=$$(.ci/prepare) && export WICKET_TEST_POSTGRES && \
	WICKET_APPROVAL_STEPS=$${WICKET_APPROVAL_STEPS:-100000} $(BIN)/pytest -n 0 tests/approvals/property --durations=2 \
	  -o log_cli=true --log-cli-level=INFO $(ARGS)

slow-approval: .venv/.developing ## let the person decide after 90 seconds (WICKET_PERSON_SECONDS), with official clients in their default settings
	@WICKET_PERSON_SECONDS=$${WICKET_PERSON_SECONDS:-90} $(BIN)/pytest tests/e2e/test_approval_clients.py --durations=1 $(ARGS)

kill-switch: .venv/.developing ## kill a run with 500 calls in flight on both proxies, and write the figures into docs/kill-switch.md
	@WICKET_IN_FLIGHT=$${WICKET_IN_FLIGHT:-500} WICKET_KILL_PAGE=docs/kill-switch.md \
	  $(BIN)/pytest tests/e2e/test_kill_load.py --durations=1 $(ARGS)

live-agents: tests/live/node_modules/.installed ## run real agents from npm (1 GB) through both proxies: each run is one session
	@$(BIN)/pytest -n 0 tests/live $(ARGS)

bench: .compiled/.installed ## measure, and write docs/benchmarks.md
	@.ci/prepare tools wrk:wrk nginx:nginx-light
	.compiled/venv/bin/python -m bench $(ARGS)

bench-console: .venv/.developing ## ask every page of the console over 100,000 sessions and two million events; write docs/console.md
	@WICKET_TEST_POSTGRES=$$(.ci/prepare) && export WICKET_TEST_POSTGRES && \
	$(BIN)/python -m bench.console --out docs/console.md $(ARGS)

demo: .venv/.developing ## play the whole story with real parts; ARGS=--manual waits for you to click
	$(BIN)/python -m demo $(ARGS)

pictures: .venv/.developing ## take the pictures in docs/images of an installation that works
	@.ci/prepare >/dev/null && $(BIN)/python -m tests.pictures

docs: .venv/.developing ## write docs/config.md, docs/cli.md, docs/api.md and docs/capabilities.md anew from the code
	$(BIN)/python -c "from pathlib import Path; from wicket.manual import write; write(Path('docs'))"
	$(BIN)/python -m tests.capabilities

wheel: .venv/.developing ## build the distribution, install it in an empty environment, and run its commands
	.ci/wheel "$(UV)"

compose-test: .venv/.developing ## build the image, bring the compose file up with podman, and use it
	.ci/compose-test $(ARGS)

clean: ## remove what was built; your configuration and records stay
	rm -rf .venv .uv .bench .compiled .conformance tests/live/node_modules .demo .fidelity dist build .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- environments ------------------------------------------------------------------------------------------------------
# Everything is compiled at once, on all cores. Otherwise both proxies compile the same at their first start, and again
# at every start where Python was told to write no bytecode.

.uv/bin/uv:
	@echo "bringing uv into .uv" >&2
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.installed: pyproject.toml uv.lock | $(UV)
	@$(UV) sync --frozen --quiet --no-dev --inexact --compile-bytecode
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

.venv/.developing: pyproject.toml uv.lock | $(UV)
	@$(UV) sync --frozen --quiet --compile-bytecode
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@ .venv/.installed

.fidelity/installed: tests/fidelity/sdk/package.json tests/fidelity/sdk/package-lock.json | .venv/.developing
	@$(BIN)/python -m tests.fidelity.sdk
	@touch $@

tests/live/node_modules/.installed: tests/live/package-lock.json | .venv/.developing
	@$(BIN)/python -m tests.live
	@touch $@

.compiled/.installed: pyproject.toml uv.lock .ci/compile $(shell find $(PACKAGES) -name '*.py') | $(UV)
	@.ci/prepare tools gcc:gcc
	@.ci/compile "$(UV)" $(PACKAGES)
	@touch $@
