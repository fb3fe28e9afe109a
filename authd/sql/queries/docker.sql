-- Registries as their clients meet them. Creating and changing them is provisioning's.

-- name: facts
WITH token AS (
    SELECT t.id, t.registry_id, t.account_uuid, t.service_user_id, t.last_used_at, a.identifier, a.is_admin, a.is_active,
           a.service_users_only, a.primary_alias_id IS NOT NULL AS has_mailbox,
           a.password_changed_at IS NOT DISTINCT FROM t.password_changed_at AS same_password,
           s.username, coalesce(
               NOT s.limited OR EXISTS (
                   SELECT FROM service_user_permission g
                   JOIN permission p ON p.id = g.permission_id
                   JOIN held_permission h ON h.permission_id = p.id AND h.account_uuid = s.account_uuid
                   WHERE g.service_user_id = s.id AND p.identifier = 'docker'),
               true) AS may_docker
    FROM docker_refresh_token t
    JOIN account a ON a.uuid = t.account_uuid
    LEFT JOIN service_user s ON s.id = t.service_user_id
    WHERE t.token_digest = %(refresh_token)s::bytea
), asker AS (
    SELECT coalesce(%(account)s::uuid, (SELECT account_uuid FROM token)) AS uuid
)
SELECT r.id, r.service, r.name, d.name, r.token_header, r.anonymous_pull, r.anonymous_push,
       coalesce((SELECT jsonb_agg(jsonb_build_array(g.pattern, g.actions))
                 FROM docker_right g
                 WHERE g.registry_id = r.id
                   AND (num_nonnulls(g.account_uuid, g.group_id) = 0 OR g.account_uuid = k.uuid
                        OR g.group_id IN (SELECT m.group_id FROM group_member m WHERE m.account_uuid = k.uuid))), '[]'),
       ARRAY (SELECT DISTINCT g.pattern FROM docker_right g WHERE g.registry_id = r.id AND %(unconfigured)s::boolean),
       ARRAY (SELECT o.name FROM docker_repository o WHERE o.registry_id = r.id AND o.name = ANY (%(names)s::text[])),
       t.id, t.registry_id, t.account_uuid, coalesce(t.username, t.identifier), t.is_admin AND t.service_user_id IS NULL,
       t.service_user_id, t.is_active, t.service_users_only, t.has_mailbox, t.may_docker, t.same_password, t.last_used_at
FROM asker k
LEFT JOIN docker_registry r ON r.service = %(service)s
LEFT JOIN domain d ON d.id = r.domain_id
LEFT JOIN token t ON true;

-- name: registry
SELECT r.id, r.service, r.name, d.name, r.token_header
FROM docker_registry r JOIN domain d ON d.id = r.domain_id
WHERE r.service = %(service)s;

-- name: registry_of_host
SELECT r.id, r.service, r.name, d.name, r.token_header
FROM docker_registry r JOIN domain d ON d.id = r.domain_id
ORDER BY r.service = %(host)s DESC, r.service = %(host_name)s DESC, d.name = %(host_name)s DESC,
         %(host_name)s LIKE '%%.' || d.name DESC, length(d.name) DESC, r.id
LIMIT 1;

-- name: certificate
SELECT certificate FROM docker_certificate WHERE registry_id = %(registry)s AND key_id = %(key)s;

-- name: insert_certificate
INSERT INTO docker_certificate (registry_id, key_id, certificate)
VALUES (%(registry)s, %(key)s, %(certificate)s)
ON CONFLICT DO NOTHING;

-- name: insert_refresh_token
INSERT INTO docker_refresh_token (token_digest, registry_id, account_uuid, service_user_id, client, password_changed_at,
                                  created_at, last_used_at)
SELECT %(digest)s, %(registry)s, a.uuid, %(service_user)s, %(client)s, a.password_changed_at, %(now)s, %(now)s
FROM account a
WHERE a.uuid = %(account)s AND a.is_active AND a.password_changed_at IS NOT DISTINCT FROM %(password_changed_at)s;

-- name: touch_refresh_token
UPDATE docker_refresh_token SET last_used_at = %(now)s WHERE id = %(id)s;

-- name: create_repositories
WITH made AS (
    INSERT INTO docker_repository (registry_id, name, created_at)
    SELECT %(registry)s, name, %(now)s FROM unnest(%(names)s::text[]) name
    ON CONFLICT DO NOTHING
    RETURNING registry_id, name
)
INSERT INTO docker_right (registry_id, pattern, account_uuid, actions)
SELECT registry_id, name, %(account)s, %(actions)s::text[] FROM made
RETURNING pattern;

-- name: end_refresh_tokens
DELETE FROM docker_refresh_token WHERE account_uuid = %(account)s;

-- name: remove_refresh_tokens
DELETE FROM docker_refresh_token
WHERE id IN (SELECT id FROM docker_refresh_token WHERE last_used_at < %(unused_since)s LIMIT %(most)s);
