# The few verbs of this project; CI (.ci/run) types the same ones. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || echo python3)
UV_VERSION := 0.13.9
VENV := .venv/bin
READY := .venv/.ready
BUILD_BACKEND = $(shell sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml)

.PHONY: help setup system-deps demo check fix test test-slow bench gpu-check size lock clean

help: ## List the verbs
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

setup: $(READY) ## Make the virtual environment .venv with the exact pins of requirements.lock

$(READY): requirements.lock pyproject.toml
	@.ci/setup "$(PYTHON)" "$(UV_VERSION)"
	@touch $@

system-deps: ## Install the Debian packages of packages.txt (as root), or print the command
	@.ci/system-deps

demo: setup ## Turn the built-in loop for five cycles, in ./demo
	$(VENV)/loopwright demo --directory demo

check: setup ## Lint, format, types, layers
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/pyrefly check
	$(VENV)/lint-imports

fix: setup ## Let the linter and the formatter mend what they can
	$(VENV)/ruff check --fix
	$(VENV)/ruff format

test: setup ## Run the tests, the long ones apart, in two halves at once
	@.ci/test

test-slow: setup ## Run the long tests and note the result in docs/LOG.md
	$(VENV)/python tests/slow_log.py

bench: setup ## Measure start-up against its bars; the longer benchmarks are run by name
	$(VENV)/python benchmarks/startup.py

gpu-check: setup ## Show on a machine with GPUs what only a GPU can show; exits 2 where there is none
	$(VENV)/python benchmarks/gpu_check.py

size: ## Show how many lines each part has, and what this branch changes
	@.ci/size

lock: setup ## Resolve requirements.lock anew, keeping the pins that still fit
	printf '%s\n' '$(BUILD_BACKEND)' | UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(VENV)/uv pip compile --quiet \
	  --python-platform linux --python-version 3.11 --extra dev --no-header --annotation-style line \
	  pyproject.toml - --output-file requirements.lock >/dev/null
	sed -E -i '/^(nvidia|cuda|triton)/d; s/\+cpu\b//; /^#/d' requirements.lock
	sed -i "1i # Exact pins of everything that pyproject.toml's dependencies and its dev extra reach (\`make lock\` writes it).\n# torch's CUDA packages are left out on purpose: the installer adds them where it takes torch's CUDA build." requirements.lock

clean: ## Remove what the tools left behind (not .venv, not demo/)
	rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
