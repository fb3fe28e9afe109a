-- What the forwarder asks about addresses. The order in which one is resolved stands in ../functions/resolve_recipient.sql.

-- name: resolve
SELECT r.kind, r.srs_domain, r.primary_address, r.redirect_to,
       l.id, l.name, l.new_mailfrom, l.list_headers,
       (SELECT p.local_part || '@' || d.name
        FROM account a JOIN alias p ON p.id = a.primary_alias_id JOIN domain d ON d.id = p.domain_id
        WHERE a.uuid = l.owner_uuid AND a.is_active),
       (SELECT p.local_part || '@' || d.name FROM alias p JOIN domain d ON d.id = p.domain_id
        WHERE p.mailing_list_id = l.id ORDER BY p.id LIMIT 1),
       ARRAY(SELECT m.address FROM mailing_list_member m WHERE m.mailing_list_id = l.id ORDER BY lower(m.address))
FROM unnest(%(local_parts)s::text[], %(domains)s::text[]) WITH ORDINALITY asked (local_part, domain, place)
CROSS JOIN LATERAL resolve_recipient(asked.local_part, asked.domain) r
LEFT JOIN LATERAL (SELECT * FROM mailing_list WHERE id = r.mailing_list_id) l ON true
ORDER BY asked.place;

-- name: sender
SELECT can_use_transactional_email FROM domain WHERE name = lower(%(domain)s::text COLLATE "C");

-- name: senders_of_tokens
SELECT token, address FROM srs_token WHERE token = ANY (%(tokens)s);

-- name: keep_tokens
INSERT INTO srs_token (token, address, used_at)
SELECT token, address, %(now)s::timestamptz FROM unnest(%(tokens)s::text[], %(addresses)s::text[]) t (token, address)
ON CONFLICT (token) DO UPDATE SET used_at = EXCLUDED.used_at
WHERE srs_token.used_at < EXCLUDED.used_at - interval '1 day';

-- name: forget_tokens
DELETE FROM srs_token WHERE token IN (
    SELECT token FROM srs_token WHERE used_at < %(before)s ORDER BY used_at LIMIT %(limit)s);
