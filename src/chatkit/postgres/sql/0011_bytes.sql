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

create or replace function entries(channel text, after json, how_many integer) returns json
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

-- A page, as before: {state, items, older, newer}.
create or replace function messages(
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

-- The creation of a message and the first of its changes: up to 1,000 in all, as many as fit.
create or replace function versions(channel text, user_id text, id text) returns json
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

-- How many of these hits fit, from the first on.
create function fitting(hits hit[], most bigint) returns integer
language sql stable as $$
    select count(*)::integer from (
        select
            row_number() over walk as number,
            sum(coalesce(octet_length(e.data), 0) + coalesce(octet_length(f.data), 0)) over walk as total
        from unnest(hits) with ordinality as h (at, name, channel, serial, place)
        cross join lateral (
            select * from messages as m where m.channel = h.channel and m.serial = h.serial offset 0
        ) as m
        cross join lateral (
            select * from entries as e where e.channel = h.channel and e.serial = h.serial offset 0
        ) as e
        left join lateral (
            select * from entries as f where f.channel = h.channel and f.serial = m.edit offset 0
        ) as f on true
        window walk as (order by h.place)
    ) as w
    where w.number = 1 or w.total <= most
$$;

-- Hits are {hits, log_id, names, more}: folded messages, the names of their channels. Times are microseconds
-- since 1970, `until` is exclusive; what lies before a mark is strictly before it by time, name and serial.
create or replace function search(
    said text, names text[], sender text, since bigint, until bigint,
    before_at bigint, before_name text, before_serial text, how_many integer
) returns json
language plpgsql stable
set search_path = chatkit, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    wanted text[] := words(said);
    query tsquery;
    places bigint[];
    low timestamptz := coalesce(moment(since), '-infinity');
    high timestamptz := least(coalesce(moment(until), 'infinity'), coalesce(moment(before_at + 1), 'infinity'));
    below hit := row(moment(before_at), before_name, null, text_serial(1, before_serial, false, 9223372036854775807));
    spans constant integer[] := spans();
    lexemes text[];
    likely bigint;
    span integer;
    edge timestamptz;
    hits hit[];
    fits integer;
    nothing constant json := json_build_object('hits', json_build_array(), 'more', false);
begin
    if cardinality(wanted) = 0 then
        return nothing;
    end if;
    select string_agg(format('''%s''', word), ' & ')::tsquery into query from unnest(wanted) as word;
    if sender is not null then
        query := query && format('''%s''', marked('u', sender))::tsquery;
    end if;
    if names is not null then
        places := array(select c.number from channels as c where c.name = any(names));
        if places = '{}' then
            return nothing;
        end if;
        query := query && (
            select string_agg(format(''':c%s''', number), ' | ')::tsquery from unnest(places) as number
        );
    end if;
    lexemes := wanted;
    if sender is not null then
        lexemes := lexemes || marked('u', sender);
    end if;
    foreach span in array spans loop
        continue when span = spans[2] and likely > 50000;
        if cardinality(places) <= span / 50 then
            select * into hits, edge from window_of(
                places, query, low, high, below, span / cardinality(places), how_many + 1
            );
        else
            select * into hits, edge from window_of(query, low, high, below, span, how_many + 1);
        end if;
        exit when edge is null or cardinality(hits) > how_many;
        likely := coalesce(likely, expected(lexemes));
        exit when likely <= case span when spans[1] then 3000 else 50000 end;
    end loop;
    if edge is not null and cardinality(hits) <= how_many then
        hits := hits_of(query, low, high, below, how_many + 1);
    end if;
    fits := fitting(hits[1:how_many], most_bytes());
    return (
        select json_build_object(
            'hits', folded(
                coalesce(array_agg(h.channel order by place), '{}'),
                coalesce(array_agg(h.serial order by place), '{}')
            ),
            'log_id', (select log_id from header),
            'names', json_agg(h.name order by place),
            'more', cardinality(hits) > fits
        )
        from unnest(hits[1:fits]) with ordinality as h (at, name, channel, serial, place)
    );
end
$$;
