-- Failed logins, and what is known of clients that once succeeded.

-- name: standing
SELECT s.subject, count(f.subject), max(f.first_failed_at),
       EXISTS (SELECT FROM known_address WHERE account_uuid = %(account_uuid)s AND network = %(network)s::cidr
               AND last_used_at > %(addresses_since)s)
       OR EXISTS (SELECT FROM known_device WHERE account_uuid = %(account_uuid)s AND token_digest = %(device_digest)s
                  AND last_used_at > %(devices_since)s)
FROM unnest(%(subjects)s::text[]) AS s (subject)
LEFT JOIN login_failure f ON f.subject = s.subject AND f.last_failed_at > %(failures_since)s
GROUP BY s.subject;

-- name: record_failure
INSERT INTO login_failure (subject, attempt_digest, first_failed_at, last_failed_at)
SELECT subject, %(attempt_digest)s, %(now)s::timestamptz, %(now)s::timestamptz
FROM unnest(%(subjects)s::text[]) AS s (subject)
ORDER BY subject
ON CONFLICT (subject, attempt_digest) DO UPDATE
SET last_failed_at = EXCLUDED.last_failed_at,
    first_failed_at = CASE WHEN login_failure.last_failed_at > %(failures_since)s THEN login_failure.first_failed_at
                           ELSE EXCLUDED.first_failed_at END;

-- name: clear
DELETE FROM login_failure WHERE subject = %(subject)s;

-- name: remember_device
INSERT INTO known_device (token_digest, account_uuid, created_at, last_used_at)
VALUES (%(token_digest)s, %(account_uuid)s, %(now)s, %(now)s);

-- name: remove_failures
DELETE FROM login_failure
WHERE (subject, attempt_digest) IN
      (SELECT subject, attempt_digest FROM login_failure WHERE last_failed_at < %(before)s LIMIT %(limit)s);

-- name: remove_addresses
DELETE FROM known_address
WHERE (account_uuid, network) IN
      (SELECT account_uuid, network FROM known_address WHERE last_used_at < %(before)s LIMIT %(limit)s);

-- name: remove_devices
DELETE FROM known_device
WHERE token_digest IN (SELECT token_digest FROM known_device WHERE last_used_at < %(before)s LIMIT %(limit)s);
