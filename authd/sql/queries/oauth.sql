-- OAuth2: the facts of a request, each set in one query, and the conditional statements that write a decision's effects.
-- The order of the columns is that of the dataclasses in authd/oauth/facts.py.

-- name: client_facts
SELECT c.id, c.client_id, c.is_active, c.subject_type, c.redirect_uris, c.allowed_origins, c.name, c.client_type, c.auth_method,
       d.name, c.skip_authorization, c.pkce_required, c.always_refresh, c.access_token_format, c.id_token_alg, c.grant_types,
       c.logo_uri,
       ARRAY(SELECT p.identifier FROM client_required_permission q JOIN permission p ON p.id = q.permission_id
             WHERE q.client_id = c.id),
       ARRAY(SELECT s.secret_hash FROM client_secret s
             WHERE s.client_id = c.id AND (s.expires_at IS NULL OR s.expires_at > %(now)s) ORDER BY s.id DESC)
FROM client c
LEFT JOIN domain d ON d.id = c.domain_id
WHERE c.client_id = %(client_id)s;

-- name: inspection_facts
-- The client that asks, and what decides whether a token is good; any of them may be missing.
SELECT c.id, c.client_id, c.is_active, c.subject_type, c.redirect_uris, c.allowed_origins, c.name, c.client_type, c.auth_method,
       d.name, c.skip_authorization, c.pkce_required, c.always_refresh, c.access_token_format, c.id_token_alg, c.grant_types,
       c.logo_uri,
       ARRAY(SELECT p.identifier FROM client_required_permission q JOIN permission p ON p.id = q.permission_id
             WHERE q.client_id = c.id),
       ARRAY(SELECT s.secret_hash FROM client_secret s
             WHERE s.client_id = c.id AND (s.expires_at IS NULL OR s.expires_at > %(now)s) ORDER BY s.id DESC),
       r.token_digest, r.expires_at, r.rotated_at, r.successor_sealed,
       t.token_digest, t.scopes, t.issued_at, t.expires_at, t.revoked_at IS NOT NULL,
       o.id, o.client_id, o.is_active, o.subject_type, o.redirect_uris, o.allowed_origins,
       g.id, g.client_id, g.scopes, g.claims, g.sid, g.auth_time, g.acr, g.amr, g.nonce, g.revoked_at IS NOT NULL,
       a.uuid, a.identifier, a.is_active
FROM (SELECT) AS nothing
LEFT JOIN client c ON c.client_id = %(client_id)s
LEFT JOIN domain d ON d.id = c.domain_id
LEFT JOIN refresh_token r ON r.token_digest = %(token)s
LEFT JOIN access_token t ON t.token_digest = %(token)s
LEFT JOIN token_grant g ON g.id = coalesce(r.grant_id, t.grant_id)
LEFT JOIN client o ON o.id = coalesce(t.client_id, g.client_id)
LEFT JOIN account a ON a.uuid = coalesce(g.account_uuid, t.account_uuid);

-- name: token_facts
-- The client that asks, the code or token that is presented, its grant, and the person it speaks for; any of them may be missing.
SELECT c.id, c.client_id, c.is_active, c.subject_type, c.redirect_uris, c.allowed_origins, c.name, c.client_type, c.auth_method,
       d.name, c.skip_authorization, c.pkce_required, c.always_refresh, c.access_token_format, c.id_token_alg, c.grant_types,
       c.logo_uri,
       ARRAY(SELECT p.identifier FROM client_required_permission q JOIN permission p ON p.id = q.permission_id
             WHERE q.client_id = c.id),
       ARRAY(SELECT s.secret_hash FROM client_secret s
             WHERE s.client_id = c.id AND (s.expires_at IS NULL OR s.expires_at > %(now)s) ORDER BY s.id DESC),
       k.code_digest, k.redirect_uri, k.redirect_uri_given, k.code_challenge, k.expires_at, k.redeemed_at IS NOT NULL,
       n.id IS NOT NULL,
       r.token_digest, r.expires_at, r.rotated_at, r.successor_sealed,
       t.token_digest, t.scopes, t.issued_at, t.expires_at, t.revoked_at IS NOT NULL,
       o.id, o.client_id, o.is_active, o.subject_type, o.redirect_uris, o.allowed_origins,
       g.id, g.client_id, g.scopes, g.claims, g.sid, g.auth_time, g.acr, g.amr, g.nonce, g.revoked_at IS NOT NULL,
       a.uuid, a.identifier, a.is_active, a.full_name, l.local_part || '@' || e.name, u.limited IS TRUE,
       ARRAY(SELECT p.identifier FROM held_permission h JOIN permission p ON p.id = h.permission_id
             WHERE h.account_uuid = a.uuid AND (u.limited IS NOT TRUE OR EXISTS (
                 SELECT FROM service_user_permission w WHERE w.service_user_id = u.id AND w.permission_id = h.permission_id))),
       ARRAY(SELECT i.name FROM group_member m JOIN account_group i ON i.id = m.group_id
             WHERE m.account_uuid = a.uuid ORDER BY i.name),
       a.time_zone, a.language
