-- What provisioning reads and writes. The statements that change something are the effects of authd/provisioning.

-- name: lock
SELECT pg_advisory_xact_lock(hashtext('authd.provisioning'));

-- name: domains
SELECT d.name, d.redirect_to, d.redirect_mode, d.jwt_subdomains, d.dkim_subdomains, d.can_use_transactional_email, d.srs_domain,
       coalesce((SELECT jsonb_agg(jsonb_build_array(k.purpose, k.algorithm, k.selector, k.id, k.kid,
                                                  k.active_from, k.retired_at) ORDER BY k.id)
                 FROM signing_key k
                 WHERE k.domain_id = d.id AND (k.retired_at IS NULL OR k.retired_at > %(now)s)), '[]'),
       d.created_at
FROM domain d
WHERE %(domain)s::text IS NULL OR d.name = %(domain)s
ORDER BY d.name;

-- name: domain_id
SELECT id FROM domain WHERE name = %(domain)s;

-- name: public_keys
SELECT k.purpose, k.algorithm, k.selector, k.public_key
FROM signing_key k JOIN domain d ON d.id = k.domain_id
WHERE d.name = %(domain)s AND k.active_from <= %(now)s AND (k.retired_at IS NULL OR k.retired_at > %(now)s)
ORDER BY k.active_from DESC, k.id DESC;

-- name: addresses_in_domain
SELECT a.local_part || '@' || d.name
FROM alias a JOIN domain d ON d.id = a.domain_id
WHERE d.name = %(domain)s
ORDER BY 1;

-- name: insert_domain
INSERT INTO domain (name, redirect_to, redirect_mode, jwt_subdomains, dkim_subdomains, can_use_transactional_email,
                    srs_domain, created_at)
VALUES (%(domain)s, %(redirect_to)s, %(redirect_mode)s, %(jwt_subdomains)s, %(dkim_subdomains)s,
        %(can_use_transactional_email)s, %(srs_domain)s, %(now)s);

-- name: update_domain
UPDATE domain
SET redirect_to = %(redirect_to)s, redirect_mode = %(redirect_mode)s, jwt_subdomains = %(jwt_subdomains)s,
    dkim_subdomains = %(dkim_subdomains)s, can_use_transactional_email = %(can_use_transactional_email)s,
    srs_domain = %(srs_domain)s
WHERE name = %(domain)s;

-- name: delete_domain
DELETE FROM domain WHERE name = %(domain)s;

-- name: accounts
SELECT a.identifier, a.full_name, a.is_admin, a.is_active, a.service_users_only, a.time_zone, a.language,
       (SELECT l.local_part || '@' || d.name FROM alias l JOIN domain d ON d.id = l.domain_id WHERE l.id = a.primary_alias_id),
       ARRAY (SELECT p.identifier FROM account_permission h JOIN permission p ON p.id = h.permission_id
              WHERE h.account_uuid = a.uuid),
       ARRAY (SELECT g.name FROM group_member m JOIN account_group g ON g.id = m.group_id WHERE m.account_uuid = a.uuid),
       a.uuid,
       ARRAY (SELECT l.local_part || '@' || d.name FROM alias l JOIN domain d ON d.id = l.domain_id
              WHERE l.account_uuid = a.uuid ORDER BY 1),
       a.password_hash IS NOT NULL, a.created_at, a.last_login_at
FROM account a
WHERE %(uuid)s::uuid IS NULL OR a.uuid = %(uuid)s
ORDER BY lower(a.identifier);

-- name: account_by_identifier
SELECT uuid FROM account WHERE lower(identifier) = lower(%(identifier)s);

-- name: account_by_uuid
SELECT uuid FROM account WHERE uuid = %(uuid)s;

-- name: account_by_address
SELECT a.account_uuid
FROM alias a JOIN domain d ON d.id = a.domain_id
WHERE lower(a.local_part) = lower(%(local_part)s) AND d.name = %(domain)s AND a.account_uuid IS NOT NULL;

