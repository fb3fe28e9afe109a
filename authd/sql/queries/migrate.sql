-- name: lock
SELECT pg_advisory_lock(hashtext('authd migrate'));

-- name: create_bookkeeping
CREATE SCHEMA IF NOT EXISTS authd;
CREATE TABLE IF NOT EXISTS authd.schema_migration (
    number       integer PRIMARY KEY,
    name         text NOT NULL,
    checksum     text NOT NULL,
    oldest_authd text NOT NULL,
    applied_at   timestamptz NOT NULL DEFAULT now()
);

-- name: bookkeeping_exists
SELECT 1 WHERE to_regclass('authd.schema_migration') IS NOT NULL;

-- name: applied
SELECT number, name, checksum, oldest_authd FROM authd.schema_migration ORDER BY number;

-- name: record
INSERT INTO authd.schema_migration (number, name, checksum, oldest_authd)
VALUES (%(number)s, %(name)s, %(checksum)s, %(oldest_authd)s);
