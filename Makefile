# Everything a developer does here. `make run` and `make test` need nothing installed but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := run
.PHONY: run serve test check judges format lock bench soak clean

# What the developers' tools bring along could hide what the runtime lacks: tests/journey/test_installed.py has a
# venv of its own for that.
$(VENV)/.runtime: requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

## run: start everything in one process, with the demo releases, at http://localhost:8080
run: $(VENV)/.runtime
	@$(BIN)/python main.py run --demo

## serve: start what syndicator.toml configures
serve: $(VENV)/.runtime
	@$(BIN)/python main.py run

## test: every test, some ten minutes on two cores
test: $(VENV)/.dev
	@$(PYTEST) -n 2 --dist worksteal $(ARGS)

## judges: install other people's feed readers and axe-core (Node.js 18 or newer), which some tests run
judges: tests/judges/node_modules/.package-lock.json

tests/judges/node_modules/.package-lock.json: tests/judges/package-lock.json
	@cd tests/judges && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

## check: format, lint, types and the floors of the house
check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-cache

## format: bring the code into its one form
format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

## lock: resolve again what pyproject.toml asks for, with hashes: the runtime, with many machines, of developers, of the image's build
lock: $(VENV)/.dev
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra cluster -c requirements.lock pyproject.toml -o requirements-cluster.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev -c requirements-cluster.lock pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements-build.in -o requirements-build.lock

## bench: measure, as ratios to a peer or a limit in the same run
bench: $(VENV)/.dev
	@$(BIN)/python -m tests.bench

## soak: the long runs, such as kill -9 at twenty random moments, and 10,000 people told over Telegram
soak: $(VENV)/.dev
	@$(BIN)/python -m tests.killing
	@$(BIN)/python -m tests.soak
	@$(BIN)/python -m tests.cluster.takeover
	@$(BIN)/python -m tests.faulty.killing
	@$(BIN)/python -m tests.faulty.killing --any
	@$(BIN)/python -m tests.faulty.outage
	@TEST_TIMES=20 $(PYTEST) -n 2 --dist worksteal tests/whole tests/faulty/test_failpoints.py tests/faulty/test_lines.py tests/faulty/test_ticks.py

clean:
	rm -rf $(VENV) var .mypy_cache .ruff_cache .import_linter_cache
