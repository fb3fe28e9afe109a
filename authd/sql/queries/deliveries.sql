-- What the forwarder remembers of messages that are on their way.

-- name: find
SELECT message_digest, original_recipient, target, recipient FROM delivered_copy
WHERE message_digest = ANY (%(digests)s::bytea[]);

-- name: add
INSERT INTO delivered_copy (message_digest, original_recipient, target, recipient, delivered_at)
SELECT %(digest)s, original_recipient, target, recipient, %(now)s::timestamptz
FROM unnest(%(original_recipients)s::text[], %(targets)s::text[], %(recipients)s::text[])
    r (original_recipient, target, recipient)
ON CONFLICT DO NOTHING;

-- name: remove
DELETE FROM delivered_copy
WHERE message_digest = %(digest)s AND original_recipient = ANY (%(original_recipients)s);

-- name: remove_expired
DELETE FROM delivered_copy WHERE ctid IN (
    SELECT ctid FROM delivered_copy WHERE delivered_at < %(before)s ORDER BY delivered_at LIMIT %(limit)s);

-- name: take_report
INSERT INTO reported_member (mailing_list_id, address, reported_on)
VALUES (%(mailing_list_id)s, %(address)s, %(today)s::date)
ON CONFLICT (mailing_list_id, address) DO UPDATE SET reported_on = EXCLUDED.reported_on
WHERE reported_member.reported_on < EXCLUDED.reported_on
RETURNING 1;

-- name: remove_reports
DELETE FROM reported_member WHERE ctid IN (
    SELECT ctid FROM reported_member WHERE reported_on < %(today)s::date LIMIT %(limit)s);
