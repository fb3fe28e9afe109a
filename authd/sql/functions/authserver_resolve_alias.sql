-- What OpenSMTPD and Dovecot make of a recipient (spapi.md). What one address is, authd.resolve_recipient says.
CREATE OR REPLACE FUNCTION public.authserver_resolve_alias(address varchar, to_virtmail boolean DEFAULT false)
RETURNS TABLE (alias varchar)
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = authd, pg_temp AS $$
DECLARE
    asked_local_part text := split_part(address, '@', 1);
    asked_domain     text := split_part(address, '@', 2);
    found            record;
BEGIN
    IF address !~ '^[^@]+@[^@]+$' OR length(address) > 254 THEN
        RETURN;
    END IF;
    SELECT * INTO found FROM resolve_recipient(asked_local_part, asked_domain);
    IF found.kind = 'account' THEN
        alias := CASE WHEN to_virtmail AND lower(address COLLATE "C") = lower(found.primary_address COLLATE "C")
                      THEN 'virtmail' ELSE found.primary_address END;
    ELSIF found.kind = 'postmaster' THEN
        alias := found.primary_address;
    ELSIF found.kind IN ('list', 'redirect', 'srs') AND to_virtmail THEN
        alias := 'virtmail';
    ELSIF found.kind = 'list' THEN
        RETURN QUERY SELECT r.address::varchar FROM spapi_list_result(found.mailing_list_id, address) r (address);
    ELSIF found.kind = 'redirect' THEN
        alias := CASE WHEN found.redirect_to LIKE '%@%' THEN found.redirect_to ELSE '@' || found.our_domain END;
    ELSIF found.kind = 'srs' THEN
        alias := address;
    END IF;
    IF alias IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END $$;
REVOKE ALL ON FUNCTION public.authserver_resolve_alias(varchar, boolean) FROM PUBLIC;
