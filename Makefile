# Two commands do all the set-up: "make demo" and "make test". Both need Python 3.10 or newer and nothing else.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: demo test lint types tools clean

demo: .venv/demo.stamp          ## the ticket shop behind the gate; make demo ARGS="--crowd 200"
	@$(BIN)/admitgate demo $(ARGS)

test: .venv/test.stamp tools    ## the tests; make test ARGS="-k embedded"
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/test.stamp          ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test.stamp         ## types
	$(BIN)/mypy

clean:                          ## everything that can be made again
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f examples/django_site/db.sqlite3*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/%.stamp: setup.cfg pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "admitgate needs Python 3.10 or newer, and '$(PYTHON)' is not that: make $* PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv is missing: apt install python3-venv (Debian, Ubuntu)"; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || { echo "Setting up .venv, once ..."; $(PYTHON) -m venv --clear .venv; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# Which tests need more than Python, and what brings it. Where CI is set, a missing tool fails its tests.
tools: .venv/test.stamp
	@$(BIN)/python -c 'from admitgate.embedded import find_server; print("Redis:", find_server())' 2>/dev/null || \
		echo "Redis: missing, so the tests that need one are skipped. apt install redis-server"
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		command -v $$name >/dev/null && { echo "Browser: $$(command -v $$name)"; exit 0; }; done; \
		echo "Browser: missing, so the tests that drive one are skipped. apt install chromium"
