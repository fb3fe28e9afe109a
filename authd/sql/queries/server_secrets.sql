-- name: find
SELECT value FROM server_secret WHERE name = %(name)s;

-- name: make
INSERT INTO server_secret (name, value) VALUES (%(name)s, %(value)s) ON CONFLICT (name) DO NOTHING;
