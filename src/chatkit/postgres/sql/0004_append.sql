-- Appending: numbers, the fence and rights (D9), and the messages that entries make (D24).

create function micros(at timestamptz) returns bigint
language plpgsql immutable parallel safe as $$
begin
    return (extract(epoch from at) * 1000000)::bigint;
end
$$;

-- Where a channel stands, as every answer says (D18); `channel` may be a row of nulls.
create function state_of(place channels) returns json
language sql volatile as $$
    select json_build_object(
        'log_id', log_id,
        'head', coalesce(place.head, 0),
        'floor', coalesce(place.floor, 0),
        'now', micros(clock_timestamp())
    )
    from header
$$;

-- One entry as it is handed over, read and found sound, or the words of its refusal. Nothing that it holds
-- makes this raise.
create type incoming as (
    user_id text,
    id uuid,
    device text,
    seq bigint,
    not_after bigint,
    data text,
    kind text,
    envelope jsonb,
    body jsonb,
    words tsvector,
    error text,
    reason text
);

create function incoming(channel bigint, name text, item json) returns incoming
language plpgsql stable as $$
declare
    found incoming;
    wrong text;
begin
    begin
        found.data := item ->> 'data';
        found.envelope := envelope(found.data);
        wrong := fault(found.envelope);
        if wrong is null then
            found.user_id := item ->> 'user';
            found.device := item ->> 'device';
            found.seq := item ->> 'seq';
            found.not_after := item ->> 'not_after';
            found.kind := found.envelope ->> 'kind';
            if item ->> 'id' = found.envelope ->> 'id' then
                found.id := found.envelope ->> 'id';
            end if;
            if is_readable(found.envelope) then
                found.body := found.envelope -> 'body';
            end if;
            if found.kind in ('message.create', 'message.update') then
                found.words := indexed(channel, found.user_id, found.body);
            end if;
        end if;
    exception when data_exception or program_limit_exceeded then
        wrong := 'envelope';
    end;
    if wrong is not null then
        found.error := 'InvalidMessage';
        found.reason := wrong || ': is not what an envelope may hold';
    elsif found.envelope ->> 'channel' <> name then
        found.error := 'NotAllowed';
        found.reason := 'the envelope names another channel';
    elsif found.id is null
        or found.envelope #>> '{sender,user}' is distinct from found.user_id
        or found.envelope #>> '{sender,device}' is distinct from found.device
    then
        found.error := 'NotAllowed';
        found.reason := 'the envelope names another sender, device or id';
    elsif split_part(found.kind, '.', 1) in ('state', 'typing', 'presence', 'x') then
        found.error := 'Rejected';
        found.reason := 'a log keeps no envelope of this class';
    end if;
    return found;
end
$$;

-- Takes entries in, in order, and answers each: {outcome, serial, at, prev, error, reason}. An entry is
-- {user, id, device, seq, not_after, data}; times are microseconds since 1970. Trusts its caller to be the
-- users that the entries name.
--
-- Its plans are made once a session, not at each call (`force_generic_plan`); so they go by indexes, however few
-- rows there were when they were made (`enable_seqscan`).
create function append(channel text, entries json) returns json
language plpgsql volatile
set search_path = chatkit, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    place channels;
    entry incoming;
    last incoming;
    run incoming[] := '{}';
    taken record;
    answers json[] := '{}';
    key bytea;
    first bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        -- A snapshot from before the lock would not show what its last holder did.
        raise object_not_in_prerequisite_state using message = 'append needs READ COMMITTED';
    end if;
    select secret into key from header;
    -- Held to the end of the transaction: nobody else numbers, refuses or changes anything here meanwhile.
    select * into place from channels as c where c.name = append.channel for no key update;
    if place.number is null and json_array_length(entries) > 0 and is_channel(append.channel) then
        insert into channels (name) values (append.channel) on conflict do nothing;
        select * into strict place from channels as c where c.name = append.channel for no key update;
    end if;
    first := place.head;
    -- New messages of one lane that follow each other are taken in together, all else one by one.
    for entry in
        select read.* from json_array_elements(entries) with ordinality as given (item, n)
        cross join lateral incoming(place.number, append.channel, given.item) as read
        order by given.n
    loop
        if cardinality(run) > 0 and (
            entry.seq > last.seq and entry.error is null and last.error is null
            and (entry.kind, entry.user_id, entry.device) = ('message.create', last.user_id, last.device)
            and last.kind = 'message.create'
        ) is not true then
            select * into taken from take_in(place, run, key);
            place := taken.place;
            answers := answers || taken.answers;
            run := '{}';
        end if;
        run := run || entry;
        last := entry;
    end loop;
    select * into taken from take_in(place, run, key);
    place := taken.place;
    answers := answers || taken.answers;
    if place.head > first then
        update channels as c set head = place.head, at = place.at where c.number = place.number;
        -- A hint for other processes, sent at the commit.
        perform pg_notify('chatkit_log', append.channel);
    end if;
    return json_build_object('state', state_of(place), 'acks', array_to_json(answers));
