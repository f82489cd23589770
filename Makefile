# Two commands do all the set-up: "make demo" and "make test". Both need Python 3.10 or newer and nothing else.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
FUZZ_SECONDS ?= 600

.PHONY: demo test lint types docs versions messages attacks fuzz tools clean

demo: .venv/demo.stamp          ## the ticket shop behind the gate; make demo ARGS="--crowd 200"
	@$(BIN)/admitgate demo $(ARGS)

test: .venv/test.stamp tools    ## the tests; make test ARGS="-k embedded"
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/test.stamp          ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test.stamp         ## types
	$(BIN)/mypy

docs: .venv/docs.stamp          ## the documentation as a site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

versions: .venv/versions.stamp  ## the quick tests with every version of everything that is to be had here
	$(BIN)/tox run $(ARGS)

# Nobody needs Babel but who changes the words: what it makes is committed, and Python reads it by itself.
LOCALE := admitgate/locale
messages: .venv/languages.stamp ## the catalogues anew, after a change of words.py or of a translation
	$(BIN)/pybabel -q extract --omit-header --no-location --no-wrap -o $(LOCALE)/admitgate.pot admitgate/words.py
	$(BIN)/pybabel -q update --no-wrap --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date \
		-D admitgate -i $(LOCALE)/admitgate.pot -d $(LOCALE)
	$(BIN)/pybabel compile --statistics -D admitgate -d $(LOCALE)

attacks: .venv/test.stamp       ## the list of attacks on real servers, as a table; uWSGI where it builds
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uwsgi 2>/dev/null || \
		echo "uWSGI doesn't build here (apt install gcc python3-dev): its cases are left out"
	$(BIN)/python -m pytest -q tests/attacks $(ARGS)

fuzz: .venv/fuzz.stamp          ## ten minutes for each target; make fuzz FUZZ_SECONDS=60
	@mkdir -p .fuzz && cd .fuzz && for target in tokens paths cookies answers; do \
		echo "== $$target"; mkdir -p $$target; \
		../$(BIN)/python ../tests/fuzz/atheris_fuzz.py $$target -max_total_time=$(FUZZ_SECONDS) \
			-verbosity=0 -print_final_stats=1 $$target ../tests/fuzz/corpus/$$target || exit 1; done

clean:                          ## everything that can be made again
	rm -rf .venv .fuzz build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
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
