# Every target creates what it needs: only Python >= 3.11 and make have to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS ?= runs/quickstart
LIBMTL ?= git+https://github.com/median-research-group/LibMTL
LOWEST := tests/datasets tests/analysis tests/cli tests/measure tests/plots tests/record/test_recorder.py tests/record/test_sampled_probes.py tests/store/test_log.py
STUDY ?= matched_loss_gap
FILE ?= study.toml
STUDY_RUNS ?= runs/$(STUDY)
STUDY_OUT ?= analyses/$(STUDY)/results$(addprefix /,$(filter-out study,$(basename $(FILE))))

.PHONY: help figures libmtl-check lowest-test site-check datasets docs study study-test demo page-check gpu-check bench bench-scale bench-light bench-gram bench-coverage bench-store bench-resampling bench-integrations bench-curvature bench-examples bench-view test wheel-check crash-test logs-check lint env clean soak presets-test

help:  ## print the targets and what they do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' Makefile

datasets: env  ## train and record the runs that come with trajlab, anew
	$(BIN)/python examples/packaged_runs/make.py

figures: env  ## draw the pictures of README and site anew, in Chromium (apt-get install chromium)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	MPLBACKEND=agg $(BIN)/python docs/figures/make.py

docs: env  ## build the site into docs/_build/html, offline; every warning and broken link is an error
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	rm -rf docs/_build docs/built docs/api # what is executed depends on code whose changes Sphinx does not see
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

demo: env  ## train on bundled real data, record, analyse, and write the page
	$(BIN)/trajlab quickstart $(RUNS)

study: env  ## train one of analyses/ and evaluate it: STUDY=… names the folder, FILE=paper.toml another of its files
	$(BIN)/trajlab study run analyses/$(STUDY)/$(FILE) --runs $(STUDY_RUNS)
	$(BIN)/python analyses/$(STUDY)/evaluate.py $(STUDY_RUNS) --study analyses/$(STUDY)/$(FILE) --out $(STUDY_OUT)

page-check: demo  ## look at the demo's page and one of 20 tasks in Chromium (apt-get install chromium)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	TRAJLAB_DEMO=$(RUNS) $(BIN)/python -m pytest tests/browser/check_page.py tests/browser/check_view.py

site-check: docs  ## look at the site in Chromium: widths, search, links (apt-get install chromium)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	$(BIN)/python -m pytest tests/browser/check_site.py

bench: env  ## all that has a target, in half an hour: one table with dates in benchmarks/README.md; ONLY=light for a part
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[benchmarks]'
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench $(addprefix --only ,$(ONLY))

gpu-check:  ## on a GPU: the CUDA tests, Gram, curvature and overhead (under 8 minutes); PYTHON=… has a torch with CUDA
	$(PYTHON) -m benchmarks.gpu

bench-scale: env  ## analyses of 1,000 runs and of one long run: CPU seconds and peak memory
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.scale

bench-light: env  ## what probes.light() costs on average
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.light

bench-store: env  ## what recording, reading and merging a run costs, beside other ways
	$(BIN)/python -m benchmarks.store --quick

bench-coverage: env  ## how often intervals hold the truth, and tests find what is not there
	$(BIN)/python -m benchmarks.coverage
	$(BIN)/python -m benchmarks.coverage --write docs/statistics.md
	$(BIN)/python -m benchmarks.coverage --pieces

bench-resampling: env  ## how long permutations and bootstraps take, next to SciPy
	$(BIN)/python -m benchmarks.resampling

bench-curvature: env  ## accuracy of curvature against products and time, beside PyHessian and curvlinops
	$(BIN)/python -m benchmarks.curvature --figure benchmarks/curvature.png

bench-examples: env  ## what gradients of single examples cost, and the check of a few
	$(BIN)/python -m benchmarks.examples

bench-view: env  ## trajlab view of 300 runs in Chromium: seconds until it shows, memory of the server
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.view

bench-integrations: env  ## what recording adds to a step in each framework, next to its own logger
	$(BIN)/python benchmarks/integrations.py

