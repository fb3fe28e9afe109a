-- What a mailing list's address resolves to where it shall stay as it is: mail for it goes on to the forwarder.
CREATE OR REPLACE FUNCTION authd.spapi_list_result(list_id bigint, list_address text)
RETURNS SETOF text LANGUAGE sql STABLE SET search_path = authd, pg_temp AS $$
    SELECT list_address;
$$;
REVOKE ALL ON FUNCTION authd.spapi_list_result(bigint, text) FROM PUBLIC;
