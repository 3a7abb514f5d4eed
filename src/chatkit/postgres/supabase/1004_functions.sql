-- What clients call, through PostgREST: the log's functions, for whoever asks.
--
-- They run as their owner, who alone may use the tables. Who asks is what the token says; a secret key speaks
-- for anybody. An answer is one JSON value, so that no limit of rows cuts it.
--
-- What is outside of the schema may be left from one that was dropped: it is replaced.

-- Why an entry of a user is refused before anything is looked up; null: it is not.
create function stranger(channel text, item json) returns text[]
language plpgsql stable as $$
declare
    said jsonb;
begin
    -- Letters may be written as escapes, too.
    if channel not like 'u.%' and item ->> 'data' !~ 'claim|\\u00' then
        return null;
    end if;
    said := envelope(item ->> 'data');
    if channel like 'u.%' and said ->> 'kind' is distinct from 'direct.open' then
        return array['NotAllowed', 'a personal channel takes invitations alone'];
    elsif is_readable(said) and said #>> '{body,type}' = 'claim' then
        return array['Rejected', 'a claim check is for frames: a log keeps the body itself'];
    end if;
    return null;
exception when data_exception or program_limit_exceeded then
    return null;  -- refused as what it is when it is read
end
$$;

-- Appends for one user: whose the entries are the token says, never the caller.
create function append_as(speaker text, channel text, entries json) returns json
language plpgsql volatile set search_path = chatkit, pg_temp as $$
declare
    refused json[];
    rest json;
    found json;
    given json[];
begin
    if not may_write(channel, speaker) then
        return json_build_object('state', state_of(null), 'acks', (
            select coalesce(json_agg(json_build_object(
                'outcome', 'refused', 'error', 'NotAllowed',
                'reason', 'this user may not write in the channel', 'again', 'reauthenticate'
            )), '[]')
            from json_array_elements(entries)
        ));
    end if;
    select
        array_agg(case when g.wrong is not null then json_build_object(
            'outcome', 'refused', 'error', g.wrong[1], 'reason', g.wrong[2]
        ) end order by g.n),
        coalesce(json_agg(json_build_object(
            'user', speaker, 'id', g.item -> 'id', 'device', g.item -> 'device', 'seq', g.item -> 'seq',
            'not_after', g.item -> 'not_after', 'data', g.item -> 'data'
        ) order by g.n) filter (where g.wrong is null), '[]')
    into refused, rest
    from (
        select e.item, e.n, stranger(channel, e.item) as wrong
        from json_array_elements(entries) with ordinality as e (item, n) offset 0
    ) as g;
    found := append(channel, rest);
    given := array(select value from json_array_elements(found -> 'acks'));
    if coalesce(cardinality(refused), 0) = cardinality(given) then
        return found;
    end if;
    return json_build_object('state', found -> 'state', 'acks', (
        select json_agg(coalesce(r.answer, given[r.taken]) order by r.n)
        from (
            select answer, n, count(*) filter (where answer is null) over (order by n) as taken
            from unnest(refused) with ordinality as all_of_them (answer, n)
        ) as r
    ));
end
$$;

create or replace function public.chatkit_append(channel text, entries json) returns json
language plpgsql volatile security definer set search_path = chatkit, pg_temp as $$
begin
    if json_array_length(entries) > 1000 then
        raise exception using errcode = 'PT413', message = 'an append holds at most 1,000 entries';
    elsif trusted() then
        return append(chatkit_append.channel, chatkit_append.entries);
    end if;
    return append_as(caller(), chatkit_append.channel, chatkit_append.entries);
end
$$;

-- Of channels that may not be read nothing is said.
create or replace function public.chatkit_heads(names text[]) returns json
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
declare
    all_of_them constant boolean := trusted();
    who constant text := caller();
begin
    return heads(array(
        select n from unnest(few(chatkit_heads.names)) as n where all_of_them or may_read(n, who)
    ));
end
$$;

create or replace function public.chatkit_entries(channel text, after json default null, how_many integer default 1000)
returns json
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
begin
    perform check_read(chatkit_entries.channel);
    return entries(chatkit_entries.channel, chatkit_entries.after, most(chatkit_entries.how_many));
end
$$;

create or replace function public.chatkit_messages(
    channel text,
    before json default null,
    after json default null,
    around json default null,
    how_many integer default 50,
    root_user text default null,
    root_id text default null
) returns json
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
begin
    perform check_read(chatkit_messages.channel);
    return messages(
        chatkit_messages.channel, chatkit_messages.before, chatkit_messages.after, chatkit_messages.around,
        most(chatkit_messages.how_many), chatkit_messages.root_user, chatkit_messages.root_id
    );
end
$$;

create or replace function public.chatkit_get(channel text, idents json) returns json
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
begin
    perform check_read(chatkit_get.channel);
    return get(chatkit_get.channel, few(chatkit_get.idents));