bench-gram: env  ## what recording task gradients costs, beside others; QUICK=--quick takes under 2 minutes
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[benchmarks]'
	$(BIN)/python -m benchmarks.gram $(QUICK) --figure benchmarks/gram.png

test: lint  ## lint, the examples in docstrings, then the whole test suite (two workers)
	$(BIN)/python -m pytest -q --doctest-modules trajlab
	$(BIN)/python -m pytest -n 2 --dist worksteal

# uv alone resolves to the lowest versions; what old packages deprecate is theirs
lowest-test:  ## a central part of the tests, with the lowest versions that pyproject.toml names
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct -e '.[export]' 'pytest>=8.2' 'hypothesis>=6.100'
	.venv-lowest/bin/python -m pytest -W default $(LOWEST)

study-test: env  ## two minutes of translation into two languages (apt-get install libreoffice-help-en-us libreoffice-help-de libreoffice-help-fr)
	TRAJLAB_STUDY=1 $(BIN)/python -m pytest -s -rs tests/study/test_translation.py

presets-test: env  ## light(), paper() and full() on every model of the zoo of single examples, bit for bit
	TRAJLAB_PRESETS=1 $(BIN)/python -m pytest -n 2 tests/record/test_presets.py

wheel-check: env  ## build wheel and sdist, install in empty environments, use it; PYTHONS="3.11 3.13", TORCH=--without-torch
	$(BIN)/python tests/packaging/wheel.py $(TORCH) $(PYTHONS)

crash-test: env  ## kill, tear and refuse the store on a large scale; KILLS=200 for fewer than 1,000 kills
	TRAJLAB_KILLS=$(or $(KILLS),1000) TRAJLAB_INPUTS=$(or $(INPUTS),100000) $(BIN)/python -m pytest -s tests/crash

# after the packages, so that pip neither counts nor changes what .venv has
logs-check: env  ## import logs that MLflow, Aim, trackio, Comet and tensorboardX make, in an environment of their own
	test -x .venv-logs/bin/python || $(BIN)/python -m venv .venv-logs
	.venv-logs/bin/python -m pip install --quiet --disable-pip-version-check mlflow aim trackio comet_ml tensorboardX
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(.venv-logs/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/trajlab.pth"
	PYTHONPATH=. .venv-logs/bin/python -m pytest tests/store/importers/test_packages.py

libmtl-check: env  ## the example for LibMTL, whose releases no present torch runs; LIBMTL=… is where to have it from
	test -x .venv-libmtl/bin/python || $(BIN)/python -m venv .venv-libmtl
	# --no-deps: it asks for torchvision and needs it not; torch_geometric it imports
	.venv-libmtl/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torch_geometric $(LIBMTL) || { echo '$(LIBMTL) cannot be installed: give a clone of LibMTL, make libmtl-check LIBMTL=/path/to/LibMTL' >&2; exit 1; }
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(.venv-libmtl/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/trajlab.pth"
	.venv-libmtl/bin/python -W ignore -c 'import LibMTL.trainer'
	PYTHONPATH=. .venv-libmtl/bin/python -m pytest tests/integration/test_libmtl.py

soak: env  ## record a million steps: memory and cost a step, as docs/soak.svg (half an hour)
	$(BIN)/python -m tests.crash.soak runs/soak --figure docs/soak.svg

lint: env  ## format, docstrings, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

env: $(VENV)/.ready  ## build .venv with the exact set of constraints.txt

clean:  ## remove .venv and what was built
	rm -rf $(VENV) .venv-logs .venv-libmtl build dist *.egg-info

# torch comes first and pinned, so that nothing pulls in another build of it.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("trajlab needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Set-up 1 of 3: torch, the largest part …'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	@echo 'Set-up 2 of 3: trajlab and what its tests need …'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@echo 'Set-up 3 of 3: peers that the tests compare with …'
	# --no-deps: one of them asks for torchvision, which brings another build of torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt curvlinops-for-pytorch einconv einops linear_operator opt_einsum tqdm
	touch $@