FROM (SELECT) AS nothing
LEFT JOIN client c ON c.client_id = %(client_id)s
LEFT JOIN domain d ON d.id = c.domain_id
LEFT JOIN authorization_code k ON k.code_digest = %(code)s
LEFT JOIN refresh_token r ON r.token_digest = %(refresh_token)s
LEFT JOIN access_token t ON t.token_digest = %(access_token)s
LEFT JOIN token_grant g ON g.id = coalesce(k.grant_id, r.grant_id, t.grant_id)
LEFT JOIN session n ON n.id = g.session_id AND n.expires_at > %(now)s
LEFT JOIN client o ON o.id = coalesce(t.client_id, g.client_id)
LEFT JOIN account a ON a.uuid = coalesce(g.account_uuid, t.account_uuid)
LEFT JOIN service_user u ON u.id = g.service_user_id
LEFT JOIN alias l ON l.id = a.primary_alias_id
LEFT JOIN domain e ON e.id = l.domain_id;

-- name: authorization_facts
-- The client, and the person who is signed in (account_uuid NULL: nobody) with what they allowed this client before.
SELECT c.id, c.client_id, c.is_active, c.subject_type, c.redirect_uris, c.allowed_origins, c.name, c.client_type, c.auth_method,
       d.name, c.skip_authorization, c.pkce_required, c.always_refresh, c.access_token_format, c.id_token_alg, c.grant_types,
       c.logo_uri,
       ARRAY(SELECT p.identifier FROM client_required_permission q JOIN permission p ON p.id = q.permission_id
             WHERE q.client_id = c.id),
       '{}'::text[],
       a.uuid, a.identifier, a.is_active, a.full_name, l.local_part || '@' || e.name, u.limited IS TRUE,
       ARRAY(SELECT p.identifier FROM held_permission h JOIN permission p ON p.id = h.permission_id
             WHERE h.account_uuid = a.uuid AND (u.limited IS NOT TRUE OR EXISTS (
                 SELECT FROM service_user_permission w WHERE w.service_user_id = u.id AND w.permission_id = h.permission_id))),
       ARRAY(SELECT i.name FROM group_member m JOIN account_group i ON i.id = m.group_id
             WHERE m.account_uuid = a.uuid ORDER BY i.name),
       a.time_zone, a.language,
       coalesce(s.scopes, '{}'),
       s.scopes IS NOT NULL OR EXISTS (SELECT FROM token_grant g WHERE g.account_uuid = a.uuid AND g.client_id = c.id),
       (SELECT coalesce(jsonb_object_agg(p.identifier, p.title), '{}') FROM permission p WHERE p.identifier = ANY (%(scopes)s))
FROM client c
LEFT JOIN domain d ON d.id = c.domain_id
LEFT JOIN account a ON a.uuid = %(account_uuid)s
LEFT JOIN service_user u ON u.id = %(service_user_id)s AND u.account_uuid = a.uuid
LEFT JOIN alias l ON l.id = a.primary_alias_id
LEFT JOIN domain e ON e.id = l.domain_id
LEFT JOIN consent s ON s.account_uuid = a.uuid AND s.client_id = c.id
WHERE c.client_id = %(client_id)s;

