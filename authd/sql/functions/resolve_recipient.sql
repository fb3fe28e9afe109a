-- The order in which a recipient is resolved (smtp.md section 5): the one place of it, for the forwarder and for SPAPI.
--
-- kind             foreign (not at a domain of ours), srs, redirect, account, list, blocked, inactive, postmaster, unknown
-- our_domain       the domain of ours that the recipient is at; of a postmaster without a domain, the first admin's
-- primary_address  of an account, and for postmaster of the first admin who has one; else NULL
-- mailing_list_id  of a list
-- redirect_to      of a redirect: an address, or a domain that takes every local part
-- srs_domain       where senders of what is forwarded for this recipient are rewritten to
CREATE OR REPLACE FUNCTION authd.resolve_recipient(
    recipient_local_part text, recipient_domain text,
    OUT kind text, OUT our_domain text, OUT primary_address text, OUT mailing_list_id bigint, OUT redirect_to text,
    OUT srs_domain text
) LANGUAGE plpgsql STABLE SET search_path = authd, pg_temp AS $$
DECLARE
    wanted text := lower(recipient_local_part COLLATE "C");
    is_srs boolean := wanted ~ '^srs[01][=+-]';
    home   record;
    hit    record;
    admin  record;
BEGIN
    SELECT d.id, d.name, d.redirect_to, d.redirect_mode, coalesce(d.srs_domain, d.name) AS srs_domain INTO home
        FROM domain d WHERE d.name = lower(recipient_domain COLLATE "C");
    our_domain := home.name;
    srs_domain := home.srs_domain;

    IF home.id IS NULL THEN
        IF is_srs THEN
            SELECT d.srs_domain, d.srs_domain INTO our_domain, srs_domain
                FROM domain d WHERE d.srs_domain = lower(recipient_domain COLLATE "C") LIMIT 1;
        END IF;
        kind := CASE WHEN our_domain IS NOT NULL THEN 'srs'
                     WHEN recipient_domain = '' AND wanted = 'postmaster' THEN 'postmaster'
                     ELSE 'foreign' END;
    ELSIF is_srs THEN
        kind := 'srs';
    ELSE
        SELECT lower(l.local_part) = wanted AS is_exact, l.blocked, l.mailing_list_id, a.is_active,
               p.local_part || '@' || pd.name AS primary_address
            INTO hit
            FROM alias l
            LEFT JOIN account a ON a.uuid = l.account_uuid
            LEFT JOIN alias p ON p.id = a.primary_alias_id
            LEFT JOIN domain pd ON pd.id = p.domain_id
            WHERE l.domain_id = home.id AND lower(l.local_part) IN (wanted, substring(wanted FROM '^[^-+]*'))
            ORDER BY is_exact DESC LIMIT 1;
        kind := CASE WHEN hit.is_exact AND hit.blocked THEN 'blocked'
                     WHEN home.redirect_mode = 'all' THEN 'redirect'
                     WHEN hit.blocked THEN 'blocked'
                     WHEN hit.mailing_list_id IS NOT NULL THEN 'list'
                     WHEN hit.is_active THEN 'account'
                     WHEN NOT hit.is_active THEN 'inactive'
                     WHEN home.redirect_mode = 'rest' THEN 'redirect'
                     WHEN wanted = 'postmaster' THEN 'postmaster'
                     ELSE 'unknown' END;
    END IF;

    IF kind = 'account' THEN
        primary_address := hit.primary_address;
    ELSIF kind = 'list' THEN
        mailing_list_id := hit.mailing_list_id;
    ELSIF kind = 'redirect' THEN
        redirect_to := home.redirect_to;
    ELSIF kind = 'postmaster' THEN
        SELECT p.local_part || '@' || d.name AS address, d.name, coalesce(d.srs_domain, d.name) AS srs_domain INTO admin
            FROM account a JOIN alias p ON p.id = a.primary_alias_id JOIN domain d ON d.id = p.domain_id
            WHERE a.is_admin AND a.is_active
            ORDER BY a.created_at, a.uuid LIMIT 1;
        primary_address := admin.address;
        our_domain := coalesce(our_domain, admin.name);
        srs_domain := coalesce(srs_domain, admin.srs_domain);
    END IF;
END $$;
REVOKE ALL ON FUNCTION authd.resolve_recipient(text, text) FROM PUBLIC;
