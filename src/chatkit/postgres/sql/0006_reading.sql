-- Reading: heads, raw entries, pages of messages, and what is asked for by name (D18, D24).
--
-- A place is {"epoch", "serial"}, the serial any text, or {"at"}, microseconds since 1970.

-- The newest serial that lies before a place, or at it where `inclusive`; 0: none does.
create function serial_of(place channels, wanted json, inclusive boolean) returns bigint
language plpgsql stable as $$
declare
    moment timestamptz;
    low bigint := place.pruned;
    high bigint := place.head;
    middle bigint;
    time timestamptz;
begin
    if wanted ->> 'at' is null then
        return text_serial((wanted ->> 'epoch')::numeric, wanted ->> 'serial', inclusive, place.head);
    end if;
    moment := timestamptz 'epoch' + (wanted ->> 'at')::bigint * interval '1 microsecond';
    -- Serials have no hole, and time does not step back.
    while low < high loop
        middle := (low + high + 1) / 2;
        select e.at into strict time from entries as e
        where e.channel = place.number and e.serial = middle;
        if time < moment or (inclusive and time = moment) then
            low := middle;
        else
            high := middle - 1;
        end if;
    end loop;
    return low;
end
$$;

-- The greatest number up to `head` whose 20 digits come before a text, or equal it where `inclusive`.
create function text_serial(epoch numeric, serial text, inclusive boolean, head bigint) returns bigint
language plpgsql immutable as $$
declare
    digits text := substring(serial from '^[0-9]{0,20}');
    rest text := substr(serial, length(digits) + 1);
    found numeric := coalesce(nullif(digits, ''), '0');
begin
    if epoch <> 1 then
        return case when epoch < 1 then 0 else head end;
    elsif length(digits) < 20 then
        if rest > '9' collate "C" then
            found := found + 1;
        end if;
        found := found * 10::numeric ^ (20 - length(digits)) - 1;
    elsif rest = '' and not inclusive then
        found := found - 1;
    end if;
    return greatest(0, least(found, head));
end
$$;

create function channel_of(name text) returns channels
language sql stable as $$
    select c from channels as c where c.name = channel_of.name
$$;

create function heads(names text[]) returns json
language sql stable set search_path = chatkit, pg_temp set enable_seqscan = off set enable_bitmapscan = off as $$
    select coalesce(json_object_agg(n.name, state_of(c)), '{}')
    from (select distinct unnest(names)) as n (name) left join channels as c on c.name = n.name
$$;

-- One raw entry.
create function entry_of(e entries) returns json
language sql stable as $$
    select json_build_array(e.serial, micros(e.at), e.user_id, e.data)
$$;

-- How much one answer holds: so many bytes of envelopes, and one item at least. A thousand of the largest would
-- be more than a gigabyte, and whoever asked could never read on.
create function most_bytes() returns bigint
language sql immutable parallel safe as $$ select 4194304::bigint $$;

-- As many of these entries as fit, from the first or from the last on. What is looked at are lengths: large
-- texts are not fetched for it.
create function fitting(channel bigint, serials bigint[], from_last boolean, most bigint) returns bigint[]
language sql stable as $$
    select coalesce(array_agg(w.serial order by w.serial), '{}') from (
        select
            s.serial,
            row_number() over walk as number,
            sum(coalesce(octet_length(e.data), 0) + coalesce(octet_length(f.data), 0)) over walk as total
        from unnest(serials) as s (serial)
        cross join lateral (
            select * from entries as e where e.channel = fitting.channel and e.serial = s.serial offset 0
        ) as e
        left join lateral (
            select * from messages as m where m.channel = fitting.channel and m.serial = s.serial offset 0
        ) as m on true
        left join lateral (
            select * from entries as f where f.channel = fitting.channel and f.serial = m.edit offset 0
        ) as f on true
        window walk as (order by case when from_last then -s.serial else s.serial end)
    ) as w
    where w.number = 1 or w.total <= most
$$;

create function entries(channel text, after json, how_many integer) returns json
language plpgsql stable set search_path = chatkit, pg_temp set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    place channels := channel_of(channel);
    start bigint;
    fits bigint;
    items json;
