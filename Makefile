# Two commands do everything on a fresh Debian or Ubuntu machine, set-up included: make bench, make test.

RUNS ?= 4
# Comma-separated, such as runc,gvisor,youki; empty: runC, gVisor and Kata, as far as they can run here (on machines of
# their own: runC and Kata).
RUNTIMES ?=
RTLAB = .venv/bin/rtlab

.PHONY: bench test check fast-tests local-tests vm-tests demo setup teardown clean lock

bench: setup  ## Set up, create the testbed, run RUNS blocks, report, remove the testbed (KEEP=1 keeps it).
	RUNS="$(RUNS)" RUNTIMES="$(RUNTIMES)" KEEP="$(KEEP)" .ci/bench

test: setup  ## Lint, types, fast tests, and the tests with real Docker on this machine.
	.ci/test

check: setup  ## Format, lint and types only.
	.ci/check

fast-tests: setup
	.venv/bin/pytest

local-tests: setup
	.venv/bin/pytest -m "local and not slow"

vm-tests: setup  ## The whole path on emulated machines; takes up to 40 minutes.
	.ci/vm

demo: setup  ## A simulated campaign and its report: no root, no VM, no network.
	.ci/demo

setup:
	.ci/setup

teardown:
	$(RTLAB) teardown

lock:  ## Write requirements.lock anew from pyproject.toml; it names no index.
	.ci/lock

clean: teardown
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
