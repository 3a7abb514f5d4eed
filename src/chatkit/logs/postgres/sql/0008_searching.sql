-- Full text, newest first (D24).
--
-- Two ways lead to the newest hits. One reads the newest texts one after another: good for words that are
-- frequent. The other asks the index for all hits and sorts them: good for words that are rare. Nobody knows
-- beforehand which it is, so the first is tried with the newest texts alone, and what it has not found enough
-- of there is rare enough for the second.

create type hit as (at timestamptz, name text, channel bigint, serial bigint);

create function moment(micros bigint) returns timestamptz
language sql immutable parallel safe as $$
    select timestamptz 'epoch' + micros * interval '1 microsecond'
$$;

-- Hits among the newest `span` texts from `low` on and before `high`. All hits after `edge` are there; null:
-- all of them.
create function window_of(
    query tsquery, low timestamptz, high timestamptz, span integer, out hits hit[], out edge timestamptz
)
language plpgsql stable as $$
begin
    with newest as materialized (
        select * from texts as t where t.at >= low and t.at < high order by t.at desc limit span
    ), ends as (
        select case when count(*) = span then min(at) end as edge from newest
    )
    select (select ends.edge from ends), array(
        select row(t.at, c.name, t.channel, t.serial)::hit
        from newest as t join channels as c on c.number = t.channel
        where t.words @@ query
    ) into edge, hits;
end
$$;

-- The same among the newest `span` texts of each of some channels.
create function window_of(
    places bigint[], query tsquery, low timestamptz, high timestamptz, span integer,
    out hits hit[], out edge timestamptz
)
language plpgsql stable as $$
begin
    with newest as materialized (
        select c.name, t.* from channels as c cross join lateral (
            select * from texts as t
            where t.channel = c.number and t.serial <= case when high = 'infinity' then c.head
                else serial_of(c, json_build_object('at', micros(high)), false) end
            order by t.serial desc limit span
        ) as t
        where c.number = any(places)
    ), ends as (
        select max(e.edge) as edge from (
            select min(at) as edge from newest group by channel having count(*) = span
        ) as e
    )
    select (select nullif(greatest(ends.edge, low), low) from ends), array(
        select row(t.at, t.name, t.channel, t.serial)::hit from newest as t
        where t.words @@ query and t.at >= low
    ) into edge, hits;
end
$$;

-- The newest hits by the index.
create function hits_of(query tsquery, low timestamptz, high timestamptz) returns setof hit
language sql stable as $$
    with found as materialized (
        select t.at, t.channel, t.serial from texts as t where t.words @@ query
    )
    select f.at, c.name, f.channel, f.serial
    from found as f join channels as c on c.number = f.channel
    where f.at >= low and f.at < high
$$;

-- Hits are {hits, names, more}: folded messages, the names of their channels. Times are microseconds since
-- 1970, `until` is exclusive; what lies before a mark is strictly before it by time, name and serial.
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
    wanted text[] := words(said);
    query tsquery;
    places bigint[];
    low timestamptz := coalesce(moment(since), '-infinity');
    high timestamptz := least(coalesce(moment(until), 'infinity'), coalesce(moment(before_at + 1), 'infinity'));
    mark hit := row(moment(before_at), before_name, null, text_serial(1, before_serial, false, 9223372036854775807));
    span integer;
    edge timestamptz;
    hits hit[];
    nothing constant json := json_build_object('hits', json_build_array(), 'more', false);
begin
    if cardinality(wanted) = 0 then
        return nothing;
    end if;
    select string_agg('''' || word || '''', ' & ')::tsquery into query from unnest(wanted) as word;
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
    foreach span in array array[1000, 12000] loop
        if cardinality(places) <= span / 50 then
            select * into hits, edge from window_of(places, query, low, high, span / cardinality(places));
        else
            select * into hits, edge from window_of(query, low, high, span);
        end if;
        hits := newest_of(hits, mark, edge, how_many + 1);
        exit when edge is null or cardinality(hits) > how_many;
    end loop;
    if edge is not null and cardinality(hits) <= how_many then
        hits := newest_of(array(select h from hits_of(query, low, high) as h), mark, null, how_many + 1);
    end if;
    return (
        select json_build_object(
            'hits', folded(
                coalesce(array_agg(h.channel order by place), '{}'),
                coalesce(array_agg(h.serial order by place), '{}')
            ),
            'log_id', (select log_id from header),
            'names', json_agg(h.name order by place),
            'more', cardinality(hits) > how_many
        )
        from unnest(hits[1:how_many]) with ordinality as h (at, name, channel, serial, place)
    );
end
$$;

-- The newest hits that lie before a mark and after an edge.
create function newest_of(hits hit[], mark hit, edge timestamptz, how_many integer) returns hit[]
language sql stable as $$
    select array(
        select h from unnest(hits) as h
        where (mark.at is null or (h.at, h.name collate "C", h.serial) <= (mark.at, mark.name collate "C", mark.serial))
            and (edge is null or h.at > edge)
        order by h.at desc, h.name collate "C" desc, h.serial desc limit how_many
    )
$$;