end
$$;

-- Takes a run of entries in, in order, and answers each.
create function take_in(inout place channels, run incoming[], key bytea, out answers json[])
language plpgsql volatile as $$
declare
    entry incoming;
    answer json;
begin
    answers := '{}';
    if cardinality(run) > 1 and are_new(place, run) then
        place.at := greatest(clock_timestamp(), place.at);
        perform accept(place, run, key);
        answers := array(
            select ack_of(place.head + n, place.at) from generate_series(1, cardinality(run)) as n
        );
        place.head := place.head + cardinality(run);
        return;
    end if;
    foreach entry in array run loop
        if entry.error is not null or place.number is null then
            answer := json_build_object(
                'outcome', 'refused',
                'error', coalesce(entry.error, 'InvalidMessage'),
                'reason', coalesce(entry.reason, 'channel: is not what an envelope may hold')
            );
        else
            answer := answered(place, entry, key);
        end if;
        if answer is null then
            place.at := greatest(clock_timestamp(), place.at);
            perform accept(place, array[entry], key);
            place.head := place.head + 1;
            answer := ack_of(place.head, place.at);
        end if;
        answers := answers || answer;
    end loop;
end
$$;

-- The answer to an entry that was taken in.
create function ack_of(serial bigint, at timestamptz) returns json
language plpgsql immutable as $$
begin
    return json_build_object('outcome', 'new', 'serial', serial, 'at', micros(at), 'prev', serial - 1);
end
$$;

-- Whether nothing speaks against any message of a run, so that all are answered alike. They are of one lane.
create function are_new(place channels, run incoming[]) returns boolean
language plpgsql volatile as $$
begin
    return may_publish(place, run[1]) and (
        select count(distinct r.id) = count(*) and count(known.serial) = 0 and count(refused.number) = 0
            and coalesce(min(r.not_after) >= micros(clock_timestamp()), true)
        from unnest(run) as r
        left join lateral (
            select e.serial from entries as e
            where e.channel = place.number and e.id = r.id and e.user_id = r.user_id offset 0
        ) as known on true
        left join lateral (
            select f.number from refusals as f
            where f.channel = place.number and f.id = r.id and f.user_id = r.user_id
                and f.device = r.device and f.seq = r.seq offset 0
        ) as refused on true
    ) and not exists (
        select from lanes as l
        where l.channel = place.number and l.user_id = run[1].user_id and l.device = run[1].device
            and l.seq >= run[1].seq
    );
end
$$;

-- What tells bodies apart, whatever the order of their fields.
create function digest_of(body jsonb, key bytea) returns bytea
language plpgsql immutable parallel safe as $$
begin
    return substr(sha256(key || convert_to(coalesce(body::text, 'null'), 'UTF8')), 1, 16);
end
$$;

-- The answer to an entry that is not to be taken in; null: it is.
create function answered(place channels, entry incoming, key bytea) returns json
language plpgsql volatile as $$
declare
    known entries;
    wrong text[];
    refused bigint;
begin
    select * into known from entries as e
    where e.channel = place.number and e.id = entry.id and e.user_id = entry.user_id;
    if known.serial is not null then
        return json_build_object(
            'outcome', case when known.digest = digest_of(entry.body, key) then 'duplicate' else 'conflict' end,
            'serial', known.serial,
            'at', micros(known.at),
            'prev', case when known.serial > place.floor then known.serial - 1 end
        );
    end if;
    -- A copy of an attempt that was refused is refused as it was then: `refused` is certain. Also where its lane
    -- went on meanwhile: else it would be made anew (D27).
    select array[r.error, r.reason] into wrong from refusals as r
    where r.channel = place.number and r.id = entry.id and r.user_id = entry.user_id
        and r.device = entry.device and r.seq = coalesce(entry.seq, 0);
    if wrong is null then
        if micros(clock_timestamp()) > entry.not_after then
            return json_build_object('outcome', 'too_late');
        end if;
        if entry.seq <= (
            select seq from lanes as l
            where l.channel = place.number and l.user_id = entry.user_id and l.device = entry.device
        ) then
            return json_build_object('outcome', 'superseded');
        end if;
        wrong := objection(place, entry);
        if wrong is null then
            return null;
        end if;
        insert into refusals (channel, id, user_id, device, seq, error, reason)
        values (place.number, entry.id, entry.user_id, entry.device, coalesce(entry.seq, 0), wrong[1], wrong[2])
        returning number into refused;
        if refused % 100 = 0 then
            perform forget_refusals(place.number, 10000);
        end if;
    end if;
    return json_build_object('outcome', 'refused', 'error', wrong[1], 'reason', wrong[2]);
