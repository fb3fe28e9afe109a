-- authd.resolve_recipient for many at once, in their order, with the lists that it finds. Behind them come the members of
-- those lists and the targets of redirects, resolved too, since whoever asks will ask for them next.
--
-- In a function, as PostgreSQL keeps the plans of what is in one: those of a query over an array it makes anew each time.
CREATE OR REPLACE FUNCTION authd.resolve_recipients(local_parts text[], domains text[])
RETURNS TABLE (local_part text, domain_name text, kind text, srs_domain text, primary_address text, redirect_to text,
               list_id bigint, list_name text, new_mailfrom text, list_headers boolean, owner_address text,
               list_address text, members text[])
LANGUAGE plpgsql STABLE SET search_path = authd, pg_temp AS $$
DECLARE
    asked integer := cardinality(local_parts);
    place integer := 0;
    found record;
BEGIN
    WHILE place < cardinality(local_parts) LOOP
        place := place + 1;
        local_part := local_parts[place];
        domain_name := domains[place];
        found := resolve_recipient(local_part, domain_name);
        kind := found.kind;
        srs_domain := found.srs_domain;
        primary_address := found.primary_address;
        redirect_to := found.redirect_to;
        list_id := found.mailing_list_id;
        IF list_id IS NULL THEN
            list_name := NULL;
            new_mailfrom := NULL;
            list_headers := NULL;
            owner_address := NULL;
            list_address := NULL;
            members := NULL;
        ELSE
            SELECT l.name, l.new_mailfrom, l.list_headers, p.local_part || '@' || d.name
                INTO list_name, new_mailfrom, list_headers, owner_address
                FROM mailing_list l
                LEFT JOIN account a ON a.uuid = l.owner_uuid AND a.is_active
                LEFT JOIN alias p ON p.id = a.primary_alias_id
                LEFT JOIN domain d ON d.id = p.domain_id
                WHERE l.id = list_id;
            list_address := (SELECT p.local_part || '@' || d.name
                             FROM alias p JOIN domain d ON d.id = p.domain_id
                             WHERE p.mailing_list_id = list_id ORDER BY p.id LIMIT 1);
            members := ARRAY(SELECT m.address FROM mailing_list_member m
                             WHERE m.mailing_list_id = list_id ORDER BY lower(m.address));
        END IF;
        IF place <= asked AND kind = 'list' THEN
            local_parts := local_parts || ARRAY(SELECT split_part(m, '@', 1) FROM unnest(members) m);
            domains := domains || ARRAY(SELECT split_part(m, '@', 2) FROM unnest(members) m);
        ELSIF place <= asked AND kind = 'redirect' THEN
            local_parts := local_parts || CASE WHEN redirect_to LIKE '%@%' THEN split_part(redirect_to, '@', 1) ELSE local_part END;
            domains := domains || CASE WHEN redirect_to LIKE '%@%' THEN split_part(redirect_to, '@', 2) ELSE redirect_to END;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION authd.resolve_recipients(text[], text[]) FROM PUBLIC;
