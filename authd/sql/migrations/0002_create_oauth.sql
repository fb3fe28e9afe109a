-- oldest-authd: 0.1.0
-- OAuth2 and OpenID Connect: clients, consents, codes and tokens (http.md). Tokens and codes exist here
-- only as SHA-256 digests.

CREATE TABLE client (
    id                        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id                 text COLLATE "C" NOT NULL UNIQUE CHECK (client_id ~ '^[!-~]{1,255}$'),
    name                      text NOT NULL UNIQUE CHECK (name ~ '^[^[:cntrl:]]{1,255}$'),
    client_type               text NOT NULL DEFAULT 'confidential' CHECK (client_type IN ('confidential', 'public')),
    auth_method               text NOT NULL DEFAULT 'client_secret'
                              CHECK (auth_method IN ('none', 'client_secret', 'client_secret_basic', 'client_secret_post',
                                                     'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth')),
    domain_id                 bigint REFERENCES domain ON DELETE SET NULL,
    is_active                 boolean NOT NULL DEFAULT true,
    skip_authorization        boolean NOT NULL DEFAULT false,
    pkce_required             boolean NOT NULL DEFAULT true,
    always_refresh            boolean NOT NULL DEFAULT false,
    access_token_format       text NOT NULL DEFAULT 'opaque' CHECK (access_token_format IN ('opaque', 'jwt')),
    id_token_alg              text NOT NULL DEFAULT 'RS256' CHECK (id_token_alg IN ('RS256', 'ES256', 'EdDSA')),
    subject_type              text NOT NULL DEFAULT 'public' CHECK (subject_type IN ('public', 'pairwise')),
    grant_types               text[] NOT NULL DEFAULT '{authorization_code,refresh_token}',
    redirect_uris             text[] NOT NULL DEFAULT '{}',
    post_logout_redirect_uris text[] NOT NULL DEFAULT '{}',
    allowed_origins           text[] NOT NULL DEFAULT '{}',
    cas_services              text[] NOT NULL DEFAULT '{}',
    backchannel_logout_uri    text,
    jwks                      jsonb,
    jwks_uri                  text,
    logo_uri                  text,
    created_at                timestamptz NOT NULL DEFAULT now(),
    updated_at                timestamptz NOT NULL DEFAULT now(),
    CHECK ((client_type = 'public') = (auth_method = 'none')),
    CHECK (grant_types <@ '{authorization_code,refresh_token,client_credentials,password,urn:ietf:params:oauth:grant-type:device_code}'),
    CHECK (NOT (client_type = 'public' AND 'client_credentials' = ANY (grant_types)))
);
CREATE INDEX client_domain ON client (domain_id) WHERE domain_id IS NOT NULL;

-- generated: 128 random bits and more, exempt from re-hashing. Two may overlap during a change.
CREATE TABLE client_secret (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id   bigint NOT NULL REFERENCES client ON DELETE CASCADE,
    secret_hash text NOT NULL,
    generated   boolean NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz
);
CREATE INDEX client_secret_client ON client_secret (client_id);

CREATE TABLE client_required_permission (
    client_id     bigint NOT NULL REFERENCES client ON DELETE CASCADE,
    permission_id bigint NOT NULL REFERENCES permission ON DELETE CASCADE,
    PRIMARY KEY (client_id, permission_id)
);
CREATE INDEX client_required_permission_permission ON client_required_permission (permission_id);

CREATE TABLE consent (
    account_uuid uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    client_id    bigint NOT NULL REFERENCES client ON DELETE CASCADE,
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_uuid, client_id)
);
CREATE INDEX consent_client ON consent (client_id);

-- What one authorization gave: a code and every token that descends from it share a grant, and revoking
-- the grant ends all of them (reuse of a code, replay of a refresh token, withdrawn consent). A grant made in
-- a session of a service user stays within that service user's limits and goes with it.
CREATE TABLE token_grant (
    id              uuid PRIMARY KEY,
    client_id       bigint NOT NULL REFERENCES client ON DELETE CASCADE,
    account_uuid    uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    service_user_id bigint REFERENCES service_user ON DELETE CASCADE,
    session_id      bigint REFERENCES session ON DELETE SET NULL,
    sid             uuid,
    scopes          text[] NOT NULL,
    auth_time       timestamptz NOT NULL,
    acr             text NOT NULL,
    amr             text[] NOT NULL,
    nonce           text,
    claims          jsonb,
    created_at      timestamptz NOT NULL,
    revoked_at      timestamptz
);
CREATE INDEX token_grant_account ON token_grant (account_uuid, client_id);
CREATE INDEX token_grant_client ON token_grant (client_id);
CREATE INDEX token_grant_session ON token_grant (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX token_grant_service_user ON token_grant (service_user_id) WHERE service_user_id IS NOT NULL;

CREATE TABLE authorization_code (
    code_digest           bytea PRIMARY KEY CHECK (length(code_digest) = 32),
    grant_id              uuid NOT NULL UNIQUE REFERENCES token_grant ON DELETE CASCADE,
    redirect_uri          text NOT NULL,
    redirect_uri_given    boolean NOT NULL,
    code_challenge        text,
    code_challenge_method text CHECK (code_challenge_method = 'S256'),
    issued_at             timestamptz NOT NULL,
    expires_at            timestamptz NOT NULL,
    redeemed_at           timestamptz,
    CHECK ((code_challenge IS NULL) = (code_challenge_method IS NULL))
);
CREATE INDEX authorization_code_expiry ON authorization_code (expires_at);

-- A refresh token that was rotated keeps its successor for the grace time, encrypted under a key that
-- only the presented token yields.
CREATE TABLE refresh_token (
    token_digest     bytea PRIMARY KEY CHECK (length(token_digest) = 32),
    grant_id         uuid NOT NULL REFERENCES token_grant ON DELETE CASCADE,
    issued_at        timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    rotated_at       timestamptz,
    successor_sealed bytea,
    CHECK (successor_sealed IS NULL OR rotated_at IS NOT NULL)
);
CREATE INDEX refresh_token_grant ON refresh_token (grant_id);
CREATE INDEX refresh_token_expiry ON refresh_token (expires_at);

-- Without a grant: client credentials. Without an account: the client acts for itself.
CREATE TABLE access_token (
    token_digest bytea PRIMARY KEY CHECK (length(token_digest) = 32),
    client_id    bigint NOT NULL REFERENCES client ON DELETE CASCADE,
    account_uuid uuid REFERENCES account ON DELETE CASCADE,
    grant_id     uuid REFERENCES token_grant ON DELETE CASCADE,
    scopes       text[] NOT NULL,
    issued_at    timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz
);
CREATE INDEX access_token_client ON access_token (client_id);
CREATE INDEX access_token_account ON access_token (account_uuid) WHERE account_uuid IS NOT NULL;
CREATE INDEX access_token_grant ON access_token (grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX access_token_expiry ON access_token (expires_at);
