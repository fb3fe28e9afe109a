-- What the forwarder asks about addresses. The order in which one is resolved stands in ../functions/resolve_recipient.sql.

-- name: resolve
SELECT local_part, domain_name, kind, srs_domain, primary_address, redirect_to, list_id, list_name, new_mailfrom,
       list_headers, owner_address, list_address, members, sender_allows
FROM resolve_recipients(%(local_parts)s::text[], %(domains)s::text[], %(sender_domains)s::text[]);

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
