# Two commands need nothing but python3 (3.11 or newer, with venv): `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9
PIP_AUDIT_VERSION := 2.10.1
ARGS ?=
export UV_COMPILE_BYTECODE := 1
export UV_NO_CONFIG := 1
unexport VIRTUAL_ENV
# without compiled files every process compiles our code, and the asserts of all tests, anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test check ui serve bench audit licences gpu-kit clean
help:  ## what can be done here
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

run: .venv/installed  ## train, compare and register every architecture: make run ARGS="--dataset digits"
	@$(BIN)/modelyard run $(ARGS)

test: .venv/installed  ## format, lint, types, tests (the first three beside the tests): make test ARGS="tests/laws"
	@$(MAKE) --no-print-directory check & checks=$$!; \
	$(BIN)/pytest -n $$(expr $$(nproc) + 1) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS); \
	tests=$$?; wait $$checks && exit $$tests

check: .venv/installed  ## the same without the tests
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

ui: .venv/installed  ## MLflow and Prefect in the browser
	@$(BIN)/modelyard ui

serve: .venv/installed  ## the released models over HTTP: make serve ARGS="--model mnist --workers 2"
	@$(BIN)/modelyard serve $(ARGS)

bench: .venv/installed  ## where the time of a whole run goes: make bench ARGS="--dataset mnist --preset standard"
	@$(BIN)/python benchmarks/pipeline.py $(ARGS)

audit: .venv/installed  ## known vulnerabilities of the locked packages, where an advisory service can be reached
	@$(BIN)/python benchmarks/audit.py $(BIN)/uv tool run --quiet --from pip-audit==$(PIP_AUDIT_VERSION) pip-audit $(ARGS)

licences: .venv/installed  ## write docs/licences.md
	@$(BIN)/python benchmarks/licences.py

gpu-kit: .venv/installed  ## .gpu/: what python -m benchmarks.gpu needs on a machine without network
	@$(BIN)/python -m benchmarks.gpu.kit .gpu

clean:  ## remove the environment (never the store in mlruns/)
	rm -rf .venv

.venv/installed: requirements.lock pyproject.toml
	@echo "modelyard: creating .venv with $$($(PYTHON) --version); the first time downloads about 3 GB and takes minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "modelyard: installing the pinned packages of requirements.lock"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
