"""The embedded PostgreSQL as its users meet it: started once for all of them, stopped by the last."""

import os
import stat
from pathlib import Path

import psycopg2
import pytest

from authd.embedded import EmbeddedPostgres
from authd.errors import ConfigError


def answers(server: EmbeddedPostgres) -> bool:
    try:
        psycopg2.connect(server.url()).close()
    except psycopg2.OperationalError:
        return False
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == "root" and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    if os.getuid() != 0:
        tmp_path.chmod(0o755)
    return tmp_path / "data"


def test_the_last_user_stops_it_and_the_next_start_keeps_everything(folder: Path) -> None:
    first, second = EmbeddedPostgres(folder), EmbeddedPostgres(folder)
    first.start()
    second.start()
    with psycopg2.connect(first.url()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 1 AS one")
    connection.close()
    first.stop()
    assert answers(second)
    second.stop()
    assert not answers(second)
    second.start()
    try:
        with psycopg2.connect(second.url()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT one FROM kept")
            assert cursor.fetchall() == [(1,)]
        connection.close()
    finally:
        second.stop()


def test_a_folder_with_a_long_name_has_its_socket_elsewhere(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / ("x" * 100))
    assert len(server.url()) < 200
    assert "%2Ftmp%2Fauthd-" in server.url()


def test_data_is_closed_to_others(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    assert stat.S_IMODE((folder / "postgres").stat().st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root is refused")
def test_root_is_refused_a_folder_that_postgresql_cannot_reach(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="out of reach"):
        EmbeddedPostgres(closed / "data").start()
    assert not EmbeddedPostgres(closed / "data").reachable()


def test_a_cluster_of_another_version_is_refused_with_advice(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    (folder / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(ConfigError, match="made by PostgreSQL 12"):
        server.start()
