-- Every mailbox that mail is delivered to, then @domain for each domain that is redirected (spapi.md).
CREATE OR REPLACE FUNCTION public.authserver_iterate_users()
RETURNS TABLE (userid varchar)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = authd, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT (p.local_part || '@' || d.name)::varchar
        FROM account a JOIN alias p ON p.id = a.primary_alias_id JOIN domain d ON d.id = p.domain_id
        WHERE a.is_active;
    RETURN QUERY
        SELECT ('@' || d.name)::varchar FROM domain d WHERE d.redirect_to IS NOT NULL ORDER BY d.name;
END $$;
REVOKE ALL ON FUNCTION public.authserver_iterate_users() FROM PUBLIC;
