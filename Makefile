# Two commands do everything on a fresh Debian or Ubuntu machine, set-up included: make bench, make test.

RUNS ?= 3
RTLAB = .venv/bin/rtlab
# Windows of 10 s, 512 MiB for Bonnie++ and up to 5 containers keep the main job within ten minutes on two cores; the
# figures are real, and the report names every parameter that differs from the study's.
QUICK = --set cpu.window_s=10 --set memory.window_s=10 --set network.window_s=10 --set io.size_mb=512 \
        --set 'memory.containers=[1,2,5]'

.PHONY: bench test check fast-tests local-tests vm-tests demo setup teardown clean lock

bench: setup  ## Set up, create the testbed, run RUNS blocks, report, remove the testbed (KEEP=1 keeps it).
	RUNS="$(RUNS)" QUICK="$(if $(filter 3,$(RUNS)),$(QUICK))" KEEP="$(KEEP)" .ci/bench

test: setup  ## Lint, types, fast tests, and the tests with real Docker on this machine.
	.ci/test

check: setup  ## Format, lint and types only.
	.ci/check

fast-tests: setup
	.venv/bin/pytest

local-tests: setup
	.venv/bin/pytest -m local

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
