"""The store: the only room that imports aiopg and psycopg2. One typed module per subject, its SQL in `queries/`."""
