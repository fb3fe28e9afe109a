"""Fixtures for every layer: one embedded PostgreSQL for the run, one migrated template, a clone of it for each test."""

import asyncio
import inspect
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg2
import pytest

from authd.embedded import EmbeddedPostgres
from authd.sql.database import Credentials, Database
from authd.sql.migrate import migrate
from tests import long_runs

_numbers = itertools.count()

hypothesis.settings.register_profile("authd", deadline=None)  # an example may wait for a busy machine
hypothesis.settings.load_profile("authd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="fail where a peer is not installed, instead of skipping")
    parser.addoption("--long", action="store_true", help="also what takes minutes")
    parser.addoption("--write-pages", action="store_true", help="write the pages of docs/reference that these tests make")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--all"):
        os.environ["AUTHD_TEST_ALL"] = "1"
    if config.getoption("--long"):
        os.environ["AUTHD_TEST_LONG"] = "1"
    config.addinivalue_line("markers", "peer(name, ...): the programs of others that a test in tests/peers runs")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if said := long_runs.write():
        terminalreporter.write_line(said)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs `async def` tests on a loop of their own, except those that pytest-tornado's marker claims."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or pyfuncitem.get_closest_marker("gen_test"):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running cluster, for the whole run, that does not wait for the disk."""
    folder = Path(tempfile.mkdtemp(prefix="authd-test-", dir="/tmp"))
    folder.chmod(0o755)
    careless = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"]
    server = EmbeddedPostgres(folder, settings=careless)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody is connected to."""
    _administer(postgres, "CREATE DATABASE template_authd OWNER authd")

    async def prepare() -> None:
        database = Database(Credentials(postgres.url("template_authd")))
        try:
            await migrate(database)
        finally:
            database.close()

    asyncio.run(prepare())
    return "template_authd"


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The URL of a fresh migrated database."""
    yield from _clone(postgres, template)


@pytest.fixture(scope="module")
def module_database_url(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The URL of a migrated database that the tests of a module share."""
    yield from _clone(postgres, template)


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a database without any schema of ours."""
    yield from _clone(postgres, "template1")


def _clone(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE {template} OWNER authd")
    try:
        yield server.url(name)
    finally:
        _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server: EmbeddedPostgres, statement: str) -> None:
    connection: Any = psycopg2.connect(server.url("postgres", "postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
