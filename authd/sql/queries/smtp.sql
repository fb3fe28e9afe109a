-- name: list_sender
SELECT 1 FROM mailing_list WHERE lower(new_mailfrom) = lower(%(address)s) LIMIT 1;
