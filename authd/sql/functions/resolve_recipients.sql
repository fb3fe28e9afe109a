-- authd.resolve_recipient for many at once, in their order, with the lists that it finds. Behind them come the members of
-- those lists and the targets of redirects, resolved too, since whoever asks will ask for them next.
--
-- sender_allows  whether the sender that came with a recipient may use the transactional relay, by the domain of ours that it
--                is at; NULL where it is at none, and for what was not asked
--
-- In a function, as PostgreSQL keeps the plans of what is in one: those of a query over an array it makes anew each time.
-- What few lists have, an owner and fields of their own in what they send, is looked up only for those.
CREATE OR REPLACE FUNCTION authd.resolve_recipients(local_parts text[], domains text[], sender_domains text[])
RETURNS TABLE (local_part text, domain_name text, kind text, srs_domain text, primary_address text, redirect_to text,
               list_id bigint, list_name text, new_mailfrom text, list_headers boolean, owner_address text,
               list_address text, members text[], sender_allows boolean)
LANGUAGE plpgsql STABLE SET search_path = authd, pg_temp AS $$
DECLARE
    asked integer := cardinality(local_parts);
    place integer := 0;
    found record;
    owner uuid;
    member_local_parts text[];
    member_domains text[];
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
        list_name := NULL;
        new_mailfrom := NULL;
        list_headers := NULL;
        owner_address := NULL;
        list_address := NULL;
        members := NULL;
        IF list_id IS NOT NULL THEN
            SELECT l.name, l.new_mailfrom, l.list_headers, l.owner_uuid INTO list_name, new_mailfrom, list_headers, owner
                FROM mailing_list l WHERE l.id = list_id;
            IF owner IS NOT NULL THEN
                SELECT p.local_part || '@' || d.name INTO owner_address
                    FROM account a JOIN alias p ON p.id = a.primary_alias_id JOIN domain d ON d.id = p.domain_id
                    WHERE a.uuid = owner AND a.is_active;
            END IF;
            IF list_headers THEN
                SELECT p.local_part || '@' || d.name INTO list_address
                    FROM alias p JOIN domain d ON d.id = p.domain_id
                    WHERE p.mailing_list_id = list_id ORDER BY p.id LIMIT 1;
            END IF;
            SELECT coalesce(array_agg(m.address), '{}'), array_agg(split_part(m.address, '@', 1)),
                   array_agg(split_part(m.address, '@', 2))
                INTO members, member_local_parts, member_domains
                FROM (SELECT m.address FROM mailing_list_member m
                      WHERE m.mailing_list_id = list_id ORDER BY lower(m.address)) m;
        END IF;
        IF place <= asked AND kind = 'list' THEN
            local_parts := local_parts || member_local_parts;
            domains := domains || member_domains;
        ELSIF place <= asked AND kind = 'redirect' THEN
            local_parts := local_parts || CASE WHEN redirect_to LIKE '%@%' THEN split_part(redirect_to, '@', 1) ELSE local_part END;
            domains := domains || CASE WHEN redirect_to LIKE '%@%' THEN split_part(redirect_to, '@', 2) ELSE redirect_to END;
        END IF;
        sender_allows := NULL;
        IF place <= asked AND sender_domains[place] <> '' THEN
            SELECT d.can_use_transactional_email INTO sender_allows
                FROM domain d WHERE d.name = lower(sender_domains[place] COLLATE "C");
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION authd.resolve_recipients(text[], text[], text[]) FROM PUBLIC;