begin
    start := greatest(place.floor, case when after is null then 0 else serial_of(place, after, true) end);
    select count(*) into fits from (
        select
            row_number() over walk as number,
            sum(coalesce(octet_length(e.data), 0)) over walk as total
        from (
            select * from entries as e where e.channel = place.number and e.serial > start
            order by e.serial limit how_many
        ) as e
        window walk as (order by e.serial)
    ) as w
    where w.number = 1 or w.total <= most_bytes();
    select coalesce(json_agg(entry_of(e) order by e.serial), '[]') into items from (
        select * from entries as e where e.channel = place.number and e.serial > start
        order by e.serial limit fits
    ) as e;
    return json_build_object(
        'state', state_of(place), 'items', items,
        'more', coalesce(place.head > start + json_array_length(items), false)
    );
end
$$;

-- Messages, in the order in which they are named. Each is looked up by itself (`offset 0`): where statistics are
-- older than a burst of messages, the planner takes tables for empty and joins all with all.
create function folded(channels bigint[], serials bigint[]) returns json
language sql stable as $$
    select coalesce(json_agg(json_build_array(
        m.serial, micros(e.at), m.user_id, m.id, e.data, f.data, m.version, m.changed, m.deleted, m.replies,
        m.last_reply, r.given
    ) order by w.place), '[]')
    from unnest(channels, serials) with ordinality as w (channel, serial, place)
    cross join lateral (
        select * from messages as m where m.channel = w.channel and m.serial = w.serial offset 0
    ) as m
    cross join lateral (
        select * from entries as e where e.channel = w.channel and e.serial = w.serial offset 0
    ) as e
    left join lateral (
        select * from entries as f where f.channel = w.channel and f.serial = m.edit offset 0
    ) as f on true
    left join lateral (
        select json_object_agg(emoji, users order by emoji) as given from (
            select emoji, json_agg(g.user_id order by g.user_id) as users from reactions as g
            where g.channel = m.channel and g.message = m.serial group by emoji
        ) as grouped
    ) as r on true
$$;

create function folded(place channels, serials bigint[]) returns json
language sql stable as $$
    select folded(array_fill(place.number, array[cardinality(serials)]), serials)
$$;

-- Serials of messages above one and up to another, ascending: the newest of them or the oldest, of the whole
-- channel or of one thread.
create function slice(
    channel bigint, root_id uuid, root_user text, low bigint, high bigint, how_many integer, newest boolean
) returns bigint[]
language plpgsql stable as $$
declare
    found bigint[];
begin
    if root_user is null and newest then
        select array_agg(s.serial order by s.serial) into found from (
            select m.serial from messages as m
            where m.channel = slice.channel and m.serial > low and m.serial <= high
            order by m.serial desc limit how_many
        ) as s;
    elsif root_user is null then
        select array_agg(s.serial order by s.serial) into found from (
            select m.serial from messages as m
            where m.channel = slice.channel and m.serial > low and m.serial <= high
            order by m.serial limit how_many
        ) as s;
    elsif newest then
        select array_agg(s.serial order by s.serial) into found from (
            select m.serial from messages as m
            where m.channel = slice.channel and m.serial > low and m.serial <= high
                and m.root_id = slice.root_id and m.root_user = slice.root_user
            order by m.serial desc limit how_many
        ) as s;
    else
        select array_agg(s.serial order by s.serial) into found from (
            select m.serial from messages as m
            where m.channel = slice.channel and m.serial > low and m.serial <= high
                and m.root_id = slice.root_id and m.root_user = slice.root_user
            order by m.serial limit how_many
        ) as s;
    end if;
    return coalesce(found, '{}');
end
$$;

-- A page: {state, items, older, newer}. `older`: the newest serial before it, `newer`: the serial after which
-- newer messages lie; null where there are none.
create function messages(
    channel text, before json, after json, around json, how_many integer, root_user text, root_id text
) returns json
language plpgsql stable set search_path = chatkit, pg_temp set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    place channels := channel_of(channel);
    root uuid;
    low bigint := 0;
    high bigint := place.head;
    middle bigint;
    edge bigint;
    stop integer;
    newest constant boolean := after is null or before is not null;
    found bigint[];
    older bigint[];
    newer bigint[];