-- name: account_password
SELECT password_hash FROM account WHERE lower(identifier) = lower(%(user)s) AND password_hash IS NOT NULL;

-- name: insert_account
INSERT INTO account (identifier, full_name, is_admin, is_active, service_users_only, time_zone, language, created_at)
VALUES (%(user)s, %(full_name)s, %(is_admin)s, %(is_active)s, %(service_users_only)s, %(time_zone)s, %(language)s, %(now)s);

-- name: update_account
UPDATE account
SET identifier = %(user)s, full_name = %(full_name)s, is_admin = %(is_admin)s, is_active = %(is_active)s,
    service_users_only = %(service_users_only)s, time_zone = %(time_zone)s, language = %(language)s
WHERE identifier = %(current)s;

-- name: delete_account
DELETE FROM account WHERE identifier = %(user)s;

-- name: set_primary_address
UPDATE account a
SET primary_alias_id = (SELECT l.id FROM alias l JOIN domain d ON d.id = l.domain_id
                        WHERE l.local_part || '@' || d.name = %(address)s AND l.account_uuid = a.uuid)
WHERE identifier = %(user)s;

-- name: set_password
UPDATE account SET password_hash = %(password)s, password_changed_at = %(now)s WHERE identifier = %(user)s;

-- name: grant_to_account
INSERT INTO account_permission (account_uuid, permission_id)
SELECT a.uuid, p.id FROM account a, permission p
WHERE a.identifier = %(user)s AND p.identifier = ANY (%(permissions)s::text[]);

-- name: revoke_from_account
DELETE FROM account_permission
USING account a, permission p
WHERE account_uuid = a.uuid AND permission_id = p.id
  AND a.identifier = %(user)s AND p.identifier = ANY (%(permissions)s::text[]);

-- name: join_groups
INSERT INTO group_member (account_uuid, group_id)
SELECT a.uuid, g.id FROM account a, account_group g
WHERE a.identifier = %(user)s AND g.name = ANY (%(groups)s::text[]);

-- name: leave_groups
DELETE FROM group_member
USING account a, account_group g
WHERE account_uuid = a.uuid AND group_id = g.id
  AND a.identifier = %(user)s AND g.name = ANY (%(groups)s::text[]);

-- name: end_sessions
DELETE FROM session USING account a WHERE account_uuid = a.uuid AND a.identifier = %(user)s;

-- name: end_tokens_of_account
WITH docker_ended AS (
    DELETE FROM docker_refresh_token t USING account a WHERE t.account_uuid = a.uuid AND a.identifier = %(user)s),
ended AS (
    UPDATE token_grant g SET revoked_at = %(now)s
    FROM account a
    WHERE g.account_uuid = a.uuid AND a.identifier = %(user)s AND g.revoked_at IS NULL)
UPDATE access_token t SET revoked_at = %(now)s
FROM account a
WHERE t.account_uuid = a.uuid AND a.identifier = %(user)s AND t.revoked_at IS NULL;

-- name: aliases
SELECT l.local_part || '@' || d.name, a.identifier, m.name, l.blocked, p.identifier, l.created_at
FROM alias l
JOIN domain d ON d.id = l.domain_id
LEFT JOIN account a ON a.uuid = l.account_uuid
LEFT JOIN mailing_list m ON m.id = l.mailing_list_id
LEFT JOIN account p ON p.primary_alias_id = l.id
WHERE %(local_part)s::text IS NULL OR (lower(l.local_part) = lower(%(local_part)s) AND d.name = %(domain)s)
ORDER BY d.name, lower(l.local_part);

-- name: insert_alias
INSERT INTO alias (local_part, domain_id, account_uuid, mailing_list_id, blocked, created_at)
SELECT %(local_part)s, d.id, (SELECT uuid FROM account WHERE identifier = %(user)s),
       (SELECT id FROM mailing_list WHERE name = %(mailing_list)s), %(blocked)s, %(now)s
FROM domain d
WHERE d.name = %(domain)s;

