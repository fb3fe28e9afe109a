"""Tokens for Docker registries (distribution's token authentication): `scope`, `access`, `bearer` and `facts` are pure;
`registry_keys` and `tokens` are the services on the database.
"""
