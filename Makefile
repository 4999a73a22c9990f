# callsheet's own commands. `make demo` and `make test` do all their own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint types format venv browser tools bench sim sweep chaos fuzz survive partition docs sbom audit \
    advisories locks locked image conda clean

# Where the demo listens and keeps its files; which benchmarks; how many seeds from which on, in how
# many processes; which part of the sweep; for how long which chaos; how many kills under how many
# live jobs (JOBS once more) and which instants; for how long the network is away; whether
# advisories that could not be asked for are a failure; how many cases of each kind of fuzzing, and
# in which file their sums are.
BIND ?= 127.0.0.1:5000
DIR ?= callsheet-demo
ONLY ?=
RUNS ?=
SEEDS ?= 1000
PART ?= 1
SECONDS ?= 120
BLOWS ?=
RELOADS ?=
LATE ?=
START ?= 0
TALLY ?=
KINDS ?=
TIMES ?=
KILLS ?= 100
JOBS ?=
SEED ?= 1
MINUTES ?= 10
N ?= 1000000
TESTS ?=
STRICT ?=
# Tests wait as often as they work: with three workers a core none is left idle.
WORKERS ?= 6

VENV := .venv
PYTHON_IN := $(VENV)/bin/python
READY := $(VENV)/.ready
ROOMS := jobs messages wire conf store actors agentd webui client cli

help:  ## this list
	@echo "usage: make TARGET [NAME=VALUE …]"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

demo: $(READY)  ## run a server with example jobs and the console: BIND=127.0.0.1:5000 DIR=callsheet-demo
	@exec $(VENV)/bin/callsheet demo --bind $(BIND) --dir $(DIR)

