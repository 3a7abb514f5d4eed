-- Last and every time: who may call what. Whoever is named nowhere may nothing; a project grants all of its
-- schema `public`, and of no other, to everybody by default.
do $chatkit_rights$
declare
    of_all constant text := 'anon, authenticated, service_role';
    found record;
begin
    for found in select tablename from pg_tables where schemaname = 'chatkit' loop
        execute format('alter table chatkit.%I enable row level security', found.tablename);
        execute format(
            'revoke insert, update, delete, truncate, references, trigger on chatkit.%I from public, %s',
            found.tablename, of_all
        );
    end loop;
    for found in
        select p.oid::regprocedure as named, n.nspname = 'public' as is_called,
            p.proname in ('chatkit_trimmed', 'chatkit_restored', 'chatkit_add_member', 'chatkit_remove_member')
                as is_kept,
            p.proname in ('chatkit_append', 'chatkit_put', 'chatkit_unread') as is_signed,
            p.proname in ('may_hear', 'may_speak', 'reads', 'asks') as is_policy
        from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
        where n.nspname = 'chatkit' or (n.nspname = 'public' and p.proname in (
            'chatkit_append', 'chatkit_heads', 'chatkit_entries', 'chatkit_messages', 'chatkit_get',
            'chatkit_versions', 'chatkit_find', 'chatkit_put', 'chatkit_registers', 'chatkit_unread',
            'chatkit_search', 'chatkit_trimmed', 'chatkit_restored', 'chatkit_add_member',
            'chatkit_remove_member'
        ))
    loop
        execute format('revoke all on function %s from public, %s', found.named, of_all);
        if found.is_policy then
            execute format('grant execute on function %s to anon, authenticated', found.named);
        elsif found.is_called then
            execute format('grant execute on function %s to %s', found.named, case
                when found.is_kept then 'service_role'
                when found.is_signed then 'authenticated, service_role'
                else of_all
            end);
        end if;
    end loop;
end
$chatkit_rights$;

notify pgrst, 'reload schema';