-- name: update_alias
UPDATE alias
SET local_part = %(local_part)s, domain_id = d.id, account_uuid = (SELECT uuid FROM account WHERE identifier = %(user)s),
    mailing_list_id = (SELECT id FROM mailing_list WHERE name = %(mailing_list)s), blocked = %(blocked)s
FROM domain d, domain c
WHERE d.name = %(domain)s AND c.name = %(current_domain)s
  AND alias.domain_id = c.id AND lower(alias.local_part) = lower(%(current_local_part)s);

-- name: delete_alias
DELETE FROM alias
USING domain d
WHERE domain_id = d.id AND d.name = %(domain)s AND lower(local_part) = lower(%(local_part)s);

-- name: mailing_lists
SELECT m.name, o.identifier, m.new_mailfrom, m.list_headers,
       ARRAY (SELECT address FROM mailing_list_member r WHERE r.mailing_list_id = m.id),
       ARRAY (SELECT l.local_part || '@' || d.name FROM alias l JOIN domain d ON d.id = l.domain_id
              WHERE l.mailing_list_id = m.id ORDER BY 1),
       m.created_at
FROM mailing_list m LEFT JOIN account o ON o.uuid = m.owner_uuid
WHERE %(mailing_list)s::text IS NULL OR lower(m.name) = lower(%(mailing_list)s)
ORDER BY lower(m.name);

-- name: insert_mailing_list
INSERT INTO mailing_list (name, owner_uuid, new_mailfrom, list_headers, created_at)
VALUES (%(mailing_list)s, (SELECT uuid FROM account WHERE identifier = %(owner)s), %(new_mailfrom)s, %(list_headers)s, %(now)s);

-- name: update_mailing_list
UPDATE mailing_list
SET name = %(mailing_list)s, owner_uuid = (SELECT uuid FROM account WHERE identifier = %(owner)s),
    new_mailfrom = %(new_mailfrom)s, list_headers = %(list_headers)s
WHERE name = %(current)s;

-- name: delete_mailing_list
DELETE FROM mailing_list WHERE name = %(mailing_list)s;

-- name: add_members
INSERT INTO mailing_list_member (mailing_list_id, address)
SELECT m.id, address FROM mailing_list m, unnest(%(addresses)s::text[]) address
WHERE m.name = %(mailing_list)s;

-- name: remove_members
DELETE FROM mailing_list_member
USING mailing_list m
WHERE mailing_list_id = m.id AND m.name = %(mailing_list)s AND address = ANY (%(addresses)s::text[]);

-- name: service_users
SELECT s.username, a.identifier, s.description, s.limited,
       ARRAY (SELECT p.identifier FROM service_user_permission h JOIN permission p ON p.id = h.permission_id
              WHERE h.service_user_id = s.id),
       s.created_at, s.last_used_at
FROM service_user s JOIN account a ON a.uuid = s.account_uuid
WHERE %(username)s::text IS NULL OR lower(s.username) = lower(%(username)s)
ORDER BY lower(s.username);

-- name: service_user_password
SELECT password_hash FROM service_user WHERE lower(username) = lower(%(username)s);

-- name: insert_service_user
INSERT INTO service_user (username, account_uuid, password_hash, generated, limited, description, created_at)
SELECT %(username)s, uuid, %(password)s, %(generated)s, %(limited)s, %(description)s, %(now)s
FROM account
WHERE identifier = %(user)s;

-- name: update_service_user
UPDATE service_user
SET username = %(username)s, account_uuid = a.uuid, limited = %(limited)s, description = %(description)s
FROM account a
WHERE service_user.username = %(current)s AND a.identifier = %(user)s;

-- name: set_service_user_password
WITH ended AS (
    DELETE FROM docker_refresh_token t USING service_user s WHERE t.service_user_id = s.id AND s.username = %(username)s)
UPDATE service_user SET password_hash = %(password)s, generated = %(generated)s WHERE username = %(username)s;

-- name: end_service_user_sessions
DELETE FROM session USING service_user s WHERE service_user_id = s.id AND s.username = %(username)s;

-- name: delete_service_user
DELETE FROM service_user WHERE username = %(username)s;

