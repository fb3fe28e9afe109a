-- oldest-authd: 0.1.0
-- What the forwarder remembers (smtp.md): senders too long for SRS, copies that are delivered, refusals that were reported.

-- used_at is renewed at most once a day; a row is of no use longer than an SRS address is valid.
CREATE TABLE srs_token (
    token   text COLLATE "C" PRIMARY KEY CHECK (token ~ '^[a-z2-7]{16,32}$'),
    address text NOT NULL CHECK (length(address) <= 600),
    used_at timestamptz NOT NULL
);
CREATE INDEX srs_token_expiry ON srs_token (used_at);

-- A copy that a downstream has taken, so that the client's retry does not send it twice. The digest is an HMAC of the
-- message and its sender; target names where the copy went.
CREATE TABLE delivered_copy (
    message_digest     bytea NOT NULL CHECK (length(message_digest) = 32),
    original_recipient text COLLATE "C" NOT NULL CHECK (length(original_recipient) <= 600),
    target             text COLLATE "C" NOT NULL CHECK (length(target) <= 600),
    recipient          text COLLATE "C" NOT NULL CHECK (length(recipient) <= 600),
    delivered_at       timestamptz NOT NULL,
    PRIMARY KEY (message_digest, original_recipient, target, recipient)
);
CREATE INDEX delivered_copy_expiry ON delivered_copy (delivered_at);

-- The owner of a list hears of a member that was refused once a day.
CREATE TABLE reported_member (
    mailing_list_id bigint NOT NULL REFERENCES mailing_list ON DELETE CASCADE,
    address         text COLLATE "C" NOT NULL CHECK (length(address) <= 600),
    reported_on     date NOT NULL,
    PRIMARY KEY (mailing_list_id, address)
);

-- Recipients at a domain that is only somebody's SRS domain.
CREATE INDEX domain_srs_domain ON domain (srs_domain COLLATE "C") WHERE srs_domain IS NOT NULL;
