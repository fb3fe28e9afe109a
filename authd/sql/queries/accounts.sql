-- Accounts as somebody who logs in sees them. Creating and changing accounts is provisioning's.

-- name: login
WITH found AS (
    SELECT l.account_uuid, NULL::bigint AS service_user_id, 1 AS place
    FROM domain d JOIN alias l ON l.domain_id = d.id
    WHERE d.name = %(domain)s::text AND lower(l.local_part) = %(local_part)s AND l.account_uuid IS NOT NULL
    UNION ALL
    SELECT s.account_uuid, s.id, 2
    FROM service_user s
    WHERE %(domain)s::text IS NULL AND lower(s.username) = lower(%(local_part)s)
    UNION ALL
    SELECT a.uuid, NULL, 3
    FROM account a
    WHERE %(domain)s::text IS NULL AND a.is_admin AND lower(a.identifier) = lower(%(local_part)s)
    ORDER BY place
    LIMIT 1
)
SELECT a.uuid, a.identifier, a.full_name, p.local_part || '@' || d.name, a.is_admin, a.is_active, a.service_users_only,
       a.password_hash, a.password_changed_at, a.created_at, a.last_login_at, a.time_zone, a.language,
       ARRAY(SELECT h.identifier FROM held_permission g JOIN permission h ON h.id = g.permission_id
             WHERE g.account_uuid = a.uuid ORDER BY h.identifier),
       s.id, s.username, s.password_hash, s.generated, s.limited,
       ARRAY(SELECT h.identifier FROM service_user_permission g JOIN permission h ON h.id = g.permission_id
             WHERE g.service_user_id = s.id)
FROM found f
JOIN account a ON a.uuid = f.account_uuid
LEFT JOIN service_user s ON s.id = f.service_user_id
LEFT JOIN alias p ON p.id = a.primary_alias_id
LEFT JOIN domain d ON d.id = p.domain_id;

-- name: by_uuid
SELECT a.uuid, a.identifier, a.full_name, p.local_part || '@' || d.name, a.is_admin, a.is_active, a.service_users_only,
       a.password_hash, a.password_changed_at, a.created_at, a.last_login_at, a.time_zone, a.language
FROM account a
LEFT JOIN alias p ON p.id = a.primary_alias_id
LEFT JOIN domain d ON d.id = p.domain_id
WHERE a.uuid = %(uuid)s;

-- name: permissions
SELECT p.identifier
FROM held_permission h JOIN permission p ON p.id = h.permission_id
WHERE h.account_uuid = %(uuid)s;

-- name: groups
SELECT g.name
FROM group_member m JOIN account_group g ON g.id = m.group_id
WHERE m.account_uuid = %(uuid)s
ORDER BY g.name;

-- name: hash_settings
SELECT DISTINCT setting
FROM (
    SELECT substring(password_hash FROM '^\$(?:[56]\$(?:rounds=[0-9]{1,9}\$)?|y\$[./0-9A-Za-z]{1,16}\$|2b\$[0-9]{2}\$)')
    FROM account TABLESAMPLE SYSTEM (%(account_share)s)
    UNION
    SELECT substring(password_hash FROM '^\$(?:[56]\$(?:rounds=[0-9]{1,9}\$)?|y\$[./0-9A-Za-z]{1,16}\$|2b\$[0-9]{2}\$)')
    FROM service_user TABLESAMPLE SYSTEM (%(service_user_share)s)
) AS stored (setting)
WHERE setting IS NOT NULL;

-- name: row_estimates
SELECT (SELECT reltuples FROM pg_class WHERE oid = 'account'::regclass)::float8,
       (SELECT reltuples FROM pg_class WHERE oid = 'service_user'::regclass)::float8;

-- name: rehash_account
UPDATE account SET password_hash = %(new)s
WHERE uuid = %(uuid)s AND password_hash = %(old)s;

-- name: rehash_service_user
UPDATE service_user SET password_hash = %(new)s
WHERE id = %(id)s AND password_hash = %(old)s;

-- name: set_password
UPDATE account SET password_hash = %(hash)s, password_changed_at = %(now)s
WHERE uuid = %(uuid)s AND is_active;

-- name: record_login
WITH account_seen AS (
    UPDATE account SET last_login_at = %(now)s
    WHERE uuid = %(uuid)s AND (last_login_at IS NULL OR last_login_at < %(stale)s)
), service_user_seen AS (
    UPDATE service_user SET last_used_at = %(now)s
    WHERE id = %(service_user_id)s AND (last_used_at IS NULL OR last_used_at < %(stale)s)
), device_seen AS (
    UPDATE known_device SET last_used_at = %(now)s
    WHERE token_digest = %(device_digest)s AND account_uuid = %(uuid)s AND last_used_at < %(stale)s
)
INSERT INTO known_address (account_uuid, network, last_used_at)
SELECT %(uuid)s, %(network)s::cidr, %(now)s::timestamptz
WHERE %(network)s::cidr IS NOT NULL
ON CONFLICT (account_uuid, network) DO UPDATE SET last_used_at = EXCLUDED.last_used_at
WHERE known_address.last_used_at < %(stale)s;