-- name: open_grant
-- Only while the session lasts that it was given in.
WITH opened AS (
    INSERT INTO token_grant (id, client_id, account_uuid, service_user_id, session_id, sid, scopes, auth_time, acr, amr, nonce,
                             claims, created_at)
    SELECT %(id)s, %(client)s, %(account)s, %(service_user)s, s.id, %(sid)s, %(scopes)s, %(auth_time)s, %(acr)s, %(amr)s,
           %(nonce)s, %(claims)s, %(issued_at)s
    FROM session s WHERE s.id = %(session)s
    RETURNING id
)
INSERT INTO authorization_code (code_digest, grant_id, redirect_uri, redirect_uri_given, code_challenge, code_challenge_method,
                                issued_at, expires_at)
SELECT %(code_digest)s, id, %(redirect_uri)s, %(redirect_uri_given)s, %(code_challenge)s,
       CASE WHEN %(code_challenge)s::text IS NOT NULL THEN 'S256' END, %(issued_at)s, %(expires_at)s
FROM opened;

-- name: redeem_code
-- Of those who come at the same time the first wins: the others wait for its row and then find it redeemed.
WITH redeemed AS (
    UPDATE authorization_code k SET redeemed_at = %(issued_at)s
    FROM token_grant g
    WHERE k.code_digest = %(code_digest)s AND k.redeemed_at IS NULL AND g.id = k.grant_id AND g.revoked_at IS NULL
    RETURNING k.grant_id
), refreshable AS (
    INSERT INTO refresh_token (token_digest, grant_id, issued_at, expires_at)
    SELECT %(refresh_digest)s, grant_id, %(issued_at)s, %(refresh_expires_at)s
    FROM redeemed WHERE %(refresh_digest)s::bytea IS NOT NULL
)
INSERT INTO access_token (token_digest, client_id, account_uuid, grant_id, scopes, issued_at, expires_at)
SELECT %(digest)s, %(client)s, %(account)s, grant_id, %(scopes)s, %(issued_at)s, %(expires_at)s FROM redeemed;

-- name: rotate_refresh_token
WITH rotated AS (
    UPDATE refresh_token r SET rotated_at = %(issued_at)s, successor_sealed = %(successor_sealed)s
    FROM token_grant g
    WHERE r.token_digest = %(rotated_digest)s AND r.rotated_at IS NULL AND g.id = r.grant_id AND g.revoked_at IS NULL
    RETURNING r.grant_id
), succeeded AS (
    INSERT INTO refresh_token (token_digest, grant_id, issued_at, expires_at)
    SELECT %(refresh_digest)s, grant_id, %(issued_at)s, %(refresh_expires_at)s FROM rotated
)
INSERT INTO access_token (token_digest, client_id, account_uuid, grant_id, scopes, issued_at, expires_at)
SELECT %(digest)s, %(client)s, %(account)s, grant_id, %(scopes)s, %(issued_at)s, %(expires_at)s FROM rotated;

-- name: issue_access_token
INSERT INTO access_token (token_digest, client_id, account_uuid, grant_id, scopes, issued_at, expires_at)
SELECT %(digest)s, %(client)s, %(account)s, %(grant)s, %(scopes)s, %(issued_at)s, %(expires_at)s
WHERE %(grant)s::uuid IS NULL OR EXISTS (SELECT FROM token_grant g WHERE g.id = %(grant)s AND g.revoked_at IS NULL);

-- name: revoke_grant
UPDATE token_grant SET revoked_at = %(at)s WHERE id = %(grant)s AND revoked_at IS NULL;

-- name: revoke_access_token
UPDATE access_token SET revoked_at = %(at)s WHERE token_digest = %(digest)s AND revoked_at IS NULL;

