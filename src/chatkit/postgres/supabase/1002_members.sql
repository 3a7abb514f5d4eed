-- Who may read and write which channel.
--
-- The one place that says it for an app's own channels is the function `membership`: as it comes it looks into
-- the table `members`, and an app whose own tables know better replaces it. What a direct or personal channel
-- is for its name tells (D31).

-- User '*' is everyone who is signed in, '' is anybody, signed in or not; channel '' is every channel.
create table members (
    channel text collate "C" not null check (channel = '' or is_channel(channel)),
    user_id text collate "C" not null check (user_id in ('', '*') or is_user(to_jsonb(user_id))),
    writes boolean not null default true,
    at timestamptz not null default now(),
    primary key (channel, user_id),
    check (user_id <> '' or not writes)
);

create index members_user on members (user_id);

create function add_member(channel text, user_id text, writes boolean default true) returns void
language sql volatile security definer set search_path = chatkit, pg_temp as $$
    insert into members (channel, user_id, writes)
    values (normalize(add_member.channel), normalize(add_member.user_id), add_member.writes)
    on conflict on constraint members_pkey do update set writes = excluded.writes
$$;

create function remove_member(channel text, user_id text) returns void
language sql volatile security definer set search_path = chatkit, pg_temp as $$
    delete from members as m
    where m.channel = normalize(remove_member.channel) and m.user_id = normalize(remove_member.user_id)
$$;

-- 'write', 'read', or null: neither. To be replaced as one likes; `user_id` '' is nobody who is signed in.
create function membership(channel text, user_id text) returns text
language sql stable security definer set search_path = chatkit, pg_temp as $$
    select case when bool_or(m.writes) then 'write' when count(*) > 0 then 'read' end
    from members as m
    where m.channel in ('', membership.channel)
        and m.user_id in ('', membership.user_id, case when membership.user_id <> '' then '*' end)
$$;

-- Whether a direct channel is of this user. Where its name is a hash, only a row of its own tells.
create function is_party(channel text, user_id text) returns boolean
language sql stable as $$
    select user_id <> '' and case cardinality(parts)
        when 2 then escape(user_id) = any(parts)
        else exists (
            select from members as m
            where m.channel = is_party.channel and m.user_id = is_party.user_id and m.writes
        )
    end
    from string_to_array(substr(channel, 4), '.') as parts
$$;

create function may_read(channel text, user_id text) returns boolean
language plpgsql stable set search_path = chatkit, pg_temp as $$
begin
    return coalesce(case
        when channel like 'dm.%' then is_party(channel, user_id)
        when channel like 'u.%' then user_id <> '' and channel = personal(user_id)
        else membership(channel, user_id) in ('read', 'write')
    end, false);
end
$$;

create function may_write(channel text, user_id text) returns boolean
language plpgsql stable set search_path = chatkit, pg_temp as $$
begin
    return user_id <> '' and coalesce(case
        when channel like 'dm.%' then is_party(channel, user_id)
        when channel like 'u.%' then true
        else membership(channel, user_id) = 'write'
    end, false);
end
$$;

-- The role that asks: of the token, or of the session where there is none.
create function acting() returns text
language sql stable as $$
    select coalesce(nullif(current_setting('role', true), 'none'), session_user)
$$;

-- Whether whoever asks speaks for any user: the secret key, or the owner of all this.
create function trusted() returns boolean
language sql stable set search_path = chatkit, pg_temp as $$
    select acting() = 'service_role'
        or pg_has_role(acting(), (select nspowner from pg_namespace where nspname = 'chatkit'), 'member')
$$;

-- The user who asks, as the token says; '': nobody is signed in.
create function caller() returns text
language sql stable set search_path = chatkit, pg_temp as $$
    select case when acting() = 'authenticated' and is_user(auth.jwt() -> 'sub') then auth.jwt() ->> 'sub' else '' end
$$;

-- Ends a call, as PostgREST's status 403.
create function forbid(why text) returns void
language plpgsql as $$
begin
    raise exception using errcode = 'PT403', message = why;
end
$$;

create function check_read(channel text) returns void
language plpgsql stable set search_path = chatkit, pg_temp as $$
begin
    if not trusted() and not may_read(channel, caller()) then
        perform forbid('this user may not read the channel');
    end if;
end
$$;

create function check_trusted() returns void
language plpgsql stable set search_path = chatkit, pg_temp as $$
begin
    if not trusted() then
        perform forbid('only a secret key may do this');
    end if;
end
$$;
