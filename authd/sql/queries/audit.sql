-- name: write
INSERT INTO audit (actor, account_uuid, remote_address, action, object_kind, object_name, old_values, new_values,
                   aggregate_key)
VALUES (%(actor)s, %(account_uuid)s, %(remote_address)s::inet, %(action)s, %(object_kind)s, %(object_name)s, %(old)s,
        %(new)s, %(aggregate_key)s)
ON CONFLICT (aggregate_key) DO UPDATE SET repeats = audit.repeats + 1;

-- name: page
SELECT id, at, actor, account_uuid, host(remote_address), action, object_kind, object_name, old_values, new_values,
       repeats
FROM audit
WHERE (%(account_uuid)s::uuid IS NULL OR account_uuid = %(account_uuid)s::uuid)
  AND (%(object_kind)s::text IS NULL OR object_kind = %(object_kind)s::text)
  AND (%(object_name)s::text IS NULL OR object_name = %(object_name)s::text)
  AND (%(before)s::timestamptz IS NULL OR (at, id) < (%(before)s::timestamptz, %(before_id)s::bigint))
ORDER BY at DESC, id DESC
LIMIT %(limit)s;