-- name: remember_consent
INSERT INTO consent (account_uuid, client_id, scopes, created_at, updated_at)
VALUES (%(account)s, %(client)s, %(scopes)s, %(at)s, %(at)s)
ON CONFLICT (account_uuid, client_id) DO UPDATE
SET scopes = ARRAY(SELECT DISTINCT scope FROM unnest(consent.scopes || excluded.scopes) AS scope ORDER BY scope),
    updated_at = excluded.updated_at;

-- name: applications
-- The clients that an account allowed something, or that hold tokens of its which still count.
WITH living AS (
    SELECT g.client_id, g.scopes, g.created_at
    FROM token_grant g
    WHERE g.account_uuid = %(account)s AND g.revoked_at IS NULL
      AND (EXISTS (SELECT FROM refresh_token r
                   WHERE r.grant_id = g.id AND r.rotated_at IS NULL AND r.expires_at > %(now)s)
           OR EXISTS (SELECT FROM access_token t
                      WHERE t.grant_id = g.id AND t.revoked_at IS NULL AND t.expires_at > %(now)s))
)
SELECT c.client_id, c.name,
       ARRAY(SELECT DISTINCT scope FROM (SELECT unnest(s.scopes) AS scope
                                         UNION SELECT unnest(v.scopes) FROM living v WHERE v.client_id = c.id) x ORDER BY scope),
       greatest(s.updated_at, (SELECT max(v.created_at) FROM living v WHERE v.client_id = c.id))
FROM client c LEFT JOIN consent s ON s.client_id = c.id AND s.account_uuid = %(account)s
WHERE s.client_id IS NOT NULL OR EXISTS (SELECT FROM living v WHERE v.client_id = c.id)
ORDER BY lower(c.name);

-- name: withdraw
-- Forgets what was allowed and ends what it gave. Counts what there was.
WITH client_row AS (
    SELECT id FROM client WHERE client_id = %(client_id)s
), forgotten AS (
    DELETE FROM consent s USING client_row c WHERE s.client_id = c.id AND s.account_uuid = %(account)s RETURNING 1
), ended AS (
    UPDATE token_grant g SET revoked_at = %(at)s FROM client_row c
    WHERE g.client_id = c.id AND g.account_uuid = %(account)s AND g.revoked_at IS NULL RETURNING 1
)
SELECT (SELECT count(*) FROM forgotten) + (SELECT count(*) FROM ended);

-- name: origin_is_allowed
SELECT EXISTS (SELECT FROM client WHERE is_active AND %(origin)s = ANY (allowed_origins));

-- name: domain_exists
SELECT EXISTS (SELECT FROM domain WHERE name = %(name)s);

-- name: remove_codes
-- A redeemed code stays for a day, so that its reuse is noticed.
DELETE FROM authorization_code WHERE code_digest IN (
    SELECT code_digest FROM authorization_code WHERE expires_at < %(now)s::timestamptz - interval '1 day' LIMIT %(most)s);

-- name: remove_access_tokens
DELETE FROM access_token WHERE token_digest IN (
    SELECT token_digest FROM access_token WHERE expires_at < %(now)s LIMIT %(most)s);

-- name: remove_refresh_tokens
DELETE FROM refresh_token WHERE token_digest IN (
    SELECT token_digest FROM refresh_token WHERE expires_at < %(now)s LIMIT %(most)s);

-- name: forget_successors
UPDATE refresh_token SET successor_sealed = NULL WHERE token_digest IN (
    SELECT token_digest FROM refresh_token
    WHERE successor_sealed IS NOT NULL AND rotated_at < %(now)s::timestamptz - interval '1 hour' LIMIT %(most)s);

-- name: remove_grants
DELETE FROM token_grant WHERE id IN (
    SELECT g.id FROM token_grant g
    WHERE g.created_at < %(now)s::timestamptz - interval '1 day'
      AND NOT EXISTS (SELECT FROM authorization_code k WHERE k.grant_id = g.id)
      AND NOT EXISTS (SELECT FROM refresh_token r WHERE r.grant_id = g.id)
      AND NOT EXISTS (SELECT FROM access_token t WHERE t.grant_id = g.id)
    LIMIT %(most)s);

-- name: remove_expired_secrets
DELETE FROM client_secret WHERE expires_at <= %(now)s;
