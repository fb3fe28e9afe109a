-- Whose password a login name is checked against (accounts.md, Logging in), for both forms of authserver_get_credentials.
-- required: the permission that is asked for, or NULL.
CREATE OR REPLACE FUNCTION authd.spapi_credentials(login text, required text)
RETURNS TABLE (password_hash text, primary_address text)
LANGUAGE plpgsql STABLE SET search_path = authd, pg_temp AS $$
DECLARE
    required_id bigint := (SELECT p.id FROM permission p WHERE p.identifier = required);
    found       record;
BEGIN
    IF required IS NOT NULL AND required_id IS NULL THEN
        RETURN;
    ELSIF login ~ '^[^@]+@[^@]+$' THEN
        SELECT a.uuid, a.password_hash, a.primary_alias_id, NULL::bigint AS service_user_id, false AS limited INTO found
            FROM domain d JOIN alias l ON l.domain_id = d.id JOIN account a ON a.uuid = l.account_uuid
            WHERE d.name = lower(split_part(login, '@', 2) COLLATE "C")
                AND lower(l.local_part) = lower(split_part(login, '@', 1) COLLATE "C")
                AND a.is_active AND NOT a.service_users_only AND a.password_hash IS NOT NULL;
    ELSE
        SELECT a.uuid, s.password_hash, a.primary_alias_id, s.id AS service_user_id, s.limited INTO found
            FROM service_user s JOIN account a ON a.uuid = s.account_uuid
            WHERE lower(s.username) = lower(login COLLATE "C") AND a.is_active AND a.primary_alias_id IS NOT NULL
                AND (required_id IS NOT NULL OR NOT s.limited);
    END IF;
    RETURN QUERY
        SELECT found.password_hash,
               (SELECT p.local_part || '@' || d.name FROM alias p JOIN domain d ON d.id = p.domain_id
                WHERE p.id = found.primary_alias_id)
        WHERE found.uuid IS NOT NULL
            AND (required_id IS NULL
                 OR EXISTS (SELECT FROM held_permission h
                            WHERE h.account_uuid = found.uuid AND h.permission_id = required_id))
            AND (NOT found.limited
                 OR EXISTS (SELECT FROM service_user_permission s
                            WHERE s.service_user_id = found.service_user_id AND s.permission_id = required_id));
END $$;
REVOKE ALL ON FUNCTION authd.spapi_credentials(text, text) FROM PUBLIC;
