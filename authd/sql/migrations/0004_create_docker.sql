-- oldest-authd: 0.1.0
-- Docker registries, who may use them, and the refresh tokens of their clients (docker.md).

-- service is what the registry and its clients call it; the domain's key signs its tokens.
CREATE TABLE docker_registry (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service        text COLLATE "C" NOT NULL UNIQUE CHECK (service ~ '^[!-~]{1,255}$'),
    name           text NOT NULL UNIQUE CHECK (name ~ '^[^[:cntrl:]]{1,255}$'),
    domain_id      bigint NOT NULL REFERENCES domain ON DELETE RESTRICT,
    token_header   text NOT NULL DEFAULT 'x5c' CHECK (token_header IN ('x5c', 'rfc7638-kid', 'libtrust-kid')),
    anonymous_pull boolean NOT NULL DEFAULT false,
    anonymous_push boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX docker_registry_domain ON docker_registry (domain_id);

-- Made once for each key: registries refuse another certificate of the same key.
CREATE TABLE docker_certificate (
    registry_id bigint NOT NULL REFERENCES docker_registry ON DELETE CASCADE,
    key_id      bigint NOT NULL REFERENCES signing_key ON DELETE CASCADE,
    certificate bytea NOT NULL,
    PRIMARY KEY (registry_id, key_id)
);
CREATE INDEX docker_certificate_key ON docker_certificate (key_id);

-- A repository that somebody named; it needs no row to be covered by rights.
CREATE TABLE docker_repository (
    registry_id bigint NOT NULL REFERENCES docker_registry ON DELETE CASCADE,
    name        text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9._/-]{1,255}$'),
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (registry_id, name)
);

-- Of an account, a group, or (neither) anybody; on all repositories (no pattern), or on those that the pattern matches.
CREATE TABLE docker_right (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    registry_id  bigint NOT NULL REFERENCES docker_registry ON DELETE CASCADE,
    pattern      text COLLATE "C" CHECK (pattern ~ '^[a-z0-9._/*-]{1,255}$'),
    account_uuid uuid REFERENCES account ON DELETE CASCADE,
    group_id     bigint REFERENCES account_group ON DELETE CASCADE,
    actions      text[] NOT NULL CHECK (actions <@ '{pull,push,delete}' AND cardinality(actions) BETWEEN 1 AND 3),
    CHECK (num_nonnulls(account_uuid, group_id) < 2),
    CHECK (num_nonnulls(account_uuid, group_id) = 1 OR (pattern IS NOT NULL AND NOT 'delete' = ANY (actions)))
);
CREATE UNIQUE INDEX docker_right_holder ON docker_right
    (registry_id, coalesce(pattern, ''), coalesce(account_uuid::text, ''), coalesce(group_id, 0));
CREATE INDEX docker_right_account ON docker_right (account_uuid) WHERE account_uuid IS NOT NULL;
CREATE INDEX docker_right_group ON docker_right (group_id) WHERE group_id IS NOT NULL;

-- password_changed_at is the account's when the token was made: with another one, the token is void.
CREATE TABLE docker_refresh_token (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_digest        bytea NOT NULL UNIQUE CHECK (length(token_digest) = 32),
    registry_id         bigint NOT NULL REFERENCES docker_registry ON DELETE CASCADE,
    account_uuid        uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    service_user_id     bigint REFERENCES service_user ON DELETE CASCADE,
    client              text NOT NULL CHECK (length(client) <= 255),
    password_changed_at timestamptz,
    created_at          timestamptz NOT NULL,
    last_used_at        timestamptz NOT NULL
);
CREATE INDEX docker_refresh_token_registry ON docker_refresh_token (registry_id);
CREATE INDEX docker_refresh_token_account ON docker_refresh_token (account_uuid);
CREATE INDEX docker_refresh_token_service_user ON docker_refresh_token (service_user_id) WHERE service_user_id IS NOT NULL;
CREATE INDEX docker_refresh_token_last_use ON docker_refresh_token (last_used_at);
