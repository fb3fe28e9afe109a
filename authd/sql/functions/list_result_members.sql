-- What a mailing list's address resolves to where its members shall stand in for it.
CREATE OR REPLACE FUNCTION authd.spapi_list_result(list_id bigint, list_address text)
RETURNS SETOF text LANGUAGE sql STABLE SET search_path = authd, pg_temp AS $$
    SELECT m.address FROM mailing_list_member m WHERE m.mailing_list_id = list_id ORDER BY lower(m.address);
$$;
REVOKE ALL ON FUNCTION authd.spapi_list_result(bigint, text) FROM PUBLIC;
