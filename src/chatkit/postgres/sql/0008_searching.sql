-- Full text, newest first (D24).
--
-- Two ways lead to the newest hits. One reads the newest texts one after another until a page is full: good
-- for words that are frequent. The other asks the index for all hits and sorts them: good for words that are
-- rare. Which it is show the newest thousand, and the statistics that the server gathers.

create type hit as (at timestamptz, name text, channel bigint, serial bigint);

create function moment(micros bigint) returns timestamptz
language sql immutable parallel safe as $$
    select timestamptz 'epoch' + micros * interval '1 microsecond'
$$;

-- The newest hits among the newest `span` texts from `low` on and before `high`. `edge`: where those end; null:
-- all texts were among them. A hit lies before the mark `below`, whose serial is the greatest that does.
create function window_of(
    query tsquery, low timestamptz, high timestamptz, below hit, span integer, how_many integer,
    out hits hit[], out edge timestamptz
)
language plpgsql stable set enable_bitmapscan = off as $$
declare
    start timestamptz := low;
begin
    select t.at into edge from texts as t where t.at >= low and t.at < high
    order by t.at desc offset span limit 1;
    if edge is not null then
        start := edge + interval '1 microsecond';
    end if;
    hits := array(
        select row(t.at, c.name, t.channel, t.serial)::hit
        from texts as t join channels as c on c.number = t.channel
        where t.at >= start and t.at < high and t.words @@ query
            and (below.at is null or (t.at, c.name, t.serial) <= (below.at, below.name collate "C", below.serial))
        order by t.at desc, c.name desc, t.serial desc limit how_many
    );
end
$$;

-- The same among the newest `span` texts of each of some channels.
create function window_of(
    places bigint[], query tsquery, low timestamptz, high timestamptz, below hit, span integer,
    how_many integer, out hits hit[], out edge timestamptz
)
language plpgsql stable set enable_bitmapscan = off as $$
declare
    place channels;
    last bigint;
    first bigint;
    time timestamptz;
begin
    hits := '{}';
    for place in select * from channels as c where c.number = any(places) loop
        last := place.head;
        if high < 'infinity' then
            last := serial_of(place, json_build_object('at', micros(high)), false);
        end if;
        select t.serial into first from texts as t
        where t.channel = place.number and t.serial <= last
        order by t.serial desc offset span limit 1;
        select t.at into time from texts as t where t.channel = place.number and t.serial = first;
        if time >= low then
            edge := greatest(edge, time);
        end if;
        hits := hits || array(
            select row(t.at, place.name, t.channel, t.serial)::hit from texts as t
            where t.channel = place.number and t.serial > coalesce(first, 0) and t.serial <= last
                and t.at >= low and t.words @@ query
                and (
                    below.at is null
                    or (t.at, place.name, t.serial) <= (below.at, below.name collate "C", below.serial)
                )
            order by t.serial desc limit how_many
        );
    end loop;
    hits := array(
        select h from unnest(hits) as h where edge is null or h.at > edge
        order by h.at desc, h.name collate "C" desc, h.serial desc limit how_many
    );
end
$$;

-- How many of the newest texts are read one after another, first, then, and at last.
create function spans() returns integer[]
language sql immutable parallel safe as $$ select array[1000, 16000, 2147483647] $$;

-- About how many texts hold all of these at most, as the server's statistics say; 0 where it has none.
create function expected(lexemes text[]) returns bigint
language plpgsql stable as $$
declare
    total real;
    frequent text[];
    frequencies real[];
    share real := 1;
    lexeme text;
begin
    select reltuples into total from pg_class where oid = 'texts'::regclass;
    select most_common_elems::text::text[], most_common_elem_freqs into frequent, frequencies from pg_stats
    where schemaname = 'chatkit' and tablename = 'texts' and attname = 'words';
    if frequent is null then
        return 0;
    end if;
    foreach lexeme in array lexemes loop
        -- Behind the frequencies stands the lowest of them.
        share := least(share, frequencies[coalesce(array_position(frequent, lexeme), cardinality(frequent) + 1)]);
    end loop;
    return greatest(total, 0) * share;
end
$$;

-- The newest hits by the index.
create function hits_of(query tsquery, low timestamptz, high timestamptz, below hit, how_many integer)
returns hit[]
language plpgsql stable as $$
begin
    return array(
        with found as materialized (
            select t.at, t.channel, t.serial from texts as t where t.words @@ query
        )
        select row(f.at, c.name, f.channel, f.serial)::hit
        from found as f join channels as c on c.number = f.channel
        where f.at >= low and f.at < high
            and (below.at is null or (f.at, c.name, f.serial) <= (below.at, below.name collate "C", below.serial))
        order by f.at desc, c.name desc, f.serial desc limit how_many
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
create function search(
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
    wanted text[];
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
    if octet_length(said) <= 65536 then
        wanted := words(said);
    end if;
    if said is null or cardinality(wanted) = 0 then
        return nothing;
    elsif wanted is null or cardinality(wanted) > 2000 then  -- each costs its time
        raise exception using errcode = 'PT413', message = 'a search is for at most 2,000 words, 65,536 bytes in all';
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
