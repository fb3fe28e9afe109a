-- name: start
INSERT INTO session (token_digest, account_uuid, service_user_id, amr, acr, authenticated_at, created_at, last_seen_at,
                     expires_at, remote_address, user_agent)
VALUES (%(token_digest)s, %(account_uuid)s, %(service_user_id)s, %(amr)s, %(acr)s, %(now)s::timestamptz,
        %(now)s::timestamptz, %(now)s::timestamptz, %(expires_at)s, %(remote_address)s::inet, %(user_agent)s)
RETURNING id, sid;

-- name: find
SELECT a.uuid, a.identifier, a.full_name, p.local_part || '@' || d.name, a.is_admin, a.is_active, a.service_users_only,
       a.password_hash, a.password_changed_at, a.created_at, a.last_login_at, a.time_zone, a.language,
       s.id, s.sid, s.service_user_id, s.amr, s.acr, s.authenticated_at, s.expires_at, s.last_seen_at
FROM session s
JOIN account a ON a.uuid = s.account_uuid
LEFT JOIN alias p ON p.id = a.primary_alias_id
LEFT JOIN domain d ON d.id = p.domain_id
WHERE s.token_digest = %(token_digest)s
  AND a.is_active AND s.expires_at > %(now)s AND s.last_seen_at > %(idle_since)s;

-- name: touch
UPDATE session SET last_seen_at = %(now)s WHERE id = %(id)s AND last_seen_at < %(stale)s;

-- name: end
DELETE FROM session WHERE id = %(id)s;

-- name: end_all
DELETE FROM session
WHERE account_uuid = %(account_uuid)s AND id IS DISTINCT FROM %(except_id)s
RETURNING sid;

-- name: listing
SELECT s.id, s.sid, u.username, s.created_at, s.last_seen_at, host(s.remote_address), s.user_agent
FROM session s LEFT JOIN service_user u ON u.id = s.service_user_id
WHERE s.account_uuid = %(account_uuid)s AND s.expires_at > %(now)s AND s.last_seen_at > %(idle_since)s
ORDER BY s.last_seen_at DESC, s.id DESC;

-- name: remove_expired
DELETE FROM session
WHERE id IN (SELECT id FROM session WHERE expires_at < %(now)s LIMIT %(limit)s);
