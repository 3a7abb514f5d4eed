-- Registers, and what is counted from them: what a user has not read (D25).

-- Merges registers, given as [channel, user, name, value, merge, epoch, serial], in order. Rows are locked in
-- one order, so that two calls never wait for each other.
create function put(given json) returns void
language plpgsql volatile set search_path = chatkit, pg_temp set enable_seqscan = off as $$
declare
    new registers;
begin
    for new in
        select r ->> 0, r ->> 2, r ->> 1, r ->> 3, r ->> 4, (r ->> 5)::bigint, r ->> 6
        from json_array_elements(given) with ordinality as list (r, place)
        order by (r ->> 0) collate "C", (r ->> 2) collate "C", (r ->> 1) collate "C", place
    loop
        insert into registers as old values (new.*)
        on conflict (channel, name, user_id) do update
        set value = excluded.value, merge = excluded.merge, epoch = excluded.epoch, serial = excluded.serial
        where case
            when excluded.merge = 'newest' then
                coalesce((excluded.epoch, excluded.serial) >= (old.epoch, old.serial), true)
            else
                coalesce((excluded.epoch, excluded.serial) > (old.epoch, old.serial), excluded.value > old.value)
        end;
    end loop;
end
$$;

-- By name, then user, as bytes; `users` null: of all.
create function registers(channel text, names text[], users text[]) returns json
language sql stable set search_path = chatkit, pg_temp set enable_seqscan = off as $$
    select coalesce(json_agg(
        json_build_array(r.channel, r.user_id, r.name, r.value, r.merge, r.epoch, r.serial)
        order by r.name, r.user_id
    ), '[]')
    from registers as r
    where r.channel = registers.channel and r.name = any(names) and (users is null or r.user_id = any(users))
$$;

create function unread_of(reader text, name text) returns json
language plpgsql stable as $$
declare
    place channels := channel_of(unread_of.name);
    mark registers;
    again text[];
    start bigint := 0;
    unread bigint;
    named bigint;
    first bigint;
begin
    if place.number is null then
        return json_build_array(0, 0, true, null);
    end if;
    select * into mark from registers as r
    where r.channel = place.name and r.name = 'read' and r.user_id = reader;
    if mark.serial is not null then
        start := text_serial(mark.epoch, mark.serial, true, place.head);
    end if;
    select regexp_match(r.value, '^([0-9]{1,16}):(.*)$') into again from registers as r
    where r.channel = place.name and r.name = 'unread' and r.user_id = reader;
    if again is not null then
        start := least(start, text_serial(again[1]::numeric, again[2], false, place.head));
    end if;
    select count(*), min(m.serial) into unread, first from messages as m
    where m.channel = place.number and m.serial > start and m.shown and m.user_id <> reader;
    select count(distinct n.message) into named
    from mentions as n join messages as m on m.channel = n.channel and m.serial = n.message
    where n.channel = place.number and n.user_id in (reader, '*') and n.message > start
        and m.shown and m.user_id <> reader;
    return json_build_array(
        unread, named, place.floor <= start,
        (select m.id from messages as m where m.channel = place.number and m.serial = first)
    );
end
$$;

-- {channel: [messages, mentions, exact, first]}
create function unread(reader text, names text[]) returns json
language sql stable set search_path = chatkit, pg_temp set enable_seqscan = off as $$
    select coalesce(json_object_agg(n.name, unread_of(reader, n.name)), '{}')
    from (select distinct unnest(names)) as n (name)
$$;