-- name: limit_service_user
INSERT INTO service_user_permission (service_user_id, permission_id)
SELECT s.id, p.id FROM service_user s, permission p
WHERE s.username = %(username)s AND p.identifier = ANY (%(permissions)s::text[]);

-- name: unlimit_service_user
DELETE FROM service_user_permission
USING service_user s, permission p
WHERE service_user_id = s.id AND permission_id = p.id
  AND s.username = %(username)s AND p.identifier = ANY (%(permissions)s::text[]);

-- name: groups
SELECT g.name,
       ARRAY (SELECT p.identifier FROM group_permission h JOIN permission p ON p.id = h.permission_id WHERE h.group_id = g.id),
       ARRAY (SELECT a.identifier FROM group_member m JOIN account a ON a.uuid = m.account_uuid
              WHERE m.group_id = g.id ORDER BY lower(a.identifier))
FROM account_group g
WHERE %(group)s::text IS NULL OR g.name = %(group)s
ORDER BY g.name;

-- name: insert_group
INSERT INTO account_group (name) VALUES (%(group)s);

-- name: delete_group
DELETE FROM account_group WHERE name = %(group)s;

-- name: grant_to_group
INSERT INTO group_permission (group_id, permission_id)
SELECT g.id, p.id FROM account_group g, permission p
WHERE g.name = %(group)s AND p.identifier = ANY (%(permissions)s::text[]);

-- name: revoke_from_group
DELETE FROM group_permission
USING account_group g, permission p
WHERE group_id = g.id AND permission_id = p.id AND g.name = %(group)s AND p.identifier = ANY (%(permissions)s::text[]);

-- name: permissions
SELECT p.identifier, p.title,
       ARRAY (SELECT c.name FROM client_required_permission r JOIN client c ON c.id = r.client_id
              WHERE r.permission_id = p.id ORDER BY c.name)
FROM permission p
WHERE %(permission)s::text IS NULL OR p.identifier = %(permission)s
ORDER BY p.identifier;

-- name: insert_permission
INSERT INTO permission (identifier, title) VALUES (%(permission)s, %(title)s);

-- name: update_permission
UPDATE permission SET title = %(title)s WHERE identifier = %(permission)s;

-- name: delete_permission
DELETE FROM permission WHERE identifier = %(permission)s;

-- name: missing_permissions
SELECT name FROM unnest(%(permissions)s::text[]) name
WHERE NOT EXISTS (SELECT FROM permission WHERE identifier = name)
ORDER BY name;

-- name: missing_groups
SELECT wanted FROM unnest(%(groups)s::text[]) wanted
WHERE NOT EXISTS (SELECT FROM account_group g WHERE g.name = wanted)
ORDER BY wanted;

-- name: held_permissions
SELECT p.identifier FROM held_permission h JOIN permission p ON p.id = h.permission_id
WHERE h.account_uuid = %(uuid)s
ORDER BY p.identifier;

-- name: clients
SELECT c.name, c.client_id, c.client_type, c.auth_method, d.name, c.is_active, c.skip_authorization, c.pkce_required,
       c.always_refresh, c.access_token_format, c.id_token_alg, c.subject_type, c.grant_types, c.redirect_uris,
       c.post_logout_redirect_uris, c.allowed_origins, c.cas_services, c.backchannel_logout_uri, c.jwks, c.jwks_uri, c.logo_uri,
       ARRAY (SELECT p.identifier FROM client_required_permission r JOIN permission p ON p.id = r.permission_id
              WHERE r.client_id = c.id),
       (SELECT count(*) FROM client_secret s WHERE s.client_id = c.id AND (s.expires_at IS NULL OR s.expires_at > %(now)s)),
       c.created_at
FROM client c LEFT JOIN domain d ON d.id = c.domain_id
WHERE %(client)s::text IS NULL OR c.client_id = %(client)s
ORDER BY lower(c.name);

-- name: client_by_name
SELECT client_id FROM client WHERE name = %(name)s;

