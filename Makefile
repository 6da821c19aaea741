# make demo: set up .venv, then train, render and segment a procedural scene -> output/demo/report.html
# make test: set up .venv, then lint and test
# Variables: PYTHON (used to make .venv), PIP_ARGS (e.g. an index of CPU-only torch), DEMO_ARGS, TEST_ARGS.

PYTHON ?= python3
PIP_ARGS ?=
DEMO_ARGS ?=
TEST_ARGS ?=
STAMP := .venv/.installed

.PHONY: demo test clean

demo: $(STAMP)
	.venv/bin/python examples/demo.py $(DEMO_ARGS)

test: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --dist loadfile $(TEST_ARGS)

$(STAMP): requirements.txt requirements-dev.txt submodules/ndraster/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "error: $(PYTHON) is older than 3.10; run: make PYTHON=/path/to/python3.10"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --upgrade pip
	.venv/bin/python -m pip install $(PIP_ARGS) -r requirements.txt -r requirements-dev.txt
	touch $(STAMP)

clean:
	rm -rf .venv .pytest_cache .ruff_cache
