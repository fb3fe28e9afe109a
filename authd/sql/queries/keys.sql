-- The keys of domains and of the issuer.

-- name: domains_with_keys
SELECT d.name, CASE %(purpose)s WHEN 'jwt' THEN d.jwt_subdomains ELSE d.dkim_subdomains END,
       k.id, k.purpose, k.algorithm, k.selector, k.kid, k.private_key, k.cipher_key, k.public_key, k.certificate,
       k.active_from, k.retired_at, k.published_until
FROM domain d LEFT JOIN signing_key k ON k.domain_id = d.id AND k.purpose = %(purpose)s
WHERE d.name = ANY (%(names)s);

-- name: keys_of_domain
SELECT id, purpose, algorithm, selector, kid, private_key, cipher_key, public_key, certificate,
       active_from, retired_at, published_until
FROM signing_key
WHERE domain_id = %(domain_id)s
ORDER BY id;

-- name: issuer_keys
SELECT id, purpose, algorithm, selector, kid, private_key, cipher_key, public_key, certificate,
       active_from, retired_at, published_until
FROM signing_key
WHERE domain_id IS NULL
ORDER BY id;

-- name: lock_issuer
SELECT pg_advisory_xact_lock(hashtext('authd.signing_key.issuer'));

-- name: published
SELECT kid, algorithm, public_key, active_from, retired_at, published_until
FROM signing_key
WHERE purpose = 'jwt' AND (retired_at IS NULL OR retired_at > %(now)s OR published_until > %(now)s)
ORDER BY domain_id NULLS FIRST, id;

-- name: insert
INSERT INTO signing_key (domain_id, purpose, algorithm, selector, kid, private_key, cipher_key, public_key,
                         created_at, active_from)
VALUES (%(domain_id)s, %(purpose)s, %(algorithm)s, %(selector)s, %(kid)s, %(private_key)s, %(cipher_key)s, %(public_key)s,
        %(created_at)s, %(active_from)s)
RETURNING id;

-- name: retire
UPDATE signing_key
SET active_from = least(active_from, %(retired_at)s), retired_at = %(retired_at)s, published_until = %(published_until)s
WHERE id = %(id)s AND (retired_at IS NULL OR retired_at > %(retired_at)s);

-- name: schedule
UPDATE signing_key
SET active_from = %(active_from)s, retired_at = %(retired_at)s, published_until = %(published_until)s
WHERE id = %(id)s;

-- name: remove
DELETE FROM signing_key WHERE id = %(id)s;

-- name: replace_certificate
UPDATE signing_key SET certificate = %(new)s
WHERE id = %(id)s AND certificate IS NOT DISTINCT FROM %(old)s
RETURNING certificate;

-- name: certificate
SELECT certificate FROM signing_key WHERE id = %(id)s;
