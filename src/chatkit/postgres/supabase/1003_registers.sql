-- Which registers a user may set: their own, and of a channel's what their role there allows (D25).

-- What is wrong with a register as it is handed over; null: nothing.
create function fault_of_register(item json) returns text
language plpgsql immutable as $$
begin
    return case
        when json_typeof(item) <> 'array' or json_array_length(item) <> 7 then 'register'
        when json_typeof(item -> 0) <> 'string' or not is_channel(item ->> 0) then 'register.channel'
        when json_typeof(item -> 1) <> 'string' or not (item ->> 1 = '*' or is_user((item -> 1)::jsonb))
            then 'register.user'
        when json_typeof(item -> 2) <> 'string' or length(item ->> 2) not between 1 and 64 then 'register.name'
        when json_typeof(item -> 3) <> 'string' or octet_length(item ->> 3) > 4096 then 'register.value'
        when item ->> 4 not in ('greatest', 'newest') or item ->> 4 is null then 'register.merge'
        when (item ->> 5 is null) <> (item ->> 6 is null) then 'register.key'
        when item ->> 5 is not null and not is_whole((item -> 5)::jsonb, 0) then 'register.key.0'
        when octet_length(item ->> 6) > 4096 then 'register.key.1'
    end;
end
$$;

-- Whether nobody but a user has ever written to a channel.
create function is_unspoken(channel text, user_id text) returns boolean
language sql stable as $$
    select not exists (
        select from channels as c where c.name = is_unspoken.channel and (c.floor > 0 or exists (
            select from entries as e where e.channel = c.number and e.user_id <> is_unspoken.user_id
        ))
    )
$$;

-- Why a user may not set a register that is not theirs alone; null: they may. `roles`: {user: role}, of all
-- who ever had one, '' where it was taken. As `chatkit.core.roles` says it for clients.
create function objection_to_register(
    speaker text, roles jsonb, channel text, user_id text, name text, value text
) returns text
language plpgsql stable as $$
declare
    has_owner boolean := exists (select from jsonb_each_text(roles) as r where r.value = 'owner');
begin
    if name = 'role' then
        if user_id = speaker and value = 'owner' and roles = '{}' then
            return case when not is_unspoken(channel, speaker) then 'this channel is not to be claimed' end;
        elsif value not in ('owner', 'moderator', 'member', '') then
            return 'there is no such role';
        elsif value <> 'owner' and roles ->> user_id = 'owner'
            and (select count(*) = 1 from jsonb_each_text(roles) as r where r.value = 'owner')
        then
            return case
                when user_id = speaker then 'the last owner of a channel stays its owner'
                else 'only an owner gives roles'
            end;
        elsif roles ->> speaker is distinct from 'owner' and (user_id <> speaker or value <> '') then
            return 'only an owner gives roles';
        end if;
        return null;
    elsif user_id = '*' and name = 'kind' then
        return case
            when roles ->> speaker is distinct from 'owner' then 'only an owner says what kind of channel it is'
        end;
    elsif user_id = '*' and name ~ '^pin\.[0-4][0-9]$' then
        return case
            when has_owner and coalesce(roles ->> speaker, '') not in ('owner', 'moderator')
                then 'only an owner or a moderator pins messages'
        end;
    end if;
    return 'this credential sets its own user''s registers only';
end
$$;

-- Merges registers for one user: all of them, or none.
create function put_as(speaker text, given json) returns void
language plpgsql volatile set search_path = chatkit, pg_temp as $$
declare
    item json;
    place text;
    known jsonb := '{}';
    wrong text;
    keys bigint[];
begin
    for item in select value from json_array_elements(given) loop
        wrong := fault_of_register(item);
        if wrong is not null then
            raise exception using errcode = 'PT422', message = wrong || ': is not what a register may hold';
        elsif not may_read(item ->> 0, speaker) then
            perform forbid('this user may not read the channel');
        elsif (item ->> 2 = 'role' or item ->> 1 <> speaker) and not may_write(item ->> 0, speaker) then
            perform forbid('this user may not write in the channel');
        end if;
    end loop;
    -- What roles there are must not change between the look and the deed; in one order, so that two calls
    -- never wait for each other. Of few channels: the whole server has room for some thousand locks.
    keys := array(
        select distinct hashtextextended('chatkit roles ' || (g ->> 0), 0) as key
        from json_array_elements(given) as g
        where g ->> 2 = 'role' or g ->> 1 <> speaker
        order by key
    );
    if cardinality(keys) > 100 then
        raise exception using errcode = 'PT413',
            message = 'a call sets what belongs to all in at most 100 channels';
    end if;
    perform pg_advisory_xact_lock(key) from unnest(keys) as key;
    for item in select value from json_array_elements(given) loop
        place := item ->> 0;
        if item ->> 2 = 'role' or item ->> 1 <> speaker then
            if place like 'dm.%' and item ->> 1 <> '*' and not is_party(place, item ->> 1) then
                perform forbid('only its two users have a role in a direct channel');
            end if;
            if not known ? place then
                known := known || jsonb_build_object(place, (
                    select coalesce(jsonb_object_agg(r.user_id, r.value), '{}') from registers as r
                    where r.channel = place and r.name = 'role'
                ));
            end if;
            wrong := objection_to_register(
                speaker, known -> place, place, item ->> 1, item ->> 2, item ->> 3
            );
            if wrong is not null then
                perform forbid(wrong);
            elsif item ->> 2 = 'role' then
                known := jsonb_set(known, array[place, item ->> 1], to_jsonb(item ->> 3));
            end if;
        end if;
    end loop;
    perform put(given);
end
$$;
