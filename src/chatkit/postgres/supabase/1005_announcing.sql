-- What was appended is told to the members who listen, in the transaction of the append: what is rolled back
-- was never told (D16, D28).
--
-- Told is a hint: whoever missed it reads the log. So an append goes on where it cannot be told: Realtime's own
-- function warns and goes on, too, where the day's partition is missing.

create function announce() returns trigger
language plpgsql volatile security definer set search_path = chatkit, pg_temp as $$
declare
    -- Of a payload, as text; a project's limit is 256,000 and counts a little otherwise.
    most constant integer := 198000;
    who constant text := case when trusted() then 'backend' else 'provider' end;
    stored entries;
    told jsonb;
    weight integer;
    part jsonb[] := '{}';
    total integer := 0;
begin
    for stored in
        select * from entries as e
        where e.channel = new.number and e.serial > old.head and e.serial <= new.head
        order by e.serial
    loop
        told := jsonb_build_object(
            'serial', serial_text(stored.serial),
            'prev', serial_text(stored.serial - 1),
            'user', stored.user_id,
            'at', micros(stored.at),
            'data', stored.data,
            'by', who
        );
        weight := octet_length(told::text) + 2;
        if weight > most then
            told := told - 'data';
            weight := octet_length(told::text) + 2;
        end if;
        if total + weight > most then
            perform tell(new.name, part);
            part := '{}';
            total := 0;
        end if;
        part := part || told;
        total := total + weight;
    end loop;
    perform tell(new.name, part);
    return null;
exception when others then
    raise warning 'chatkit: an append was not announced: %', sqlerrm;
    return null;
end
$$;

-- As a serial is written outside; the one before the first is empty.
create function serial_text(number bigint) returns text
language sql immutable parallel safe as $$
    select case when number = 0 then '' else lpad(number::text, 20, '0') end
$$;

create function tell(channel text, told jsonb[]) returns void
language sql volatile as $$
    select realtime.send(
        jsonb_build_object('v', 1, 'log', log_id, 'epoch', 1, 'channel', tell.channel, 'entries', to_jsonb(told)),
        'entries',
        log_topic(tell.channel),
        true
    )
    from header
$$;

-- Once an append, when all of it is there: the row of the channel is written last.
create trigger announce after update of head on channels
for each row when (new.head > old.head) execute function announce();

-- A trim is told by nothing: whoever listens looks.
create function announce_floor() returns trigger
language plpgsql volatile security definer set search_path = chatkit, pg_temp as $$
begin
    perform tell(new.name, '{}');
    return null;
exception when others then
    raise warning 'chatkit: a trim was not announced: %', sqlerrm;
    return null;
end
$$;

create trigger announce_floor after update of floor on channels
for each row when (new.floor > old.floor) execute function announce_floor();
