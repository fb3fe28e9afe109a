CREATE SCHEMA authd;
CREATE FUNCTION authd.notify_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify('authd_change', TG_ARGV[0]);
    RETURN NULL;
END $$;
CREATE FUNCTION authd.resolve_recipient(recipient_local_part text, recipient_domain text, OUT kind text, OUT our_domain text, OUT primary_address text, OUT mailing_list_id bigint, OUT redirect_to text, OUT srs_domain text) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'authd', 'pg_temp'
    AS $$
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
CREATE FUNCTION authd.resolve_recipients(local_parts text[], domains text[], sender_domains text[]) RETURNS TABLE(local_part text, domain_name text, kind text, srs_domain text, primary_address text, redirect_to text, list_id bigint, list_name text, new_mailfrom text, list_headers boolean, owner_address text, list_address text, members text[], sender_allows boolean)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'authd', 'pg_temp'
    AS $$
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
CREATE FUNCTION authd.spapi_credentials(login text, required text) RETURNS TABLE(password_hash text, primary_address text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'authd', 'pg_temp'
    AS $_$
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
END $_$;
CREATE FUNCTION authd.spapi_list_result(list_id bigint, list_address text) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path TO 'authd', 'pg_temp'
    AS $$
    SELECT list_address;
$$;
CREATE TABLE authd.access_token (
    token_digest bytea NOT NULL,
    client_id bigint NOT NULL,
    account_uuid uuid,
    grant_id uuid,
    scopes text[] NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT access_token_token_digest_check CHECK ((length(token_digest) = 32))
);
CREATE TABLE authd.account (
    uuid uuid DEFAULT gen_random_uuid() NOT NULL,
    identifier text NOT NULL,
    full_name text DEFAULT ''::text NOT NULL,
    password_hash text,
    password_changed_at timestamp with time zone,
    primary_alias_id bigint,
    is_admin boolean DEFAULT false NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    service_users_only boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_login_at timestamp with time zone,
    time_zone text,
    language text,
    CONSTRAINT account_full_name_check CHECK ((length(full_name) <= 255)),
    CONSTRAINT account_identifier_check CHECK ((identifier ~ '^[^[:cntrl:]]{1,255}$'::text))
);
CREATE TABLE authd.account_group (
    id bigint NOT NULL,
    name text NOT NULL,
    CONSTRAINT account_group_name_check CHECK ((name ~ '^[^[:cntrl:]]{1,255}$'::text))
);
ALTER TABLE authd.account_group ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.account_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.account_permission (
    account_uuid uuid NOT NULL,
    permission_id bigint NOT NULL
);
CREATE TABLE authd.alias (
    id bigint NOT NULL,
    local_part text NOT NULL COLLATE pg_catalog."C",
    domain_id bigint NOT NULL,
    account_uuid uuid,
    mailing_list_id bigint,
    blocked boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT alias_check CHECK ((num_nonnulls(account_uuid, mailing_list_id) = 1)),
    CONSTRAINT alias_local_part_check CHECK ((local_part ~ '^[!-?A-~]{1,64}$'::text))
);
ALTER TABLE authd.alias ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.alias_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    actor text NOT NULL,
    account_uuid uuid,
    remote_address inet,
    action text NOT NULL,
    object_kind text DEFAULT ''::text NOT NULL,
    object_name text DEFAULT ''::text NOT NULL,
    old_values jsonb,
    new_values jsonb,
    repeats integer DEFAULT 1 NOT NULL,
    aggregate_key text
);
ALTER TABLE authd.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.authorization_code (
    code_digest bytea NOT NULL,
    grant_id uuid NOT NULL,
    redirect_uri text NOT NULL,
    redirect_uri_given boolean NOT NULL,
    code_challenge text,
    code_challenge_method text,
    issued_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    redeemed_at timestamp with time zone,
    CONSTRAINT authorization_code_check CHECK (((code_challenge IS NULL) = (code_challenge_method IS NULL))),
    CONSTRAINT authorization_code_code_challenge_method_check CHECK ((code_challenge_method = 'S256'::text)),
    CONSTRAINT authorization_code_code_digest_check CHECK ((length(code_digest) = 32))
);
CREATE TABLE authd.client (
    id bigint NOT NULL,
    client_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    client_type text DEFAULT 'confidential'::text NOT NULL,
    auth_method text DEFAULT 'client_secret'::text NOT NULL,
    domain_id bigint,
    is_active boolean DEFAULT true NOT NULL,
    skip_authorization boolean DEFAULT false NOT NULL,
    pkce_required boolean DEFAULT true NOT NULL,
    always_refresh boolean DEFAULT false NOT NULL,
    access_token_format text DEFAULT 'opaque'::text NOT NULL,
    id_token_alg text DEFAULT 'RS256'::text NOT NULL,
    subject_type text DEFAULT 'public'::text NOT NULL,
    grant_types text[] DEFAULT '{authorization_code,refresh_token}'::text[] NOT NULL,
    redirect_uris text[] DEFAULT '{}'::text[] NOT NULL,
    post_logout_redirect_uris text[] DEFAULT '{}'::text[] NOT NULL,
    allowed_origins text[] DEFAULT '{}'::text[] NOT NULL,
    cas_services text[] DEFAULT '{}'::text[] NOT NULL,
    backchannel_logout_uri text,
    jwks jsonb,
    jwks_uri text,
    logo_uri text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT client_access_token_format_check CHECK ((access_token_format = ANY (ARRAY['opaque'::text, 'jwt'::text]))),
    CONSTRAINT client_auth_method_check CHECK ((auth_method = ANY (ARRAY['none'::text, 'client_secret'::text, 'client_secret_basic'::text, 'client_secret_post'::text, 'private_key_jwt'::text, 'tls_client_auth'::text, 'self_signed_tls_client_auth'::text]))),
    CONSTRAINT client_check CHECK (((client_type = 'public'::text) = (auth_method = 'none'::text))),
    CONSTRAINT client_check1 CHECK ((NOT ((client_type = 'public'::text) AND ('client_credentials'::text = ANY (grant_types))))),
    CONSTRAINT client_client_id_check CHECK ((client_id ~ '^[!-~]{1,255}$'::text)),
    CONSTRAINT client_client_type_check CHECK ((client_type = ANY (ARRAY['confidential'::text, 'public'::text]))),
    CONSTRAINT client_grant_types_check CHECK ((grant_types <@ '{authorization_code,refresh_token,client_credentials,password,urn:ietf:params:oauth:grant-type:device_code}'::text[])),
    CONSTRAINT client_id_token_alg_check CHECK ((id_token_alg = ANY (ARRAY['RS256'::text, 'ES256'::text, 'EdDSA'::text]))),
    CONSTRAINT client_name_check CHECK ((name ~ '^[^[:cntrl:]]{1,255}$'::text)),
    CONSTRAINT client_subject_type_check CHECK ((subject_type = ANY (ARRAY['public'::text, 'pairwise'::text])))
);
ALTER TABLE authd.client ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.client_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.client_required_permission (
    client_id bigint NOT NULL,
    permission_id bigint NOT NULL
);
CREATE TABLE authd.client_secret (
    id bigint NOT NULL,
    client_id bigint NOT NULL,
    secret_hash text NOT NULL,
    generated boolean NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone
);
ALTER TABLE authd.client_secret ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.client_secret_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.consent (
    account_uuid uuid NOT NULL,
    client_id bigint NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE authd.delivered_copy (
    message_digest bytea NOT NULL,
    original_recipient text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    recipient text NOT NULL COLLATE pg_catalog."C",
    delivered_at timestamp with time zone NOT NULL,
    CONSTRAINT delivered_copy_message_digest_check CHECK ((length(message_digest) = 32)),
    CONSTRAINT delivered_copy_original_recipient_check CHECK ((length(original_recipient) <= 600)),
    CONSTRAINT delivered_copy_recipient_check CHECK ((length(recipient) <= 600)),
    CONSTRAINT delivered_copy_target_check CHECK ((length(target) <= 600))
);
CREATE TABLE authd.docker_certificate (
    registry_id bigint NOT NULL,
    key_id bigint NOT NULL,
    certificate bytea NOT NULL
);
CREATE TABLE authd.docker_refresh_token (
    id bigint NOT NULL,
    token_digest bytea NOT NULL,
    registry_id bigint NOT NULL,
    account_uuid uuid NOT NULL,
    service_user_id bigint,
    client text NOT NULL,
    password_changed_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone NOT NULL,
    CONSTRAINT docker_refresh_token_client_check CHECK ((length(client) <= 255)),
    CONSTRAINT docker_refresh_token_token_digest_check CHECK ((length(token_digest) = 32))
);
ALTER TABLE authd.docker_refresh_token ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.docker_refresh_token_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.docker_registry (
    id bigint NOT NULL,
    service text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    domain_id bigint NOT NULL,
    token_header text DEFAULT 'x5c'::text NOT NULL,
    anonymous_pull boolean DEFAULT false NOT NULL,
    anonymous_push boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT docker_registry_name_check CHECK ((name ~ '^[^[:cntrl:]]{1,255}$'::text)),
    CONSTRAINT docker_registry_service_check CHECK ((service ~ '^[!-~]{1,255}$'::text)),
    CONSTRAINT docker_registry_token_header_check CHECK ((token_header = ANY (ARRAY['x5c'::text, 'rfc7638-kid'::text, 'libtrust-kid'::text])))
);
ALTER TABLE authd.docker_registry ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.docker_registry_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.docker_repository (
    registry_id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT docker_repository_name_check CHECK ((name ~ '^[a-z0-9._/-]{1,255}$'::text))
);
CREATE TABLE authd.docker_right (
    id bigint NOT NULL,
    registry_id bigint NOT NULL,
    pattern text COLLATE pg_catalog."C",
    account_uuid uuid,
    group_id bigint,
    actions text[] NOT NULL,
    CONSTRAINT docker_right_actions_check CHECK (((actions <@ '{pull,push,delete}'::text[]) AND ((cardinality(actions) >= 1) AND (cardinality(actions) <= 3)))),
    CONSTRAINT docker_right_check CHECK ((num_nonnulls(account_uuid, group_id) < 2)),
    CONSTRAINT docker_right_check1 CHECK (((num_nonnulls(account_uuid, group_id) = 1) OR ((pattern IS NOT NULL) AND (NOT ('delete'::text = ANY (actions)))))),
    CONSTRAINT docker_right_pattern_check CHECK ((pattern ~ '^[a-z0-9._/*-]{1,255}$'::text))
);
ALTER TABLE authd.docker_right ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.docker_right_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.domain (
    id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    redirect_to text,
    redirect_mode text,
    dkim_subdomains boolean DEFAULT false NOT NULL,
    jwt_subdomains boolean DEFAULT false NOT NULL,
    can_use_transactional_email boolean DEFAULT false NOT NULL,
    srs_domain text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT domain_check CHECK (((redirect_to IS NULL) = (redirect_mode IS NULL))),
    CONSTRAINT domain_name_check CHECK (((name ~ '^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$'::text) AND (length(name) <= 253))),
    CONSTRAINT domain_redirect_mode_check CHECK ((redirect_mode = ANY (ARRAY['all'::text, 'rest'::text])))
);
ALTER TABLE authd.domain ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.domain_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.group_member (
    group_id bigint NOT NULL,
    account_uuid uuid NOT NULL
);
CREATE TABLE authd.group_permission (
    group_id bigint NOT NULL,
    permission_id bigint NOT NULL
);
CREATE VIEW authd.held_permission AS
 SELECT account_permission.account_uuid,
    account_permission.permission_id
   FROM authd.account_permission
UNION
 SELECT m.account_uuid,
    p.permission_id
   FROM (authd.group_member m
     JOIN authd.group_permission p USING (group_id));
CREATE TABLE authd.known_address (
    account_uuid uuid NOT NULL,
    network cidr NOT NULL,
    last_used_at timestamp with time zone NOT NULL
);
CREATE TABLE authd.known_device (
    token_digest bytea NOT NULL,
    account_uuid uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone NOT NULL,
    CONSTRAINT known_device_token_digest_check CHECK ((length(token_digest) = 32))
);
CREATE TABLE authd.login_failure (
    subject text NOT NULL COLLATE pg_catalog."C",
    attempt_digest bytea NOT NULL,
    first_failed_at timestamp with time zone NOT NULL,
    last_failed_at timestamp with time zone NOT NULL
);
CREATE TABLE authd.mailing_list (
    id bigint NOT NULL,
    name text NOT NULL,
    owner_uuid uuid,
    new_mailfrom text,
    list_headers boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT mailing_list_name_check CHECK ((name ~ '^[^[:cntrl:]]{1,255}$'::text))
);
ALTER TABLE authd.mailing_list ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.mailing_list_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.mailing_list_member (
    mailing_list_id bigint NOT NULL,
    address text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT mailing_list_member_address_check CHECK (((address ~ '^[^@[:cntrl:]]+@[^@[:cntrl:]]+$'::text) AND (length(address) <= 320)))
);
CREATE TABLE authd.permission (
    id bigint NOT NULL,
    identifier text NOT NULL COLLATE pg_catalog."C",
    title text DEFAULT ''::text NOT NULL,
    CONSTRAINT permission_identifier_check CHECK (((identifier ~ '^[A-Za-z0-9_.:-]+$'::text) AND (length(identifier) <= 255)))
);
ALTER TABLE authd.permission ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.permission_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.refresh_token (
    token_digest bytea NOT NULL,
    grant_id uuid NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    rotated_at timestamp with time zone,
    successor_sealed bytea,
    CONSTRAINT refresh_token_check CHECK (((successor_sealed IS NULL) OR (rotated_at IS NOT NULL))),
    CONSTRAINT refresh_token_token_digest_check CHECK ((length(token_digest) = 32))
);
CREATE TABLE authd.reported_member (
    mailing_list_id bigint NOT NULL,
    address text NOT NULL COLLATE pg_catalog."C",
    reported_on date NOT NULL,
    CONSTRAINT reported_member_address_check CHECK ((length(address) <= 600))
);
CREATE TABLE authd.schema_migration (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    oldest_authd text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE authd.server_secret (
    name text NOT NULL,
    value bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE authd.service_user (
    id bigint NOT NULL,
    username text NOT NULL COLLATE pg_catalog."C",
    account_uuid uuid NOT NULL,
    password_hash text NOT NULL,
    generated boolean NOT NULL,
    limited boolean DEFAULT false NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone,
    CONSTRAINT service_user_username_check CHECK ((username ~ '^[!-?A-~]{1,64}$'::text))
);
ALTER TABLE authd.service_user ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.service_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.service_user_permission (
    service_user_id bigint NOT NULL,
    permission_id bigint NOT NULL
);
CREATE TABLE authd.session (
    id bigint NOT NULL,
    token_digest bytea NOT NULL,
    sid uuid DEFAULT gen_random_uuid() NOT NULL,
    account_uuid uuid NOT NULL,
    service_user_id bigint,
    amr text[] NOT NULL,
    acr text DEFAULT '1'::text NOT NULL,
    authenticated_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    remote_address inet,
    user_agent text DEFAULT ''::text NOT NULL,
    CONSTRAINT session_token_digest_check CHECK ((length(token_digest) = 32)),
    CONSTRAINT session_user_agent_check CHECK ((length(user_agent) <= 400))
);
ALTER TABLE authd.session ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.session_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.signing_key (
    id bigint NOT NULL,
    domain_id bigint,
    purpose text NOT NULL,
    algorithm text NOT NULL,
    selector text COLLATE pg_catalog."C",
    kid text COLLATE pg_catalog."C",
    private_key bytea NOT NULL,
    cipher_key text,
    public_key bytea NOT NULL,
    certificate bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    active_from timestamp with time zone DEFAULT now() NOT NULL,
    retired_at timestamp with time zone,
    published_until timestamp with time zone,
    CONSTRAINT signing_key_check CHECK (
CASE purpose
    WHEN 'dkim'::text THEN ((domain_id IS NOT NULL) AND (selector IS NOT NULL) AND (kid IS NULL) AND (algorithm = ANY (ARRAY['RSA-1024'::text, 'RSA-2048'::text, 'RSA-3072'::text, 'RSA-4096'::text, 'Ed25519'::text])))
    ELSE ((selector IS NULL) AND (kid IS NOT NULL) AND (algorithm = ANY (ARRAY['RSA-2048'::text, 'RSA-3072'::text, 'RSA-4096'::text, 'ES256'::text, 'EdDSA'::text])))
END),
    CONSTRAINT signing_key_check1 CHECK (((retired_at IS NULL) OR (retired_at >= active_from))),
    CONSTRAINT signing_key_check2 CHECK (((published_until IS NULL) OR (retired_at IS NOT NULL))),
    CONSTRAINT signing_key_purpose_check CHECK ((purpose = ANY (ARRAY['jwt'::text, 'dkim'::text]))),
    CONSTRAINT signing_key_selector_check CHECK (((selector ~ '^[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$'::text) AND (length(selector) <= 63)))
);
ALTER TABLE authd.signing_key ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME authd.signing_key_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE authd.srs_token (
    token text NOT NULL COLLATE pg_catalog."C",
    address text NOT NULL,
    used_at timestamp with time zone NOT NULL,
    CONSTRAINT srs_token_address_check CHECK ((length(address) <= 600)),
    CONSTRAINT srs_token_token_check CHECK ((token ~ '^[a-z2-7]{16,32}$'::text))
);
CREATE TABLE authd.token_grant (
    id uuid NOT NULL,
    client_id bigint NOT NULL,
    account_uuid uuid NOT NULL,
    service_user_id bigint,
    session_id bigint,
    sid uuid,
    scopes text[] NOT NULL,
    auth_time timestamp with time zone NOT NULL,
    acr text NOT NULL,
    amr text[] NOT NULL,
    nonce text,
    claims jsonb,
    created_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone
);
ALTER TABLE ONLY authd.access_token
    ADD CONSTRAINT access_token_pkey PRIMARY KEY (token_digest);
ALTER TABLE ONLY authd.account_group
    ADD CONSTRAINT account_group_name_key UNIQUE (name);
ALTER TABLE ONLY authd.account_group
    ADD CONSTRAINT account_group_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.account_permission
    ADD CONSTRAINT account_permission_pkey PRIMARY KEY (account_uuid, permission_id);
ALTER TABLE ONLY authd.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (uuid);
ALTER TABLE ONLY authd.alias
    ADD CONSTRAINT alias_account_uuid_id_key UNIQUE (account_uuid, id);
ALTER TABLE ONLY authd.alias
    ADD CONSTRAINT alias_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.audit
    ADD CONSTRAINT audit_aggregate_key_key UNIQUE (aggregate_key);
ALTER TABLE ONLY authd.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.authorization_code
    ADD CONSTRAINT authorization_code_grant_id_key UNIQUE (grant_id);
ALTER TABLE ONLY authd.authorization_code
    ADD CONSTRAINT authorization_code_pkey PRIMARY KEY (code_digest);
ALTER TABLE ONLY authd.client
    ADD CONSTRAINT client_client_id_key UNIQUE (client_id);
ALTER TABLE ONLY authd.client
    ADD CONSTRAINT client_name_key UNIQUE (name);
ALTER TABLE ONLY authd.client
    ADD CONSTRAINT client_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.client_required_permission
    ADD CONSTRAINT client_required_permission_pkey PRIMARY KEY (client_id, permission_id);
ALTER TABLE ONLY authd.client_secret
    ADD CONSTRAINT client_secret_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.consent
    ADD CONSTRAINT consent_pkey PRIMARY KEY (account_uuid, client_id);
ALTER TABLE ONLY authd.delivered_copy
    ADD CONSTRAINT delivered_copy_pkey PRIMARY KEY (message_digest, original_recipient, target, recipient);
ALTER TABLE ONLY authd.docker_certificate
    ADD CONSTRAINT docker_certificate_pkey PRIMARY KEY (registry_id, key_id);
ALTER TABLE ONLY authd.docker_refresh_token
    ADD CONSTRAINT docker_refresh_token_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.docker_refresh_token
    ADD CONSTRAINT docker_refresh_token_token_digest_key UNIQUE (token_digest);
ALTER TABLE ONLY authd.docker_registry
    ADD CONSTRAINT docker_registry_name_key UNIQUE (name);
ALTER TABLE ONLY authd.docker_registry
    ADD CONSTRAINT docker_registry_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.docker_registry
    ADD CONSTRAINT docker_registry_service_key UNIQUE (service);
ALTER TABLE ONLY authd.docker_repository
    ADD CONSTRAINT docker_repository_pkey PRIMARY KEY (registry_id, name);
ALTER TABLE ONLY authd.docker_right
    ADD CONSTRAINT docker_right_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.domain
    ADD CONSTRAINT domain_name_key UNIQUE (name);
ALTER TABLE ONLY authd.domain
    ADD CONSTRAINT domain_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.group_member
    ADD CONSTRAINT group_member_pkey PRIMARY KEY (account_uuid, group_id);
ALTER TABLE ONLY authd.group_permission
    ADD CONSTRAINT group_permission_pkey PRIMARY KEY (group_id, permission_id);
ALTER TABLE ONLY authd.known_address
    ADD CONSTRAINT known_address_pkey PRIMARY KEY (account_uuid, network);
ALTER TABLE ONLY authd.known_device
    ADD CONSTRAINT known_device_pkey PRIMARY KEY (token_digest);
ALTER TABLE ONLY authd.login_failure
    ADD CONSTRAINT login_failure_pkey PRIMARY KEY (subject, attempt_digest);
ALTER TABLE ONLY authd.mailing_list
    ADD CONSTRAINT mailing_list_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.permission
    ADD CONSTRAINT permission_identifier_key UNIQUE (identifier);
ALTER TABLE ONLY authd.permission
    ADD CONSTRAINT permission_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.refresh_token
    ADD CONSTRAINT refresh_token_pkey PRIMARY KEY (token_digest);
ALTER TABLE ONLY authd.reported_member
    ADD CONSTRAINT reported_member_pkey PRIMARY KEY (mailing_list_id, address);
ALTER TABLE ONLY authd.schema_migration
    ADD CONSTRAINT schema_migration_pkey PRIMARY KEY (number);
ALTER TABLE ONLY authd.server_secret
    ADD CONSTRAINT server_secret_pkey PRIMARY KEY (name);
ALTER TABLE ONLY authd.service_user_permission
    ADD CONSTRAINT service_user_permission_pkey PRIMARY KEY (service_user_id, permission_id);
ALTER TABLE ONLY authd.service_user
    ADD CONSTRAINT service_user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.session
    ADD CONSTRAINT session_sid_key UNIQUE (sid);
ALTER TABLE ONLY authd.session
    ADD CONSTRAINT session_token_digest_key UNIQUE (token_digest);
ALTER TABLE ONLY authd.signing_key
    ADD CONSTRAINT signing_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authd.srs_token
    ADD CONSTRAINT srs_token_pkey PRIMARY KEY (token);
ALTER TABLE ONLY authd.token_grant
    ADD CONSTRAINT token_grant_pkey PRIMARY KEY (id);
CREATE INDEX access_token_account ON authd.access_token USING btree (account_uuid) WHERE (account_uuid IS NOT NULL);
CREATE INDEX access_token_client ON authd.access_token USING btree (client_id);
CREATE INDEX access_token_expiry ON authd.access_token USING btree (expires_at);
CREATE INDEX access_token_grant ON authd.access_token USING btree (grant_id) WHERE (grant_id IS NOT NULL);
CREATE INDEX account_admins ON authd.account USING btree (created_at) WHERE is_admin;
CREATE UNIQUE INDEX account_identifier ON authd.account USING btree (lower(identifier));
CREATE INDEX account_permission_permission ON authd.account_permission USING btree (permission_id);
CREATE INDEX account_primary_alias_id ON authd.account USING btree (primary_alias_id) WHERE (primary_alias_id IS NOT NULL);
CREATE UNIQUE INDEX alias_address ON authd.alias USING btree (domain_id, lower(local_part));
CREATE INDEX alias_mailing_list ON authd.alias USING btree (mailing_list_id) WHERE (mailing_list_id IS NOT NULL);
CREATE INDEX audit_account ON authd.audit USING btree (account_uuid, at);
CREATE INDEX audit_at ON authd.audit USING btree (at);
CREATE INDEX audit_object ON authd.audit USING btree (object_kind, object_name, at);
CREATE INDEX authorization_code_expiry ON authd.authorization_code USING btree (expires_at);
CREATE INDEX client_domain ON authd.client USING btree (domain_id) WHERE (domain_id IS NOT NULL);
CREATE INDEX client_required_permission_permission ON authd.client_required_permission USING btree (permission_id);
CREATE INDEX client_secret_client ON authd.client_secret USING btree (client_id);
CREATE INDEX consent_client ON authd.consent USING btree (client_id);
CREATE INDEX delivered_copy_expiry ON authd.delivered_copy USING btree (delivered_at);
CREATE INDEX docker_certificate_key ON authd.docker_certificate USING btree (key_id);
CREATE INDEX docker_refresh_token_account ON authd.docker_refresh_token USING btree (account_uuid);
CREATE INDEX docker_refresh_token_last_use ON authd.docker_refresh_token USING btree (last_used_at);
CREATE INDEX docker_refresh_token_registry ON authd.docker_refresh_token USING btree (registry_id);
CREATE INDEX docker_refresh_token_service_user ON authd.docker_refresh_token USING btree (service_user_id) WHERE (service_user_id IS NOT NULL);
CREATE INDEX docker_registry_domain ON authd.docker_registry USING btree (domain_id);
CREATE INDEX docker_right_account ON authd.docker_right USING btree (account_uuid) WHERE (account_uuid IS NOT NULL);
CREATE INDEX docker_right_group ON authd.docker_right USING btree (group_id) WHERE (group_id IS NOT NULL);
CREATE UNIQUE INDEX docker_right_holder ON authd.docker_right USING btree (registry_id, COALESCE(pattern, ''::text), COALESCE((account_uuid)::text, ''::text), COALESCE(group_id, (0)::bigint));
CREATE INDEX domain_srs_domain ON authd.domain USING btree (srs_domain COLLATE "C") WHERE (srs_domain IS NOT NULL);
CREATE INDEX group_member_group ON authd.group_member USING btree (group_id);
CREATE INDEX group_permission_permission ON authd.group_permission USING btree (permission_id);
CREATE INDEX known_device_account ON authd.known_device USING btree (account_uuid);
CREATE INDEX login_failure_expiry ON authd.login_failure USING btree (last_failed_at);
CREATE UNIQUE INDEX mailing_list_member_address ON authd.mailing_list_member USING btree (mailing_list_id, lower(address));
CREATE UNIQUE INDEX mailing_list_name ON authd.mailing_list USING btree (lower(name));
CREATE INDEX mailing_list_new_mailfrom ON authd.mailing_list USING btree (lower(new_mailfrom)) WHERE (new_mailfrom IS NOT NULL);
CREATE INDEX mailing_list_owner ON authd.mailing_list USING btree (owner_uuid);
CREATE INDEX refresh_token_expiry ON authd.refresh_token USING btree (expires_at);
CREATE INDEX refresh_token_grant ON authd.refresh_token USING btree (grant_id);
CREATE INDEX service_user_account ON authd.service_user USING btree (account_uuid);
CREATE INDEX service_user_permission_permission ON authd.service_user_permission USING btree (permission_id);
CREATE UNIQUE INDEX service_user_username ON authd.service_user USING btree (lower(username));
CREATE INDEX session_account ON authd.session USING btree (account_uuid);
CREATE INDEX session_expiry ON authd.session USING btree (expires_at);
CREATE INDEX session_service_user ON authd.session USING btree (service_user_id) WHERE (service_user_id IS NOT NULL);
CREATE INDEX signing_key_domain ON authd.signing_key USING btree (domain_id, purpose);
CREATE UNIQUE INDEX signing_key_kid ON authd.signing_key USING btree (kid) WHERE (purpose = 'jwt'::text);
CREATE UNIQUE INDEX signing_key_selector ON authd.signing_key USING btree (domain_id, selector) WHERE (purpose = 'dkim'::text);
CREATE INDEX srs_token_expiry ON authd.srs_token USING btree (used_at);
CREATE INDEX token_grant_account ON authd.token_grant USING btree (account_uuid, client_id);
CREATE INDEX token_grant_client ON authd.token_grant USING btree (client_id);
CREATE INDEX token_grant_service_user ON authd.token_grant USING btree (service_user_id) WHERE (service_user_id IS NOT NULL);
CREATE INDEX token_grant_session ON authd.token_grant USING btree (session_id) WHERE (session_id IS NOT NULL);
CREATE TRIGGER domain_changed AFTER INSERT OR DELETE OR UPDATE ON authd.domain FOR EACH STATEMENT EXECUTE FUNCTION authd.notify_change('keys');
CREATE TRIGGER signing_key_changed AFTER INSERT OR DELETE OR UPDATE ON authd.signing_key FOR EACH STATEMENT EXECUTE FUNCTION authd.notify_change('keys');
ALTER TABLE ONLY authd.access_token
    ADD CONSTRAINT access_token_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.access_token
    ADD CONSTRAINT access_token_client_id_fkey FOREIGN KEY (client_id) REFERENCES authd.client(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.access_token
    ADD CONSTRAINT access_token_grant_id_fkey FOREIGN KEY (grant_id) REFERENCES authd.token_grant(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.account_permission
    ADD CONSTRAINT account_permission_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.account_permission
    ADD CONSTRAINT account_permission_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES authd.permission(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.account
    ADD CONSTRAINT account_primary_alias FOREIGN KEY (uuid, primary_alias_id) REFERENCES authd.alias(account_uuid, id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY authd.alias
    ADD CONSTRAINT alias_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.alias
    ADD CONSTRAINT alias_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES authd.domain(id) ON DELETE RESTRICT;
ALTER TABLE ONLY authd.alias
    ADD CONSTRAINT alias_mailing_list_id_fkey FOREIGN KEY (mailing_list_id) REFERENCES authd.mailing_list(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.authorization_code
    ADD CONSTRAINT authorization_code_grant_id_fkey FOREIGN KEY (grant_id) REFERENCES authd.token_grant(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.client
    ADD CONSTRAINT client_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES authd.domain(id) ON DELETE SET NULL;
ALTER TABLE ONLY authd.client_required_permission
    ADD CONSTRAINT client_required_permission_client_id_fkey FOREIGN KEY (client_id) REFERENCES authd.client(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.client_required_permission
    ADD CONSTRAINT client_required_permission_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES authd.permission(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.client_secret
    ADD CONSTRAINT client_secret_client_id_fkey FOREIGN KEY (client_id) REFERENCES authd.client(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.consent
    ADD CONSTRAINT consent_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.consent
    ADD CONSTRAINT consent_client_id_fkey FOREIGN KEY (client_id) REFERENCES authd.client(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.docker_certificate
    ADD CONSTRAINT docker_certificate_key_id_fkey FOREIGN KEY (key_id) REFERENCES authd.signing_key(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.docker_certificate
    ADD CONSTRAINT docker_certificate_registry_id_fkey FOREIGN KEY (registry_id) REFERENCES authd.docker_registry(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.docker_refresh_token
    ADD CONSTRAINT docker_refresh_token_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.docker_refresh_token
    ADD CONSTRAINT docker_refresh_token_registry_id_fkey FOREIGN KEY (registry_id) REFERENCES authd.docker_registry(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.docker_refresh_token
    ADD CONSTRAINT docker_refresh_token_service_user_id_fkey FOREIGN KEY (service_user_id) REFERENCES authd.service_user(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.docker_registry
    ADD CONSTRAINT docker_registry_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES authd.domain(id) ON DELETE RESTRICT;
ALTER TABLE ONLY authd.docker_repository
    ADD CONSTRAINT docker_repository_registry_id_fkey FOREIGN KEY (registry_id) REFERENCES authd.docker_registry(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.docker_right
    ADD CONSTRAINT docker_right_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.docker_right
    ADD CONSTRAINT docker_right_group_id_fkey FOREIGN KEY (group_id) REFERENCES authd.account_group(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.docker_right
    ADD CONSTRAINT docker_right_registry_id_fkey FOREIGN KEY (registry_id) REFERENCES authd.docker_registry(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.group_member
    ADD CONSTRAINT group_member_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.group_member
    ADD CONSTRAINT group_member_group_id_fkey FOREIGN KEY (group_id) REFERENCES authd.account_group(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.group_permission
    ADD CONSTRAINT group_permission_group_id_fkey FOREIGN KEY (group_id) REFERENCES authd.account_group(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.group_permission
    ADD CONSTRAINT group_permission_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES authd.permission(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.known_address
    ADD CONSTRAINT known_address_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.known_device
    ADD CONSTRAINT known_device_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.mailing_list_member
    ADD CONSTRAINT mailing_list_member_mailing_list_id_fkey FOREIGN KEY (mailing_list_id) REFERENCES authd.mailing_list(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.mailing_list
    ADD CONSTRAINT mailing_list_owner_uuid_fkey FOREIGN KEY (owner_uuid) REFERENCES authd.account(uuid) ON DELETE SET NULL;
ALTER TABLE ONLY authd.refresh_token
    ADD CONSTRAINT refresh_token_grant_id_fkey FOREIGN KEY (grant_id) REFERENCES authd.token_grant(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.reported_member
    ADD CONSTRAINT reported_member_mailing_list_id_fkey FOREIGN KEY (mailing_list_id) REFERENCES authd.mailing_list(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.service_user
    ADD CONSTRAINT service_user_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.service_user_permission
    ADD CONSTRAINT service_user_permission_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES authd.permission(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.service_user_permission
    ADD CONSTRAINT service_user_permission_service_user_id_fkey FOREIGN KEY (service_user_id) REFERENCES authd.service_user(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.session
    ADD CONSTRAINT session_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.session
    ADD CONSTRAINT session_service_user_id_fkey FOREIGN KEY (service_user_id) REFERENCES authd.service_user(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.signing_key
    ADD CONSTRAINT signing_key_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES authd.domain(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.token_grant
    ADD CONSTRAINT token_grant_account_uuid_fkey FOREIGN KEY (account_uuid) REFERENCES authd.account(uuid) ON DELETE CASCADE;
ALTER TABLE ONLY authd.token_grant
    ADD CONSTRAINT token_grant_client_id_fkey FOREIGN KEY (client_id) REFERENCES authd.client(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.token_grant
    ADD CONSTRAINT token_grant_service_user_id_fkey FOREIGN KEY (service_user_id) REFERENCES authd.service_user(id) ON DELETE CASCADE;
ALTER TABLE ONLY authd.token_grant
    ADD CONSTRAINT token_grant_session_id_fkey FOREIGN KEY (session_id) REFERENCES authd.session(id) ON DELETE SET NULL;
REVOKE ALL ON FUNCTION authd.resolve_recipient(recipient_local_part text, recipient_domain text, OUT kind text, OUT our_domain text, OUT primary_address text, OUT mailing_list_id bigint, OUT redirect_to text, OUT srs_domain text) FROM PUBLIC;
REVOKE ALL ON FUNCTION authd.resolve_recipients(local_parts text[], domains text[], sender_domains text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION authd.spapi_credentials(login text, required text) FROM PUBLIC;
REVOKE ALL ON FUNCTION authd.spapi_list_result(list_id bigint, list_address text) FROM PUBLIC;
