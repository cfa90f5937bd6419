# The front door: `make help` lists everything. All of it runs in .venv and on loopback.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help setup install demo up airflow down test test-python test-server test-cluster lint format reference warehouse lab bench soak bench-alerts lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/ready  ## prepare the environment in .venv, with the command `pulsebook`

# The build of a source of before Python 3.12 needs what pulsebook/local/build says; uv hands PYTHONPATH on to it, pip does not.
INSTALL = PYTHONPATH=$(CURDIR)/pulsebook/local/build $(1) -m uv pip install --quiet --require-hashes --compile-bytecode --python $(1) -r requirements.lock \
	&& $(1) -m uv pip install --quiet --no-deps --no-build-isolation --python $(1) --editable .
FITS = import platform, sys; \
	version, system = platform.python_version(), platform.system(); \
	(3, 11) <= sys.version_info < (3, 14) or sys.exit(f"Python 3.11, 3.12 or 3.13 is needed, found {version} ({sys.executable}): name one, as in `make setup PYTHON=python3.13`"); \
	system == "Linux" or print(f"Pulsebook is tested on Linux, this is {system}: it may not work here", file=sys.stderr)

$(VENV)/ready: requirements.lock pyproject.toml | $(BIN)/uv
	@echo "… preparing $(VENV) from requirements.lock (a minute or two with downloads)"
	@$(call INSTALL,$(BIN)/python)
	@touch $@

$(BIN)/uv:
	@$(PYTHON) -c '$(FITS)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

install:  ## install the same into another environment: make install PYTHON=/opt/airflow/bin/python
	@$(PYTHON) -c '$(FITS)'
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(call INSTALL,$(PYTHON))

demo: setup  ## sample data, the real DAG for yesterday, and what it loaded
	@$(BIN)/python -m pulsebook.local.demo

up: setup  ## all of it for real: live events, Airflow with scheduler and UI, a login; returns when it is well
	@$(BIN)/python -m pulsebook.local.stack up

airflow:  ## a command of the Airflow of `make up`: make airflow ARGS="backfill create --dag-id etl …"
	@$(BIN)/python -m pulsebook.local.stack airflow $(ARGS)

down:  ## stop what `make up` has started
	@test ! -x $(BIN)/python || $(BIN)/python -m pulsebook.local.stack down

# Three workers on two cores: one waits for Airflow most of the time.
PYTEST = $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test: setup  ## run all tests, three files at a time
	@$(PYTEST)

test-python: setup  ## the tests that tell a version of Python from another: server, types, parameters, periods, archive
	@$(BIN)/python -m pytest -m "not slow" $(addprefix tests/test_,local_server.py local_server_clients.py warehouse.py parameters.py periods.py names.py archive.py)

test-server: setup  ## what talks to ClickHouse on a real clickhouse-server (Debian's), one for each worker; clusters, rights, replicas
	@PULSEBOOK_TEST_SERVER=clickhouse-server $(PYTEST) -m "not story" $(addprefix tests/test_,warehouse.py tables.py catalogue.py etl.py etl_catalogue.py reports.py recount.py alerts.py watched.py incidents.py chat.py keys.py servers.py doctor.py try.py operators.py)

test-cluster: setup  ## PostgreSQL, Redis, two Celery workers, an object store: a real cluster on loopback (minutes)
	@$(BIN)/python -m pytest tests/cluster.py

# What JupyterLab writes into a notebook beside what it needs; `.pre-commit-config.yaml` names the same.
LANGUAGE = $(addprefix metadata.language_info.,codemirror_mode file_extension mimetype nbconvert_exporter pygments_lexer version)
STRIP = $(BIN)/nbstripout --extra-keys "$(LANGUAGE) cell.metadata.editable cell.metadata.slideshow"

lint: setup  ## check modules, DAGs and notebooks
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python -m pulsebook check && $(BIN)/lint-imports --no-logo && $(STRIP) --verify $$(git ls-files '*.ipynb')

format: setup  ## format modules, DAGs and notebooks; strip outputs
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format . && $(STRIP) $$(git ls-files '*.ipynb')

reference: setup  ## make the generated parts of docs/reference.md anew
	@$(BIN)/python docs/reference.py

warehouse: setup  ## the embedded warehouse on port 8123, filled at its first start
	@$(BIN)/python -m pulsebook.local.lab --warehouse-only

lab: setup  ## the analysts' JupyterLab, with the embedded warehouse
	@$(BIN)/python -m pulsebook.local.lab

bench: setup  ## the ETL and the reports against the usual way, side by side; the scheduler; a large archive (minutes)
	@for bench in etl recount queries reports pipeline kernels archive; do $(BIN)/python -m tests.bench.$$bench || exit 1; done

soak: setup  ## the embedded warehouse under 500 clients, half of them slow or hostile; 2,000 notebooks through one fork server (half an hour)
	@$(BIN)/python -m tests.server_soak
	@$(BIN)/python -m tests.kernel_soak

bench-alerts: setup  ## the detector on labelled faults, beside four usual rules and two libraries (minutes)
	@$(BIN)/python -m tests.bench.alerts

lock: $(BIN)/uv  ## make requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra local --extra dev --extra cluster pyproject.toml -o requirements.lock

clean:  ## remove the environment, Airflow's home and the embedded data (not the archive)
	rm -rf .venv .local
