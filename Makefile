# Everything runs from a virtual environment of its own. Needs only Python (3.11 or newer) and Terraform.

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo dashboard lint unit test test-all test-slow test-end-to-end test-others test-safety package documentation soak bench mutation clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*[#]# ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (once; about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.13, for example")'
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

install: $(STAMP) ## Make the virtual environment

demo: $(STAMP) ## Show the main job on local AWS, without an AWS account (PICTURE=docs/images/plan.svg draws its plan)
	@PYTHONPATH=tests $(RUN) -m demo $(if $(PICTURE),--picture $(PICTURE))

dashboard: $(STAMP) ## Draw the dashboard of CloudWatch, as two weeks on local AWS would show it, into docs/images
	@PYTHONPATH=tests $(RUN) -m dashboard_picture docs/images/dashboard.svg

lint: $(STAMP) ## ruff, mypy --strict and terraform fmt
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@terraform fmt -check -recursive

unit: $(STAMP) ## The fast tests only, with coverage
	@$(RUN) -m pytest tests/unit tests/integration --numprocesses=2 --cov --cov-report=term

test: lint ## Everything: lint, unit, integration, compliance and end to end (about twenty-five minutes on two cores)
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-end-to-end test-others test-safety

# Each in a process of its own, since a local AWS owns the clock and moto of its process. One after the other: with
# several applies at once the provider waits too long for an answer, asks again, and finds that the thing exists.
test-end-to-end: $(STAMP)
	@echo "Tests, end to end:"
	@$(RUN) -m pytest tests/end_to_end -m "not slow" --ignore=tests/end_to_end/test_live_usage.py --durations=5
	@echo "Tests, live usage end to end:"
	@$(RUN) -m pytest tests/end_to_end/test_live_usage.py -m "not slow" --durations=5

# Coverage makes tests a third slower, and those of Terraform or local AWS have nothing to cover.
COVERED := tests/unit tests/integration tests/cli

test-others: $(STAMP)
	@echo "Tests of the code, with coverage:"
	@$(RUN) -m pytest $(COVERED) -m "not timed" --cov --cov-report=term --durations=5
	@echo "Tests, all others:"
	@$(RUN) -m pytest -m "not slow and not timed" $(COVERED:%=--ignore=%) --ignore=tests/end_to_end --ignore=tests/safety --durations=10
	@echo "Tests, how long things take:"
	@$(RUN) -m pytest -m timed --ignore=tests/end_to_end --ignore=tests/safety --durations=3

test-safety: $(STAMP)
	@echo "Tests, safety:"
	@$(RUN) -m pytest tests/safety --durations=3

test-all: test test-slow ## Everything, and what takes longest: each permission taken away one by one, every example applied

test-slow: $(STAMP)
	@echo "Tests, slow ones:"
	@$(RUN) -m pytest tests/end_to_end -m slow --durations=5
	@$(RUN) -m pytest -m slow --ignore=tests/end_to_end --durations=5

STEPS  ?= 100000
INPUTS ?= 1000000
SEED   ?= 1
LIVE   ?= both
LENGTH ?=

soak: $(STAMP) ## Safety, for as long as you like: STEPS of the state machine (LIVE usage on, off or both; stories of one LENGTH, or of many) and INPUTS of the fuzz, from SEED on
	@cd tests && ../$(RUN) -W error -m safety.soak --steps $(STEPS) --inputs $(INPUTS) --seed $(SEED) --live $(LIVE) $(LENGTH:%=--length %)

package: ## The package of the functions and its checksum, into build/
	@mkdir -p build
	@$(PYTHON) lambda_src/build.py build/ecr-cleanup.zip
	@$(PYTHON) -c 'import hashlib; print(hashlib.sha256(open("build/ecr-cleanup.zip", "rb").read()).hexdigest() + "  ecr-cleanup.zip")' >build/SHA256SUMS
	@cat build/SHA256SUMS

documentation: $(STAMP) ## The tables of inputs and outputs in the READMEs
	@PYTHONPATH=tests $(RUN) -m documentation.generate

AWSLABS ?=
PARTS   ?=

bench: $(STAMP) ## What sweeps, checks and decisions cost; into docs/benchmarks.md (PARTS, such as 1000/1000; AWSLABS=PATH compares with awslabs/ecr-cleanup-lambda)
	@PYTHONPATH=tests $(RUN) -m bench $(PARTS) $(if $(AWSLABS),--awslabs $(AWSLABS))

mutation: $(STAMP) ## How many small changes to the code that decides the tests notice (some two hours)
	@cd tests && ../$(RUN) -m mutation

clean: ## Remove what the targets above made
	@rm -rf $(VENV) build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis lambda_src/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