-- name: client_by_id
SELECT client_id FROM client WHERE client_id = %(client)s;

-- name: client_secrets
SELECT s.secret_hash FROM client_secret s JOIN client c ON c.id = s.client_id
WHERE c.client_id = %(client)s AND (s.expires_at IS NULL OR s.expires_at > %(now)s);

-- name: insert_client
INSERT INTO client (client_id, name, client_type, auth_method, domain_id, is_active, skip_authorization, pkce_required,
                    always_refresh, access_token_format, id_token_alg, subject_type, grant_types, redirect_uris,
                    post_logout_redirect_uris, allowed_origins, cas_services, backchannel_logout_uri, jwks, jwks_uri, logo_uri,
                    created_at, updated_at)
VALUES (%(client)s, %(name)s, %(client_type)s, %(auth_method)s, (SELECT id FROM domain d WHERE d.name = %(domain)s),
        %(is_active)s, %(skip_authorization)s, %(pkce_required)s, %(always_refresh)s, %(access_token_format)s,
        %(id_token_alg)s, %(subject_type)s, %(grant_types)s::text[], %(redirect_uris)s::text[],
        %(post_logout_redirect_uris)s::text[], %(allowed_origins)s::text[], %(cas_services)s::text[],
        %(backchannel_logout_uri)s, %(jwks)s::jsonb, %(jwks_uri)s, %(logo_uri)s, %(now)s, %(now)s);

-- name: update_client
UPDATE client
SET client_id = %(client)s, name = %(name)s, client_type = %(client_type)s, auth_method = %(auth_method)s,
    domain_id = (SELECT id FROM domain d WHERE d.name = %(domain)s), is_active = %(is_active)s,
    skip_authorization = %(skip_authorization)s, pkce_required = %(pkce_required)s, always_refresh = %(always_refresh)s,
    access_token_format = %(access_token_format)s, id_token_alg = %(id_token_alg)s, subject_type = %(subject_type)s,
    grant_types = %(grant_types)s::text[], redirect_uris = %(redirect_uris)s::text[],
    post_logout_redirect_uris = %(post_logout_redirect_uris)s::text[], allowed_origins = %(allowed_origins)s::text[],
    cas_services = %(cas_services)s::text[], backchannel_logout_uri = %(backchannel_logout_uri)s, jwks = %(jwks)s::jsonb,
    jwks_uri = %(jwks_uri)s, logo_uri = %(logo_uri)s, updated_at = %(now)s
WHERE client_id = %(current)s;

-- name: delete_client
DELETE FROM client WHERE client_id = %(client)s;

-- name: add_client_secret
INSERT INTO client_secret (client_id, secret_hash, generated, created_at)
SELECT id, %(secret)s, %(generated)s, %(now)s FROM client WHERE client_id = %(client)s;

-- name: expire_client_secrets
UPDATE client_secret SET expires_at = least(expires_at, %(now)s::timestamptz + %(overlap)s::interval)
FROM client c
WHERE client_secret.client_id = c.id AND c.client_id = %(client)s;

-- name: require_permissions
INSERT INTO client_required_permission (client_id, permission_id)
SELECT c.id, p.id FROM client c, permission p
WHERE c.client_id = %(client)s AND p.identifier = ANY (%(permissions)s::text[]);

-- name: drop_permissions
DELETE FROM client_required_permission r
USING client c, permission p
WHERE r.client_id = c.id AND r.permission_id = p.id
  AND c.client_id = %(client)s AND p.identifier = ANY (%(permissions)s::text[]);

-- name: end_tokens_of_client
WITH ended AS (
    UPDATE token_grant g SET revoked_at = %(now)s
    FROM client c
    WHERE g.client_id = c.id AND c.client_id = %(client)s AND g.revoked_at IS NULL)
UPDATE access_token t SET revoked_at = %(now)s
FROM client c
WHERE t.client_id = c.id AND c.client_id = %(client)s AND t.revoked_at IS NULL;

