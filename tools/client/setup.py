"""The `checkpassword` program alone, as the distribution authd-client: `pip install ./tools/client`."""

import re
from pathlib import Path

from setuptools import setup

AUTHD = Path(__file__).resolve().parent.parent.parent / "authd" / "__init__.py"
VERSION = re.search(r'^__version__ = "(.+)"$', AUTHD.read_text(encoding="utf-8"), re.MULTILINE)
assert VERSION is not None

setup(
    name="authd-client",
    version=VERSION[1],
    description="Asks authd whether a name and a password are right, for Apache, Dovecot and djb-style callers",
    license="MIT",
    python_requires=">=3.11",
    py_modules=["checkpassword"],
    package_dir={"": ".."},
    install_requires=["PyJWT>=2.10", "cryptography>=44"],
    entry_points={"console_scripts": ["checkpassword = checkpassword:main"]},
)