end
$$;

create or replace function public.chatkit_versions(channel text, user_id text, id text) returns json
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
begin
    perform check_read(chatkit_versions.channel);
    return versions(chatkit_versions.channel, chatkit_versions.user_id, chatkit_versions.id);
end
$$;

-- Who may write and not read, as in the personal channel of another, finds what is theirs.
create or replace function public.chatkit_find(channel text, idents json) returns json
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
declare
    who constant text := caller();
    named json := few(chatkit_find.idents);
begin
    if not trusted() and not may_read(chatkit_find.channel, who) then
        if not may_write(chatkit_find.channel, who) then
            perform forbid('this user may not read the channel');
        end if;
        select coalesce(json_agg(value), '[]') into named from json_array_elements(named)
        where value ->> 0 = who;
    end if;
    return find(chatkit_find.channel, named);
end
$$;

create or replace function public.chatkit_put(given json) returns void
language plpgsql volatile security definer set search_path = chatkit, pg_temp as $$
begin
    if trusted() then
        perform put(chatkit_put.given);
    else
        perform put_as(caller(), few(chatkit_put.given));
    end if;
end
$$;

-- What a user has marked as unread is nobody else's business.
create or replace function public.chatkit_registers(channel text, names text[], users text[] default null) returns json
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
declare
    found json;
    all_of_them constant boolean := trusted();
    who constant text := caller();
begin
    perform check_read(chatkit_registers.channel);
    found := registers(
        chatkit_registers.channel, few(chatkit_registers.names), few(chatkit_registers.users)
    );
    return (
        select coalesce(json_agg(cell order by place), '[]')
        from json_array_elements(found) with ordinality as cells (cell, place)
        where all_of_them or cell ->> 1 = who or cell ->> 2 not like 'unread%'
    );
end
$$;

create or replace function public.chatkit_unread(reader text, names text[]) returns json
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
begin
    if not trusted() and chatkit_unread.reader is distinct from caller() then
        perform forbid('this credential counts its own user''s messages only');
    end if;
    perform check_read(n) from unnest(few(chatkit_unread.names)) as n;
    return unread(chatkit_unread.reader, chatkit_unread.names);
end
$$;

-- Without names: in whatever channels may be read.
create or replace function public.chatkit_search(
    said text,
    names text[] default null,
    sender text default null,
    since bigint default null,
    until bigint default null,
    before_at bigint default null,
    before_name text default null,
    before_serial text default null,
    how_many integer default 50
) returns json
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
declare
    who constant text := caller();
    wanted text[] := few(chatkit_search.names);
begin
    if wanted is not null then
        perform check_read(n) from unnest(wanted) as n;
    elsif not trusted() then
        wanted := array(select c.name from channels as c where may_read(c.name, who));
    end if;
    return search(
        chatkit_search.said, wanted, chatkit_search.sender, chatkit_search.since, chatkit_search.until,
        chatkit_search.before_at, chatkit_search.before_name, chatkit_search.before_serial,
        most(chatkit_search.how_many)
    );
end
$$;

create or replace function public.chatkit_trimmed(channel text, before json) returns json
language plpgsql volatile security definer set search_path = chatkit, pg_temp as $$
begin
    perform check_trusted();
    return trimmed(chatkit_trimmed.channel, chatkit_trimmed.before);
end
$$;

create or replace function public.chatkit_restored() returns text
language plpgsql volatile security definer set search_path = chatkit, pg_temp as $$
begin
    perform check_trusted();
    return restored();
end
$$;

create or replace function public.chatkit_add_member(channel text, user_id text, writes boolean default true) returns void
language plpgsql volatile security definer set search_path = chatkit, pg_temp as $$
begin
    perform check_trusted();
    perform add_member(chatkit_add_member.channel, chatkit_add_member.user_id, chatkit_add_member.writes);
end
$$;

create or replace function public.chatkit_remove_member(channel text, user_id text) returns void
language plpgsql volatile security definer set search_path = chatkit, pg_temp as $$
begin
    perform check_trusted();
    perform remove_member(chatkit_remove_member.channel, chatkit_remove_member.user_id);
end
$$;

-- At most so many items in an answer.
create function most(how_many integer) returns integer
language sql immutable parallel safe as $$
    select greatest(1, least(coalesce(how_many, 50), 1000))
$$;

-- A list of what is named in a call, refused where nobody would name so many.
create function few(named json) returns json
language plpgsql immutable parallel safe as $$
begin
    if json_array_length(named) > 10000 then
        raise exception using errcode = 'PT413', message = 'a call names at most 10,000';
    end if;
    return named;
end
$$;

create function few(named text[]) returns text[]
language plpgsql immutable parallel safe as $$
begin
    if cardinality(named) > 10000 then
        raise exception using errcode = 'PT413', message = 'a call names at most 10,000';
    end if;
    return named;
end
$$;
