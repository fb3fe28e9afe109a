-- oldest-authd: 0.1.0
-- Accounts, domains, keys, permissions, sessions, throttling and audit (accounts.md).
-- Bad states are impossible here rather than merely unlikely in the code: see the constraints.

-- Tells every process that rows behind one of its caches changed; the argument is the cache's name.
CREATE FUNCTION notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('authd_change', TG_ARGV[0]);
    RETURN NULL;
END $$;

-- Random values that all processes share (HMAC keys for forms, throttling and the like).
CREATE TABLE server_secret (
    name       text PRIMARY KEY,
    value      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE domain (
    id                          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                        text COLLATE "C" NOT NULL UNIQUE
                                CHECK (name ~ '^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$' AND length(name) <= 253),
    redirect_to                 text,
    redirect_mode               text CHECK (redirect_mode IN ('all', 'rest')),
    dkim_subdomains             boolean NOT NULL DEFAULT false,
    jwt_subdomains              boolean NOT NULL DEFAULT false,
    can_use_transactional_email boolean NOT NULL DEFAULT false,
    srs_domain                  text,
    created_at                  timestamptz NOT NULL DEFAULT now(),
    CHECK ((redirect_to IS NULL) = (redirect_mode IS NULL))
);

-- A key without a domain is the issuer's own (purpose jwt). The private key is PKCS#8 DER, or
-- AES-GCM ciphertext of it where cipher_key names the key that encrypted it. The public key is SPKI DER.
CREATE TABLE signing_key (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain_id       bigint REFERENCES domain ON DELETE CASCADE,
    purpose         text NOT NULL CHECK (purpose IN ('jwt', 'dkim')),
    algorithm       text NOT NULL,
    selector        text COLLATE "C" CHECK (selector ~ '^[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$' AND length(selector) <= 63),
    kid             text COLLATE "C",
    private_key     bytea NOT NULL,
    cipher_key      text,
    public_key      bytea NOT NULL,
    certificate     bytea,
    created_at      timestamptz NOT NULL DEFAULT now(),
    active_from     timestamptz NOT NULL DEFAULT now(),
    retired_at      timestamptz,
    published_until timestamptz,
    CHECK (CASE purpose
               WHEN 'dkim' THEN domain_id IS NOT NULL AND selector IS NOT NULL AND kid IS NULL
                                AND algorithm IN ('RSA-1024', 'RSA-2048', 'RSA-3072', 'RSA-4096', 'Ed25519')
               ELSE selector IS NULL AND kid IS NOT NULL
                    AND algorithm IN ('RSA-2048', 'RSA-3072', 'RSA-4096', 'ES256', 'EdDSA')
           END),
    CHECK (retired_at IS NULL OR retired_at >= active_from),
    CHECK (published_until IS NULL OR retired_at IS NOT NULL)
);
CREATE UNIQUE INDEX signing_key_selector ON signing_key (domain_id, selector) WHERE purpose = 'dkim';
CREATE UNIQUE INDEX signing_key_kid ON signing_key (kid) WHERE purpose = 'jwt';
CREATE INDEX signing_key_domain ON signing_key (domain_id, purpose);
CREATE TRIGGER signing_key_changed AFTER INSERT OR UPDATE OR DELETE ON signing_key
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change('keys');
CREATE TRIGGER domain_changed AFTER INSERT OR UPDATE OR DELETE ON domain
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change('keys');

CREATE TABLE account (
    uuid                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    identifier          text NOT NULL CHECK (identifier ~ '^[^[:cntrl:]]{1,255}$'),
    full_name           text NOT NULL DEFAULT '' CHECK (length(full_name) <= 255),
    password_hash       text,
    password_changed_at timestamptz,
    primary_alias_id    bigint,
    is_admin            boolean NOT NULL DEFAULT false,
    is_active           boolean NOT NULL DEFAULT true,
    service_users_only  boolean NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL DEFAULT now(),
    last_login_at       timestamptz,
    time_zone           text,
    language            text
);
CREATE UNIQUE INDEX account_identifier ON account (lower(identifier));
CREATE INDEX account_admins ON account (created_at) WHERE is_admin;

CREATE TABLE mailing_list (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL CHECK (name ~ '^[^[:cntrl:]]{1,255}$'),
    owner_uuid   uuid REFERENCES account ON DELETE SET NULL,
    new_mailfrom text,
    list_headers boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX mailing_list_name ON mailing_list (lower(name));
CREATE INDEX mailing_list_owner ON mailing_list (owner_uuid);
CREATE INDEX mailing_list_new_mailfrom ON mailing_list (lower(new_mailfrom)) WHERE new_mailfrom IS NOT NULL;

CREATE TABLE mailing_list_member (
    mailing_list_id bigint NOT NULL REFERENCES mailing_list ON DELETE CASCADE,
    address         text COLLATE "C" NOT NULL CHECK (address ~ '^[^@[:cntrl:]]+@[^@[:cntrl:]]+$' AND length(address) <= 320)
);
CREATE UNIQUE INDEX mailing_list_member_address ON mailing_list_member (mailing_list_id, lower(address));

-- An alias belongs to exactly one account or exactly one mailing list, and exists once whatever its case.
CREATE TABLE alias (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    local_part      text COLLATE "C" NOT NULL CHECK (local_part ~ '^[!-?A-~]{1,64}$'),
    domain_id       bigint NOT NULL REFERENCES domain ON DELETE RESTRICT,
    account_uuid    uuid REFERENCES account ON DELETE CASCADE,
    mailing_list_id bigint REFERENCES mailing_list ON DELETE CASCADE,
    blocked         boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(account_uuid, mailing_list_id) = 1),
    UNIQUE (account_uuid, id)
);
CREATE UNIQUE INDEX alias_address ON alias (domain_id, lower(local_part));
CREATE INDEX alias_mailing_list ON alias (mailing_list_id) WHERE mailing_list_id IS NOT NULL;

-- The primary address is one of the account's own aliases; to remove that alias, unset it first.
ALTER TABLE account ADD CONSTRAINT account_primary_alias
    FOREIGN KEY (uuid, primary_alias_id) REFERENCES alias (account_uuid, id) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX account_primary_alias_id ON account (primary_alias_id) WHERE primary_alias_id IS NOT NULL;

CREATE TABLE permission (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    identifier text COLLATE "C" NOT NULL UNIQUE CHECK (identifier ~ '^[A-Za-z0-9_.:-]+$' AND length(identifier) <= 255),
    title      text NOT NULL DEFAULT ''
);

CREATE TABLE account_group (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[^[:cntrl:]]{1,255}$')
);

CREATE TABLE group_permission (
    group_id      bigint NOT NULL REFERENCES account_group ON DELETE CASCADE,
    permission_id bigint NOT NULL REFERENCES permission ON DELETE CASCADE,
    PRIMARY KEY (group_id, permission_id)
);
CREATE INDEX group_permission_permission ON group_permission (permission_id);

CREATE TABLE group_member (
    group_id     bigint NOT NULL REFERENCES account_group ON DELETE CASCADE,
    account_uuid uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    PRIMARY KEY (account_uuid, group_id)
);
CREATE INDEX group_member_group ON group_member (group_id);

CREATE TABLE account_permission (
    account_uuid  uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    permission_id bigint NOT NULL REFERENCES permission ON DELETE CASCADE,
    PRIMARY KEY (account_uuid, permission_id)
);
CREATE INDEX account_permission_permission ON account_permission (permission_id);

-- Every permission an account holds, directly or through a group, once.
CREATE VIEW held_permission AS
    SELECT account_uuid, permission_id FROM account_permission
    UNION
    SELECT m.account_uuid, p.permission_id FROM group_member m JOIN group_permission p USING (group_id);

-- limited: what it can do is the intersection of service_user_permission and its account's permissions.
CREATE TABLE service_user (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username      text COLLATE "C" NOT NULL CHECK (username ~ '^[!-?A-~]{1,64}$'),
    account_uuid  uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    password_hash text NOT NULL,
    generated     boolean NOT NULL,
    limited       boolean NOT NULL DEFAULT false,
    description   text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_used_at  timestamptz
);
CREATE UNIQUE INDEX service_user_username ON service_user (lower(username));
CREATE INDEX service_user_account ON service_user (account_uuid);

CREATE TABLE service_user_permission (
    service_user_id bigint NOT NULL REFERENCES service_user ON DELETE CASCADE,
    permission_id   bigint NOT NULL REFERENCES permission ON DELETE CASCADE,
    PRIMARY KEY (service_user_id, permission_id)
);
CREATE INDEX service_user_permission_permission ON service_user_permission (permission_id);

-- A browser's session. The cookie holds the token, the row only its SHA-256 digest; sid is what clients see (OIDC).
CREATE TABLE session (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_digest     bytea NOT NULL UNIQUE CHECK (length(token_digest) = 32),
    sid              uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    account_uuid     uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    service_user_id  bigint REFERENCES service_user ON DELETE CASCADE,
    amr              text[] NOT NULL,
    acr              text NOT NULL DEFAULT '1',
    authenticated_at timestamptz NOT NULL,
    created_at       timestamptz NOT NULL,
    last_seen_at     timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    remote_address   inet,
    user_agent       text NOT NULL DEFAULT '' CHECK (length(user_agent) <= 400)
);
CREATE INDEX session_account ON session (account_uuid);
CREATE INDEX session_service_user ON session (service_user_id) WHERE service_user_id IS NOT NULL;
CREATE INDEX session_expiry ON session (expires_at);

-- A browser that signed in before: exempt from the account's failure counter.
CREATE TABLE known_device (
    token_digest bytea PRIMARY KEY CHECK (length(token_digest) = 32),
    account_uuid uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL
);
CREATE INDEX known_device_account ON known_device (account_uuid);

-- An address from which the account signed in before (written at most every 5 minutes).
CREATE TABLE known_address (
    account_uuid uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    network      cidr NOT NULL,
    last_used_at timestamptz NOT NULL,
    PRIMARY KEY (account_uuid, network)
);

-- One row for each different wrong password of a subject (account:UUID, name:DIGEST or address:NETWORK);
-- the digest is an HMAC under a server secret, so that the same mistake repeated counts once.
CREATE TABLE login_failure (
    subject          text COLLATE "C" NOT NULL,
    attempt_digest   bytea NOT NULL,
    first_failed_at  timestamptz NOT NULL,
    last_failed_at   timestamptz NOT NULL,
    PRIMARY KEY (subject, attempt_digest)
);
CREATE INDEX login_failure_expiry ON login_failure (last_failed_at);

-- What happened, to what, by whom, from where. Never holds a secret. Repeats of one failure share a row
-- through aggregate_key (account or name, address, minute) and are counted.
CREATE TABLE audit (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT now(),
    actor          text NOT NULL,
    account_uuid   uuid,
    remote_address inet,
    action         text NOT NULL,
    object_kind    text NOT NULL DEFAULT '',
    object_name    text NOT NULL DEFAULT '',
    old_values     jsonb,
    new_values     jsonb,
    repeats        integer NOT NULL DEFAULT 1,
    aggregate_key  text UNIQUE
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_account ON audit (account_uuid, at);
CREATE INDEX audit_object ON audit (object_kind, object_name, at);