# Compiled files are kept, though images of CI often say that Python is to keep none: each of the
# some hundred processes that tests start, and each worker, would compile everything anew.
# The first time one process compiles the tests for all workers, each of which loads all of them.
test: $(READY) browser tools  ## run all tests, or some: TESTS="tests/jobs -k cron"
	@test -d tests/__pycache__ || env -u PYTHONDONTWRITEBYTECODE $(PYTHON_IN) -m pytest --collect-only -qq \
	    >/dev/null 2>&1 || true
	@env -u PYTHONDONTWRITEBYTECODE $(PYTHON_IN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(READY) .typing types  ## check style, format and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@MYPYPATH=.typing $(PYTHON_IN) -m mypy -p callsheet
	@MYPYPATH=.typing:.typing/bench $(PYTHON_IN) -m mypy --explicit-package-bases .typing/bench

# The console's modules are plain JavaScript with their types in comments. Where Node is, TypeScript
# judges them; where it is not, or TypeScript cannot be had, that is said and the rest goes on.
TYPESCRIPT := typescript@>=5.9 <6
types:
	@if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then \
	    echo "no Node was found: the types of the console's modules are not checked"; exit 0; \
	fi; \
	if [ ! -x .node/node_modules/.bin/tsc ] && ! npm install --prefix .node --no-save --silent \
	    --no-audit --no-fund --fetch-retries=0 --fetch-timeout=30000 "$(TYPESCRIPT)" >/dev/null 2>&1; then \
	    echo "TypeScript could not be installed: the types of the console's modules are not checked"; \
	    exit 0; \
	fi; \
	if [ -e .node/checked ] && [ -z "$$(find tests/browser/tsconfig.json webui/static -newer .node/checked)" ]; then \
	    exit 0; \
	fi; \
	.node/node_modules/.bin/tsc -p tests/browser/tsconfig.json && touch .node/checked

venv: $(READY)  ## build .venv with everything that the other targets use
	@echo "$(VENV) is ready: $$($(PYTHON_IN) --version)"

bench: $(READY)  ## measure what is promised: ONLY=P1,P2 RUNS=3
	@$(PYTHON_IN) bench/run.py $(if $(ONLY),--only $(ONLY)) $(if $(RUNS),--runs $(RUNS))

sim: $(READY)  ## run the whole system on virtual time under faults: SEEDS=1000 START=0 JOBS=2
	@$(PYTHON_IN) tests/simulation/run.py --seeds $(SEEDS) --start $(START) $(if $(JOBS),--jobs $(JOBS))

sweep: $(READY)  ## sweep schedules against every minute near each change of the clocks: PART=1
	@$(PYTHON_IN) tests/sweep/sweep.py --part $(PART)

chaos: $(READY)  ## kill, stop and lie to every process of a real server: SECONDS=120 RUNS=1000 SEED=1
	@$(PYTHON_IN) tests/chaos/run.py --seconds $(SECONDS) --runs $(or $(RUNS),1000) --seed $(SEED) \
	    $(if $(BLOWS),--blows $(BLOWS)) $(if $(RELOADS),--reloads $(RELOADS)) $(if $(LATE),--late $(LATE)) \
	    $(if $(KINDS),--kinds $(KINDS)) $(if $(TIMES),--times $(TIMES)) $(if $(ONLY),--only "$(ONLY)")

fuzz: $(READY)  ## send a server, an agent and a checker what nobody should: N=1000000 START=0 SEED=1 ONLY=wire,rest,socket,files,spool,… TALLY=FILE
	@$(PYTHON_IN) tests/fuzz/fuzz.py --number $(N) --start $(START) --seed $(SEED) $(if $(ONLY),--only $(ONLY)) \
	    $(if $(TALLY),--tally $(TALLY))

survive: $(READY)  ## kill agentd, and keepers, again and again under live jobs: KILLS=100 JOBS=200 SEED=1
	@CALLSHEET_SURVIVE_KILLS=$(KILLS) CALLSHEET_SURVIVE_JOBS=$(or $(JOBS),200) CALLSHEET_SURVIVE_SEED=$(SEED) \
	    $(PYTHON_IN) -m pytest tests/agentd/test_survival.py

partition: $(READY)  ## cut agents off a real server, and give them a bad network, for so long: MINUTES=10
	@export CALLSHEET_PARTITION_MINUTES=$(MINUTES); test="$(PYTHON_IN) -m pytest tests/system/test_partition.py"; \
	$$test -k cuts & cuts=$$!; $$test -k behind; wait $$cuts

docs: $(READY)  ## write anew the docs that are generated from the code
	@$(PYTHON_IN) docs/generate.py

sbom: $(READY)  ## print what an installation is made of, as CycloneDX
	@$(PYTHON_IN) packaging/sbom.py

audit: $(READY) advisories  ## hold every installed file, and vendored ones, against its checksum; advisories too
	@$(PYTHON_IN) packaging/sbom.py --verify --extra dev --extra ssh
	@$(PYTHON_IN) -m callsheet.webui.vendor

# Fails on an advisory that advisories.toml does not know. That nobody could be asked is told and is
# no failure, for a network that is away is no fault of the code, unless STRICT=yes.
advisories: $(READY)  ## ask what is known against the versions in the locks: STRICT=yes
	@$(INSTALL_RELEASE) || { echo "advisories were NOT looked up: pip-audit could not be installed"; \
	    test -z "$(STRICT)"; exit; }; \
	status=0; $(PYTHON_IN) packaging/advisories.py || status=$$?; \
	case $$status in 0) ;; 2) test -z "$(STRICT)";; *) exit $$status;; esac

locks: $(READY)  ## write anew the versions and checksums that an exact installation has
	@$(INSTALL_RELEASE)
	@$(PYTHON_IN) packaging/locks.py --renew
	@git --no-pager diff --stat -- packaging/locks 2>/dev/null || true

locked: $(READY)  ## install by the locks into a new environment; find wheels for every Python and processor
	@$(INSTALL_RELEASE)
	@$(PYTHON_IN) packaging/locks.py --fits
	@packaging/install_locked.sh --try

