# SPDX-License-Identifier: Apache-2.0
# Everything that needs an interpreter runs in .venv, which `make install` builds from requirements.lock.
# The official evaluators want an older numpy, so they have an environment of their own, .venv-official.

PYTHON ?= python3.11
BIN := .venv/bin
DEMO := build/demo
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help install op demo test test-slow lint bench compile clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed .venv-official/.installed ## Make the two virtual environments

.venv/.installed: requirements.lock setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	mkdir -p .namespace && ln -sfn .. .namespace/panpipe
	touch $@

.venv-official/.installed: requirements-official.lock
	$(PYTHON) -m venv .venv-official
	.venv-official/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

op: .venv/.installed ## Compile the ops (skipped when it is up to date)
	$(BIN)/python -m panpipe.custom_ops.build

demo: install op ## The whole way on toy data: raw images to official scores and a report
	$(BIN)/panpipe workflow run --output $(DEMO)

test: install op lint ## Lint, types, unit and end-to-end tests
	$(BIN)/pytest -m 'not slow' --numprocesses auto

test-slow: install op ## The tests that train for minutes
	$(BIN)/pytest -m slow

lint: .venv/.installed ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install op ## Time what is our own into one table; ARGS="--only merge --against earlier.json"
	mkdir -p build
	$(BIN)/python tests/benchmarks --json build/benchmarks.json $(ARGS)

compile: install ## Compile the Kubeflow pipeline into manifests/pipeline.yaml
	$(BIN)/panpipe workflow compile

clean: ## Remove what was built, but not the environments
	rm -rf build dist
