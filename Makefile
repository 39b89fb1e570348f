# SPDX-License-Identifier: Apache-2.0
# Everything that needs an interpreter runs in .venv, which `make install` builds from requirements.lock.
# The official evaluators are pinned apart from TensorFlow, in an environment of their own, .venv-official.
# `make install PYTHON=python3.12` makes both anew with that interpreter; manifests/environment.sh chooses one otherwise.

BIN := .venv/bin
UV := .uv/bin/uv
DEMO := build/demo
# A stamp carries the name of the interpreter where one is asked for.
STAMP := .installed$(addprefix -,$(notdir $(PYTHON)))
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help install lock op compiler demo test test-slow gpu-check test-containers test-distributed lint bench compile clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/$(STAMP) .venv-official/$(STAMP) ## Make the two virtual environments

$(UV): requirements-uv.lock
	@manifests/environment.sh

.venv/$(STAMP): requirements.lock setup.py pyproject.toml | $(UV)
	@manifests/environment.sh .venv requirements.lock $(PYTHON)
	@$(UV) pip install --quiet --offline --python .venv --no-deps --no-build-isolation --editable .
	@mkdir -p .namespace && ln -sfn .. .namespace/panpipe
	@touch .venv/.installed $@

.venv-official/$(STAMP): requirements-official.lock | $(UV)
	@manifests/environment.sh .venv-official requirements-official.lock $(PYTHON)
	@touch .venv-official/.installed $@

lock: $(UV) ## Pin the dependencies of pyproject.toml; ARGS=--upgrade for the newest
	$(RESOLVE) --extra dev --output-file requirements.lock pyproject.toml $(ARGS)
	$(RESOLVE) --group official --output-file requirements-official.lock $(ARGS)
	mkdir -p build && cat requirements.lock requirements-cuda.lock > build/cuda.lock
	$(RESOLVE) --extra dev --extra cuda --output-file build/cuda.lock pyproject.toml $(ARGS)
	{ echo '# What GPUs need beside requirements.lock; by: make lock'; grep -vxFf requirements.lock build/cuda.lock; } > requirements-cuda.lock

# One lock for every platform and every Python from 3.11; without --upgrade what is pinned stays.
RESOLVE = $(UV) pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate \
  --custom-compile-command 'make lock'

compiler:
	@command -v $${CXX:-g++} >/dev/null || \
	  { echo "make: there is no C++ compiler $${CXX:-g++}. Debian, Ubuntu: sudo apt install g++; CXX names another" >&2; exit 1; }

op: compiler .venv/.installed ## Compile the ops (skipped when it is up to date)
	@$(BIN)/python -m panpipe.custom_ops.build

demo: op install ## The whole way on toy data: raw images to official scores and a report
	$(BIN)/panpipe workflow run --output $(DEMO)

test: op install lint ## Lint, types, unit and end-to-end tests
	$(BIN)/pytest -m 'not slow and not containers and not distributed' --numprocesses auto

test-slow: op install ## The tests that train for minutes
	$(BIN)/pytest -m slow

gpu-check: ## Compare and time the CUDA kernels without TensorFlow (skipped without nvcc)
	@mkdir -p .namespace && ln -sfn .. .namespace/panpipe
	@PYTHONPATH=.namespace $(or $(PYTHON),python3) tests/gpu_check.py $(ARGS)

test-containers: .venv/.installed ## Build the image with podman and run the pipeline in it, as root; says what is missing
	$(BIN)/pytest -m containers -rs tests/containers

test-distributed: install ## The Beam jobs on two workers without a shared disk, under kills; ARGS for pytest (needs Go)
	@tests/distributed/run.sh $(ARGS)

lint: .venv/.installed ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: op install ## Time what is our own into one table; ARGS="--only merge --against earlier.json"
	mkdir -p build
	$(BIN)/python tests/benchmarks --json build/benchmarks.json $(ARGS)

compile: install ## Compile the Kubeflow pipeline into manifests/pipeline.yaml
	$(BIN)/panpipe workflow compile

clean: ## Remove what was built, but not the environments
	rm -rf build dist