clean:  ## remove all that make has made here, except the demo's files
	rm -rf $(VENV) .node .typing .mypy_cache .ruff_cache .pytest_cache .hypothesis .bench build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python that is new enough and whole: a name may be found and yet not run (version
# managers), and Debian's python3 has no ensurepip until python3-venv is there.
define FIND_PYTHON
fits='import sys, venv, ensurepip, sqlite3, ssl; sys.exit(sys.version_info < (3, 11))'; \
find_python() { \
    for name in $${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do \
        if command -v "$$name" >/dev/null 2>&1 && "$$name" -c "$$fits" >/dev/null 2>&1; then \
            echo "$$name"; return; \
        fi; \
    done; \
}; \
python=$$(find_python); \
if [ -z "$$python" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
    echo "no Python 3.11+ with venv was found: installing Debian's" >&2; \
    apt-get update -qq && apt-get install -qq -y --no-install-recommends python3 python3-venv >&2 || true; \
    python=$$(find_python); \
fi; \
if [ -z "$$python" ]; then \
    echo "make: no Python 3.11 or newer with venv and ensurepip was found: install one" \
        "(Debian: python3 python3-venv) or name it: make venv PYTHON=/path/to/python3" >&2; \
    exit 1; \
fi
endef

# Where buildah and podman are. BASE and the other names are told in docs/containers.md.
BASE ?= python:3.13-slim
image:  ## build the container images by buildah, and have podman run them: BASE=python:3.13-slim
	@BASE="$(BASE)" packaging/container/build.sh
	@$${PYTHON:-python3} packaging/container/try_images.py

# Without a channel, packages that are made of what is installed here stand in for conda-forge's.
CHANNEL ?=
conda: $(READY)  ## build the conda package by its recipe, and run its tests: CHANNEL=conda-forge
	@$(PYTHON_IN) -c "import rattler_build" 2>/dev/null \
	    || $(PYTHON_IN) -m pip install --quiet --disable-pip-version-check --editable ".[conda]"
	@$(PYTHON_IN) packaging/try_conda.py $(CHANNEL)

# What only releases need is installed when it is first asked for. A network that swallows what is
# sent holds nobody up for longer than a minute or two.
INSTALL_RELEASE = $(PYTHON_IN) -c "import uv, pip_audit" 2>/dev/null \
    || timeout 300 $(PYTHON_IN) -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 20 \
        --editable ".[release]"

# The stamp is newer than setup.py only when everything in setup.py has been installed. Rooms are
# read from this folder, so a change of code needs no new install.
$(READY): setup.py
	@$(FIND_PYTHON); \
	if ! $(PYTHON_IN) -c "$$fits" >/dev/null 2>&1; then \
	    echo "building $(VENV) with $$("$$python" --version)"; \
	    rm -rf $(VENV); "$$python" -m venv $(VENV); \
	fi; \
	$(PYTHON_IN) -m pip install --quiet --disable-pip-version-check --editable ".[dev,ssh]"
	@touch $@

# Type checkers find `callsheet` by these links: they cannot see an editable install of a package
# whose root is the repository, and must not walk the repository itself.
.typing: FORCE
	@mkdir -p .typing/callsheet
	@for name in __init__.py py.typed $(ROOMS); do ln -sfn ../../$$name .typing/callsheet/$$name; done
	@ln -sfn ../bench .typing/bench

# Browser tests need a Chromium. Where one can be installed it is; where not, the tests say so
# themselves: they skip on a developer's machine and fail where CI=true.
browser:
	@for name in chromium chromium-browser google-chrome; do \
	    if command -v $$name >/dev/null 2>&1; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "no Chromium was found: installing Debian's for the browser tests"; \
	    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	        apt-get install -qq -y --no-install-recommends chromium >/dev/null; then exit 0; fi; \
	fi; \
	echo "no Chromium was found and none could be installed: the browser tests will not run" \
	    "(they are skipped here, and fail where CI=true)"

# What tests take faults, cgroups, other users and hosts to log in to from: each a program and its
# Debian package.
TOOLS := linux.uml=user-mode-linux strace=strace sudo=sudo sshd=openssh-server ssh-keygen=openssh-client /lib/systemd/systemd=systemd
tools:
	@PATH=$$PATH:/usr/sbin; missing=""; \
	for tool in $(TOOLS); do \
	    command -v "$${tool%%=*}" >/dev/null 2>&1 || missing="$$missing $${tool##*=}"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "installing Debian's$$missing for the tests"; \
	    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	        apt-get install -qq -y --no-install-recommends $$missing >/dev/null; then exit 0; fi; \
	fi; \
	echo "not found, and could not be installed:$$missing: the tests that need them will not run" \
	    "(they are skipped here, and fail where CI=true)"

FORCE:
