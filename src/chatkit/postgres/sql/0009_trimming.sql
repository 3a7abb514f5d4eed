-- Forgetting: entries and messages first, ids and lanes much later (D20, D26).

-- Forgets up to 500 entries that lie before a place, and up to 500 ids that are older than any outbox may
-- keep an entry: {state, more}. To be called until there is no more.
create function trimmed(channel text, before json) returns json
language plpgsql volatile set search_path = chatkit, pg_temp set enable_seqscan = off as $$
declare
    step constant integer := 500;
    old constant timestamptz := clock_timestamp() - interval '400 days';
    place channels;
    goal bigint;
    rises bigint;
    last bigint;
    time timestamptz;
begin
    select * into place from channels as c where c.name = trimmed.channel for no key update;
    if place.number is null then
        return json_build_object('state', state_of(place), 'more', false);
    end if;
    goal := serial_of(place, before, false);
    rises := greatest(place.floor, least(goal, place.floor + step));
    if rises > place.floor then
        perform forget(place, rises);
        place.floor := rises;
    end if;
    -- The newest stays: how far time has come is read from it.
    select max(e.serial), max(e.at) into last, time from (
        select e.serial, e.at from entries as e
        where e.channel = place.number and e.serial > place.pruned
            and e.serial <= least(place.floor, place.head - 1)
        order by e.serial limit step
    ) as e
    where e.at < old;
    if last is not null then
        delete from entries as e where e.channel = place.number and e.serial <= last;
    end if;
    update channels as c set
        floor = place.floor,
        pruned = greatest(c.pruned, last),
        forgotten = greatest(c.forgotten, time)
    where c.number = place.number
    returning * into place;
    delete from lanes as l where l.channel = place.number and l.at < old;
    return json_build_object(
        'state', state_of(place), 'more', place.floor < goal or last is not null
    );
end
$$;

-- Forgets what lies above the floor so far and up to a new one.
create function forget(place channels, floor bigint) returns void
language plpgsql volatile as $$
begin
    -- What was a thread's root may stay, being younger than some of its replies: they are counted anew.
    with gone as (
        delete from messages as m
        where m.channel = place.number and m.serial > place.floor and m.serial <= forget.floor
        returning m.root_id, m.root_user
    ), roots as (
        select distinct g.root_id, g.root_user from gone as g where g.root_id is not null
    )
    update messages as m set (replies, last_reply) = (
        select count(*), max(r.serial) from messages as r
        where r.channel = m.channel and r.root_id = m.id and r.root_user = m.user_id and r.serial > forget.floor
    )
    from roots
    join entries as e on e.channel = place.number and e.id = roots.root_id and e.user_id = roots.root_user
    where m.channel = e.channel and m.serial = e.serial and m.serial > forget.floor;
    delete from texts as t
    where t.channel = place.number and t.serial > place.floor and t.serial <= forget.floor;
    delete from reactions as r
    where r.channel = place.number and r.message > place.floor and r.message <= forget.floor;
    delete from mentions as n
    where n.channel = place.number and n.message > place.floor and n.message <= forget.floor;
    update entries as e set data = null
    where e.channel = place.number and e.serial > place.floor and e.serial <= forget.floor;
end
$$;

-- Gives the log another id, and returns it: a backup was put in its place (D18). With a condition: a Supabase
-- project's database refuses an update that has none.
create function restored() returns text
language sql volatile set search_path = chatkit, pg_temp set enable_seqscan = off as $$
    update header set log_id = replace(gen_random_uuid()::text, '-', '') where one returning log_id
$$;
