-- name: is_list_sender
SELECT EXISTS (SELECT FROM mailing_list WHERE lower(new_mailfrom) = lower(%(address)s));