end
$$;

-- Forgets the oldest refusals of a channel.
create function forget_refusals(channel bigint, keep integer) returns void
language sql volatile as $$
    delete from refusals as r where r.channel = forget_refusals.channel and r.number <= (
        select s.number from refusals as s where s.channel = forget_refusals.channel
        order by s.number desc offset keep limit 1
    )
$$;

-- The message that a change is for; a row of nulls: there is none.
create function target_of(channel bigint, envelope jsonb) returns messages
language sql stable as $$
    select m from entries as e join messages as m on m.channel = e.channel and m.serial = e.serial
    where e.channel = target_of.channel
        and e.id = (envelope #>> '{ref,id}')::uuid and e.user_id = envelope #>> '{ref,user}'
$$;

create function is_change(entry incoming) returns boolean
language plpgsql immutable as $$
begin
    return is_readable(entry.envelope) and entry.kind in (
        'message.update', 'message.delete', 'message.restore', 'reaction.add', 'reaction.remove'
    );
end
$$;

-- In a broadcast channel, which a register of everyone says it is, owners alone make messages.
create function may_publish(place channels, entry incoming) returns boolean
language plpgsql stable as $$
begin
    return not exists (
        select from registers as r
        where r.channel = place.name and r.name = 'kind' and r.user_id = '*' and r.value = 'broadcast'
    ) or exists (
        select from registers as r
        where r.channel = place.name and r.name = 'role' and r.user_id = entry.user_id and r.value = 'owner'
    );
end
$$;

-- Why an entry is refused (D2): the class of the error and its words; null: it is not.
create function objection(place channels, entry incoming) returns text[]
language plpgsql stable as $$
declare
    target messages;
begin
    if entry.kind = 'message.create' and not may_publish(place, entry) then
        return array['NotAllowed', 'only an owner may publish in a broadcast channel'];
    end if;
    if not is_change(entry) then
        return null;  -- what this version cannot interpret is kept all the same
    end if;
    target := target_of(place.number, entry.envelope);
    if target.serial is null then
        return array['MessageNotFound', 'the message that this is for is not in the log'];
    end if;
    if target.user_id <> entry.user_id then
        if entry.kind = 'message.update' then
            return array['NotAllowed', 'only its author may edit a message'];
        end if;
        if entry.kind in ('message.delete', 'message.restore') and not exists (
            select from registers as r
            where r.channel = place.name and r.name = 'role' and r.user_id = entry.user_id
                and r.value in ('owner', 'moderator')
        ) then
            return array['NotAllowed', 'only its author or a moderator may delete or restore a message'];
        end if;
    end if;
    if (entry.envelope #>> '{ref,base}')::bigint <> target.version then
        return array['VersionConflict', format('the message is at version %s by now', target.version)];
    end if;
    return null;
end
$$;

-- Keeps entries behind the newest of their channel, and folds them in: new messages of one lane, or anything
-- else alone.
create function accept(place channels, run incoming[], key bytea) returns void
language plpgsql volatile as $$
declare
    entry incoming := run[cardinality(run)];
    target messages;
begin
    if is_change(entry) then
        target := target_of(place.number, entry.envelope);
    end if;
    insert into entries (channel, serial, at, id, user_id, target, digest, data)
    select
        place.number, place.head + r.ordinality, place.at, r.id, r.user_id,
        case when r.kind like 'message.%' then target.serial end, digest_of(r.body, key), r.data
    from unnest(run) with ordinality as r;
    if entry.seq is not null then
        insert into lanes as l (channel, user_id, device, seq, at)
        values (place.number, entry.user_id, entry.device, entry.seq, place.at)
        on conflict (channel, user_id, device) do update set seq = excluded.seq, at = excluded.at;
    end if;
    if entry.kind = 'message.create' then
        perform create_messages(place, run);
    elsif target.serial is null then
        return;
    elsif entry.kind like 'reaction.%' then
        perform react(place.head + 1, entry, target);
    else
        perform change_message(place.head + 1, entry, target);
    end if;
end
$$;
