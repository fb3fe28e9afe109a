"""OAuth2 and OpenID Connect: facts -> decision -> effects.

`facts` is what the database and the slow proofs say, `authorization`, `tokens` and `resources` decide over it with oauthlib
as their engine and without I/O, `effects` is what a decision wants written, and `service` brings the three together.
"""