-- name: names_of_login
SELECT 'user', identifier FROM account WHERE is_admin AND lower(identifier) = lower(%(name)s)
UNION ALL
SELECT 'serviceuser', username FROM service_user WHERE lower(username) = lower(%(name)s);

-- name: registries
SELECT r.service, r.name, d.name, r.token_header, r.anonymous_pull, r.anonymous_push,
       coalesce((SELECT jsonb_agg(jsonb_build_array(a.identifier, g.name, h.pattern, h.actions))
                 FROM docker_right h
                 LEFT JOIN account a ON a.uuid = h.account_uuid
                 LEFT JOIN account_group g ON g.id = h.group_id
                 WHERE h.registry_id = r.id), '[]'),
       ARRAY (SELECT o.name FROM docker_repository o WHERE o.registry_id = r.id ORDER BY o.name), r.created_at
FROM docker_registry r JOIN domain d ON d.id = r.domain_id
WHERE %(registry)s::text IS NULL OR r.service = %(registry)s OR (r.name = %(registry)s AND NOT %(by_service_only)s::boolean)
ORDER BY r.service IS DISTINCT FROM %(registry)s, r.service;

-- name: insert_registry
INSERT INTO docker_registry (service, name, domain_id, token_header, anonymous_pull, anonymous_push, created_at)
SELECT %(service)s, %(name)s, d.id, %(token_header)s, %(anonymous_pull)s, %(anonymous_push)s, %(now)s
FROM domain d
WHERE d.name = %(domain)s;

-- name: update_registry
UPDATE docker_registry
SET service = %(service)s, name = %(name)s, domain_id = d.id, token_header = %(token_header)s,
    anonymous_pull = %(anonymous_pull)s, anonymous_push = %(anonymous_push)s
FROM domain d
WHERE d.name = %(domain)s AND service = %(current)s;

-- name: delete_registry
DELETE FROM docker_registry WHERE service = %(service)s;

-- name: add_registry_right
INSERT INTO docker_right (registry_id, pattern, account_uuid, group_id, actions)
SELECT r.id, %(pattern)s, (SELECT uuid FROM account WHERE identifier = %(user)s),
       (SELECT id FROM account_group WHERE name = %(group)s), %(actions)s::text[]
FROM docker_registry r
WHERE r.service = %(service)s;

-- name: remove_registry_right
DELETE FROM docker_right h
USING docker_registry r
WHERE h.registry_id = r.id AND r.service = %(service)s AND h.pattern IS NOT DISTINCT FROM %(pattern)s::text
  AND h.account_uuid IS NOT DISTINCT FROM (SELECT uuid FROM account WHERE identifier = %(user)s)
  AND h.group_id IS NOT DISTINCT FROM (SELECT id FROM account_group WHERE name = %(group)s);

-- name: repositories
SELECT r.service, o.name, o.created_at,
       coalesce((SELECT jsonb_agg(jsonb_build_array(a.identifier, g.name, h.pattern, h.actions) ORDER BY h.id)
                 FROM docker_right h
                 LEFT JOIN account a ON a.uuid = h.account_uuid
                 LEFT JOIN account_group g ON g.id = h.group_id
                 WHERE h.registry_id = r.id AND h.pattern = o.name), '[]')
FROM docker_repository o JOIN docker_registry r ON r.id = o.registry_id
WHERE %(repository)s::text IS NULL OR r.service || ':' || o.name = %(repository)s
ORDER BY r.service, o.name;

-- name: insert_repository
INSERT INTO docker_repository (registry_id, name, created_at)
SELECT id, %(repository)s, %(now)s FROM docker_registry WHERE service = %(service)s;

-- name: delete_repository
DELETE FROM docker_repository o
USING docker_registry r
WHERE o.registry_id = r.id AND r.service = %(service)s AND o.name = %(repository)s;

-- name: remove_repository_rights
DELETE FROM docker_right h
USING docker_registry r
WHERE h.registry_id = r.id AND r.service = %(service)s AND h.pattern = %(repository)s;

-- name: check_constraints
SET CONSTRAINTS ALL IMMEDIATE;