begin
    if place.number is null or (root_user is not null and not is_id(to_jsonb(root_id))) then
        return json_build_object('state', state_of(place), 'items', json_build_array());
    end if;
    root := case when root_user is not null then root_id end;
    if after is not null then
        low := serial_of(place, after, true);
    end if;
    if before is not null then
        high := serial_of(place, before, false);
    end if;
    if around is not null then
        middle := serial_of(place, around, false);
        older := slice(place.number, root, root_user, low, least(high, middle), how_many, true);
        found := older || slice(place.number, root, root_user, greatest(low, middle), high, how_many, false);
        stop := least(cardinality(found), greatest(0, cardinality(older) - how_many / 2) + how_many);
        found := found[greatest(0, stop - how_many) + 1:stop];
        -- Half of the room lies on either side.
        older := array(select s from unnest(found) as s where s <= middle);
        newer := array(select s from unnest(found) as s where s > middle);
        found := fitting(place.number, older, true, most_bytes() / 2)
            || fitting(place.number, newer, false, most_bytes() / 2);
    else
        found := slice(place.number, root, root_user, low, high, how_many, newest);
        found := fitting(place.number, found, newest, most_bytes());
    end if;
    -- What is left over on both sides; of an empty page on both sides of where it was looked for.
    edge := case when after is null then high else low end;
    older := slice(place.number, root, root_user, 0, coalesce(found[1] - 1, edge), 1, true);
    newer := slice(
        place.number, root, root_user, coalesce(found[cardinality(found)], edge), place.head, 1, false
    );
    return json_build_object(
        'state', state_of(place),
        'items', folded(place, found),
        'older', older[1],
        'newer', case when cardinality(newer) > 0 then coalesce(found[cardinality(found)], older[1], 0) end
    );
end
$$;

-- `idents`: pairs of user and id; the user null: anyone's.
create function get(channel text, idents json) returns json
language plpgsql stable set search_path = chatkit, pg_temp set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    place channels := channel_of(channel);
    serials bigint[];
begin
    select array_agg(distinct e.serial order by e.serial) into serials
    from json_array_elements(idents) as named
    join entries as e on e.channel = place.number and e.id = case when is_id(to_jsonb(named ->> 1)) then (named ->> 1)::uuid end
        and (named ->> 0 is null or e.user_id = named ->> 0);
    return json_build_object('state', state_of(place), 'items', folded(place, coalesce(serials, '{}')));
end
$$;

-- The creation of a message and the first of its changes: up to 1,000 in all, as many as fit.
create function versions(channel text, user_id text, id text) returns json
language plpgsql stable set search_path = chatkit, pg_temp set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    place channels := channel_of(channel);
    created bigint;
    all_of_them bigint[];
    found bigint[];
begin
    if is_id(to_jsonb(versions.id)) then
        select m.serial into created from entries as e
        join messages as m on m.channel = e.channel and m.serial = e.serial
        where e.channel = place.number and e.id = versions.id::uuid and e.user_id = versions.user_id;
    end if;
    if created is not null then
        all_of_them := created || array(
            select e.serial from entries as e where e.channel = place.number and e.target = created
            order by e.serial limit 1000
        );
    end if;
    found := fitting(place.number, all_of_them[1:1000], false, most_bytes());
    return json_build_object(
        'state', state_of(place),
        'items', (
            select coalesce(json_agg(entry_of(e) order by e.serial), '[]')
            from unnest(found) as s (serial)
            join entries as e on e.channel = place.number and e.serial = s.serial
        ),
        'more', coalesce(cardinality(all_of_them) > cardinality(found), false)
    );
end
$$;

-- {state, items: [[user, id, serial], ...], forgotten}: ids outlive bodies (D20).
create function find(channel text, idents json) returns json
language plpgsql stable set search_path = chatkit, pg_temp set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    place channels := channel_of(channel);
    items json;
begin
    select coalesce(json_agg(json_build_array(e.user_id, e.id, e.serial)), '[]') into items
    from json_array_elements(idents) as named
    join entries as e on e.channel = place.number and e.user_id = named ->> 0
        and e.id = case when is_id(to_jsonb(named ->> 1)) then (named ->> 1)::uuid end;
    return json_build_object('state', state_of(place), 'items', items, 'forgotten', micros(place.forgotten));
end
$$;
