# The few commands a person types. `make` alone lists them.

VENV ?= .venv
PYTHON ?= python3 python3.13 python3.12 python3.11 python
JOBS ?= 2
WORKERS ?= 3
BIN = $(VENV)/bin

# From nothing each time: it takes seconds, and Sphinx repeats no warning of a page it did not read.
BUILD_SITE = rm -rf _build/html _build/.doctrees && \
	$(BIN)/jupyter-book build . -W --keep-going --quiet || { echo \
	"Correct what each WARNING names, in the source (.md) of that page. In a notebook, \
	line 90004 is line 4 of cell 9; run 'make notebooks' after it."; exit 1; } && \
	$(BIN)/python -m tools.editions build && \
	$(BIN)/python -m tools.site check
STEPS = style types site check
WHERE = $(if $(COURSE),--course "$(COURSE)") # of the coursework

.PHONY: help book serve pdf zip notebooks editions experiments release grade feedback grades test $(STEPS) processors package format hooks bench lock clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1|\2/' \
		| awk -F'|' '{ printf "  %-16s %s\n", $$1, $$2 }'

book: $(VENV)/book.stamp ## build the site into _build/html
	@$(BUILD_SITE)
	@echo "The site is built. Open it in a browser: file://$(CURDIR)/_build/html/index.html"

serve: $(VENV)/book.stamp ## open the site and rebuild it when a file changes
	$(BIN)/jupyter-book config sphinx .
	PYTHONPATH=book/_ext $(BIN)/sphinx-autobuild . _build/serve --open-browser --port 0 \
		--re-ignore '/(\.[^/]+|_build|[^/]+\.egg-info|__pycache__)(/|$$)'

pdf: $(VENV)/pdf.stamp ## print the site as one PDF, with contents and links (needs a Chromium, takes minutes)
	@$(BUILD_SITE)
	@$(BIN)/python -m tools.site pdf $(ONLY)

zip: $(VENV)/book.stamp ## pack the site into one file, to be read without a network
	@$(BUILD_SITE)
	@$(BIN)/python -m tools.site zip

notebooks: $(VENV)/test.stamp ## run the notebooks that changed and write their twins (ALL=1: run all; ONLY=03: one)
	@$(BIN)/python -m tools.notebooks run $(if $(ALL),--all) $(ONLY)

editions: $(VENV)/test.stamp ## bring the translations in line with the sources, and say what they lack (ONLY=03: run one)
	@$(BIN)/python -m tools.editions update
	@$(BIN)/python -m tools.editions run $(if $(ALL),--all) $(ONLY)
	@$(BIN)/python -m tools.editions check || true

experiments: $(VENV)/test.stamp ## do the runs that the tables of experiments lack (ONLY=name, JOBS=2, DEVICE=cuda)
	@$(BIN)/python -m rnncourse.experiments run $(ONLY) --jobs $(JOBS) $(addprefix --device ,$(DEVICE))

# Only what was typed: many systems set LANGUAGE, to what gettext wants of it.
release: IN = $(if $(findstring command,$(origin LANGUAGE)),$(LANGUAGE))
release: $(VENV)/test.stamp ## make the students' notebooks of the problem sets (SET=03: one; LANGUAGE=es)
	@$(BIN)/python -m $(if $(IN),tools.editions release $(IN),rnncourse.grading $(WHERE) release) $(SET) $(if $(IN),$(WHERE))

grade: $(VENV)/test.stamp ## grade a folder of submissions: make grade SET=03 FROM=submissions (DRY=1: say whose is what)
	@$(BIN)/python -m rnncourse.grading $(WHERE) grade $(SET) $(FROM) $(if $(DUE),--due "$(DUE)") $(if $(DRY),--dry-run)

feedback: $(VENV)/test.stamp ## write the students' feedback: make feedback SET=03
	@$(BIN)/python -m rnncourse.grading $(WHERE) feedback $(SET)

grades: $(VENV)/test.stamp ## write all grades to grades.csv (WIDE=1: one line per student)
	@$(BIN)/python -m rnncourse.grading $(WHERE) export $(if $(WIDE),--wide)

test: $(VENV)/test.stamp ## test everything: style, types, site, package, notebooks, links, browser
	@failed=; for step in $(STEPS); do \
		echo "== make $$step"; \
		$(MAKE) --no-print-directory $$step || failed="$$failed $$step"; \
	done; \
	if [ -n "$$failed" ]; then echo "make test: failed in:$$failed (see above)"; exit 1; fi

style: $(VENV)/test.stamp ## check the style of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check . || { echo "Run 'make format'."; exit 1; }

types: $(VENV)/test.stamp ## check the types
	$(BIN)/mypy

site: $(VENV)/test.stamp ## build the site; a warning is an error
	@$(BUILD_SITE)

# A file at a time, the longest ones (notebooks) first, so that no worker waits at the end. One thread
# for each worker: with more, they wait for each other. One worker more than a small machine has
# cores, since a third of the time a worker waits: for a browser, a kernel or a clock.
check: export OMP_NUM_THREADS = 1
check: export MKL_NUM_THREADS = 1
check: $(VENV)/test.stamp ## run pytest: package, doctests, notebooks, rules of the book, pages in a browser
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

processors: $(VENV)/test.stamp ## run the notebooks with fewer vector instructions and with other threads (ONLY=03: one)
	@$(BIN)/python -m tools.processors $(if $(UNDER),--under "$(UNDER)") $(ONLY)

package: $(VENV)/release.stamp ## build the package, install it into empty environments, test it there (VERSIONS=oldest)
	@$(BIN)/python -m tools.package build
	@$(BIN)/python -m tools.package test $(VERSIONS)

format: $(VENV)/test.stamp ## put the code into the common form
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

hooks: $(VENV)/test.stamp ## check style and twins before each commit
	$(BIN)/pre-commit install

bench: $(VENV)/test.stamp ## measure the layers against torch.nn and write the page with the table
	$(BIN)/python -m rnncourse.bench --output book/benchmarks.md

lock: $(VENV)/test.stamp ## bring constraints.txt in line with pyproject.toml (UPGRADE="numpy torch": with newer ones)
	$(BIN)/pip install --quiet uv
	cp constraints.txt constraints.new
	$(BIN)/uv pip compile --universal --python-version 3.11 --all-extras --no-header --no-annotate --quiet \
		$(addprefix --upgrade-package ,$(UPGRADE)) --output-file constraints.new pyproject.toml
	grep -vE '^(nvidia|cuda|triton)' constraints.new > constraints.txt # PyTorch itself pins these
	rm constraints.new

clean: ## remove what was built (not .venv)
	rm -rf _build book/package conf.py .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp is older than the lists of requirements when these changed: pip then installs again.
$(VENV)/%.stamp: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing the requirements of '$*' into $(VENV). The first time this takes minutes."
	@$(BIN)/pip install --quiet -c constraints.txt -e ".[$*]"
	@touch $@ $(if $(filter test,$*),$(VENV)/book.stamp $(VENV)/pdf.stamp) # 'test' contains both

$(BIN)/pip:
	@for python in $(PYTHON); do \
		$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || continue; \
		$$python -c 'import ensurepip, venv' 2>/dev/null || { \
			echo "$$python lacks the module venv. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }; \
		exec $$python -m venv $(VENV); \
	done; \
	echo "Python 3.11, 3.12 or 3.13 is needed, and none was found among: $(PYTHON)."; \
	echo "If it is elsewhere, name it: make book PYTHON=/path/to/python3"; exit 1
