-- Whether mail for a domain is delivered here (spapi.md): its name, or no row.
CREATE OR REPLACE FUNCTION public.authserver_check_domain(domain varchar)
RETURNS SETOF varchar
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = authd, pg_temp AS $$
    SELECT d.name::varchar FROM domain d WHERE d.name = lower($1 COLLATE "C");
$$;
REVOKE ALL ON FUNCTION public.authserver_check_domain(varchar) FROM PUBLIC;
