-- The hash that a login's password must match (spapi.md): of an account by any of its aliases, or of a service user.
-- With a permission named, only for logins that may use it; limited service users may use nothing else.
CREATE OR REPLACE FUNCTION public.authserver_get_credentials(login varchar)
RETURNS TABLE (username varchar, password varchar, primary_alias varchar)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = authd, pg_temp AS $$
    SELECT $1, c.password_hash::varchar, c.primary_address::varchar FROM spapi_credentials($1, NULL) c;
$$;

CREATE OR REPLACE FUNCTION public.authserver_get_credentials(login varchar, required_permission varchar)
RETURNS TABLE (username varchar, password varchar, primary_alias varchar)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = authd, pg_temp AS $$
    SELECT $1, c.password_hash::varchar, c.primary_address::varchar FROM spapi_credentials($1, $2) c;
$$;

REVOKE ALL ON FUNCTION public.authserver_get_credentials(varchar) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.authserver_get_credentials(varchar, varchar) FROM PUBLIC;
