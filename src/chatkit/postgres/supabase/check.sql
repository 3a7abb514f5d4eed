-- Whether this is a Supabase project's database, and whoever runs this its owner.
do $chatkit_check$
begin
    if current_setting('server_version_num')::integer < 160000 then
        raise exception 'the database is older than PostgreSQL 16'
            using hint = 'Upgrade the project: its settings, Infrastructure.';
    end if;
    if not (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) then
        raise exception 'this role is bound by row-level security: nothing that it owns could announce a message'
            using hint = 'Connect as `postgres`, the owner of the project''s database.';
    end if;
    if to_regprocedure('auth.jwt()') is null
        or to_regprocedure('realtime.send(jsonb,text,text,boolean)') is null
        or to_regclass('realtime.messages') is null
        or to_regrole('anon') is null or to_regrole('authenticated') is null
        or to_regrole('service_role') is null
    then
        raise exception 'this is no database of a Supabase project: auth.jwt(), realtime.send() or a role is missing'
            using hint = 'Give the connection string of the project''s database, or upgrade the project; '
                || 'a plain PostgreSQL takes `chatkit log migrate`.';
    end if;
    if not has_table_privilege('realtime.messages', 'insert') then
        raise exception 'this role may not write to realtime.messages: it could announce nothing'
            using hint = 'Connect as `postgres`, the owner of the project''s database.';
    end if;
end
$chatkit_check$;
