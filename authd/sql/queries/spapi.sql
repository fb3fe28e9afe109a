-- The functions that mail servers read accounts through. What they do stands in ../functions.

-- name: lock
SELECT pg_advisory_xact_lock(hashtext('authd spapi'));

-- name: present
SELECT format('%%I.%%I(%%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)),
       p.prosecdef AND coalesce(p.proconfig, '{}') @> '{"search_path=authd, pg_temp"}',
       ARRAY(SELECT r.rolname::text FROM aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
             WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> p.proowner ORDER BY 1)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'public'
    AND p.proname IN ('authserver_get_credentials', 'authserver_check_domain', 'authserver_resolve_alias',
                      'authserver_iterate_users')
ORDER BY 1;

-- name: may_create
SELECT has_schema_privilege(n.oid, 'CREATE') FROM pg_namespace n WHERE n.nspname = 'public';

-- name: bodies
SELECT (SELECT p.prosrc FROM pg_proc p WHERE p.oid = to_regprocedure('authd.spapi_list_result(bigint, text)')),
       obj_description(to_regprocedure('authd.resolve_recipient(text, text)'), 'pg_proc');

-- name: unknown_roles
SELECT wanted FROM unnest(%(roles)s::text[]) wanted
WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = wanted);

-- name: grant_statements
SELECT format('GRANT EXECUTE ON FUNCTION %%s TO %%I', signature, role)
FROM unnest(%(signatures)s::text[]) signature, unnest(%(roles)s::text[]) role
UNION ALL
SELECT format('GRANT USAGE ON SCHEMA public TO %%I', role) FROM unnest(%(roles)s::text[]) role
WHERE NOT has_schema_privilege(role, 'public', 'USAGE');

-- name: revoke_statements
SELECT format('REVOKE EXECUTE ON FUNCTION %%s FROM %%I', signature, role)
FROM unnest(%(signatures)s::text[]) signature, unnest(%(roles)s::text[]) role;

-- name: executable
SELECT signature FROM unnest(%(signatures)s::text[]) signature
WHERE has_function_privilege(%(role)s, to_regprocedure(signature), 'EXECUTE')
    AND has_schema_privilege(%(role)s, 'public', 'USAGE');
