-- name: try_lock
SELECT pg_try_advisory_xact_lock(hashtext('authd job ' || %(name)s));
