"""How callsheet is built: the repository root is the import package `callsheet`.

`package_dir` maps the package to this folder and its rooms to the folders in it, so no nested
source folder is needed (docs/adr/0001). Two things follow. The rooms are listed by name, so tests,
benchmarks and docs can never slip into a wheel; and of the modules beside this one only
`__init__` and `__main__` are part of the package, which `RoomsOnly` sees to.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent

ROOMS = [
    "jobs",
    "messages",
    "wire",
    "conf",
    "store",
    "actors",
    "agentd",
    "webui",
    "client",
    "cli",
]

# What of the root's own modules belongs to the package; setup.py itself does not.
ROOT_MODULES = {"__init__", "__main__"}


class RoomsOnly(build_py):
    """A `build_py` that leaves setup.py and its like out of the package."""

    def find_package_modules(self, package, package_dir):
        """Return (package, module, file) of a package's modules, of the root only its own."""
        found = super().find_package_modules(package, package_dir)
        if package != "callsheet":
            return found
        return [module for module in found if module[1] in ROOT_MODULES]


def version():
    """Return the version that `__init__.py` states, without importing it."""
    text = (HERE / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE).group(1)


def packages():
    """Return every package by name: the root, the rooms, and the packages inside the rooms."""
    inside = find_packages(str(HERE), include=[*ROOMS, *(f"{room}.*" for room in ROOMS)])
    return ["callsheet", *(f"callsheet.{name}" for name in sorted(inside))]


NOTIFY = ["apprise>=1.9,<3"]

STORAGE = ["fsspec>=2024.6"]  # with it, whatever file system a URL needs: s3fs, gcsfs, adlfs

TEST = [
    *NOTIFY,
    *STORAGE,
    "cryptography>=42",  # makes certificates for the tests
    "aiosmtpd>=1.4.6,<2",  # a mail server for the tests
    "pytest>=8.3,<10",
    "pytest-xdist>=3.6,<4",
    "pytest-rerunfailures>=15,<17",
    "hypothesis>=6.100,<7",
    "playwright>=1.48,<2",
    "axe-playwright-python>=0.1.4,<0.2",  # brings axe-core, which judges the console's pages
    "requests>=2.32,<3",  # what Apsis's own client speaks, for the tests of the contract
    "schemathesis>=4.32,<5",  # asks the API all that its description allows, and more
    "websockets>=13",
    "jsonschema>=4.20,<5",  # judges jobs by the schema that is shipped for editors
    "setuptools>=77",  # builds the wheel that the packaging tests open
]

SSH = ["fabric>=3.2,<4"]

RELEASE = ["uv>=0.9,<1", "pip-audit>=2.10,<3"]  # write locks, ask for advisories

setup(
    name="callsheet",
    version=version(),
    description="A job scheduler for teams that replaces cron and its kin",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    package_dir={"callsheet": "."},
    packages=packages(),
    include_package_data=False,
    package_data={
        # The demo's jobs travel with the package: `callsheet demo` runs from a wheel too.
        "callsheet": ["py.typed", "examples/jobs/**/*", "examples/calendars/*"],
        "callsheet.store": ["migrations/*.sql"],
        "callsheet.cli": ["names.txt"],
        "callsheet.conf": ["*.yaml", "*.json"],
        "callsheet.webui": ["static/**/*"],
    },
    install_requires=[
        "pykka>=4.5,<5",  # one module uses its private inbox hook; a contract test guards it
        "pyzmq>=27,<28",
        "msgspec>=0.20,<1",
        "msgpack>=1.1,<2",
        "tornado>=6.5.5,<7",  # earlier ones have open security advisories
        "PyYAML>=6.0.2,<7",
        "APScheduler>=3.11,<4",
        "jinja2>=3.1.6,<4",  # earlier ones let templates out of the sandbox
        "cronsim>=2.7,<3",
        "tzdata",
        "psutil>=6",
        "backports.zstd; python_version<'3.14'",
        "prometheus_client>=0.20",
        "click>=8.1,<9",
        "rich>=13",
        "markdown-it-py>=3",
        "nh3>=0.2.18",
        "watchfiles>=1,<2",
        "holidays>=0.60",
    ],
    extras_require={
        "apsis": ["brotli>=1.1,<2"],
        "notify": NOTIFY,
        "storage": STORAGE,
        "ssh": SSH,
        "test": TEST,
        "release": RELEASE,
        "conda": ["py-rattler-build>=0.60,<1"],  # builds the conda package
        # What ADR 0010 measures Tornado against; nothing of callsheet imports it.
        "bench": ["starlette>=1.0,<2", "uvicorn[standard]>=0.40,<1"],
        "dev": [
            *TEST,
            "ruff>=0.17,<0.18",  # a newer one brings new rules; taken on purpose, not by surprise
            "mypy>=2.4,<3",
            "types-PyYAML",
            "types-psutil",
        ],
    },
    entry_points={
        "console_scripts": [
            "callsheet = callsheet.cli.people:main",
            "callsheetctl = callsheet.cli.administrators:main",
            "callsheet-agentd = callsheet.agentd.daemon:main",
        ],
    },
    cmdclass={"build_py": RoomsOnly},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Environment :: Web Environment",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Typing :: Typed",
    ],
)
