"""Credentials for PostgreSQL that Vault hands out for a while: `lease` decides, `client` talks, `keeper` keeps them fresh."""
