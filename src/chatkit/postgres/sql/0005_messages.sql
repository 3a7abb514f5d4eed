-- The messages that entries make, kept up in the transaction of each append (D24).
--
-- Changes come in the order of their serials and after their rights were checked, so each is one step: an edit
-- sets the text, a delete erases every text so far, a restore shows what was written since.

-- Makes messages of entries that were kept behind the newest of their channel.
create function create_messages(place channels, run incoming[]) returns void
language plpgsql volatile as $$
declare
    replies boolean;
    mentions boolean;
begin
    -- A reply may have come before the message that it replies to.
    insert into messages (
        channel, serial, id, user_id, root_id, root_user, stands, shown, changed, replies, last_reply
    )
    select
        place.number, place.head + r.ordinality, r.id, r.user_id, t.root_id, t.root_user,
        not t.alone, not t.alone, place.head + r.ordinality, known.replies, known.last_reply
    from unnest(run) with ordinality as r
    cross join lateral thread_of(r.envelope) as t
    cross join lateral (
        select count(*) as replies, max(m.serial) as last_reply from messages as m
        where m.channel = place.number and m.root_id = r.id and m.root_user = r.user_id
    ) as known;
    select bool_or(r.envelope ? 'thread'), bool_or(r.envelope ? 'mentions') into replies, mentions
    from unnest(run) as r;
    if replies then
        update messages as m set replies = m.replies + new.replies, last_reply = new.last_reply
        from (
            select r.root_id, r.root_user, count(*) as replies, max(r.serial) as last_reply
            from messages as r
            where r.channel = place.number and r.serial > place.head and r.root_id is not null
            group by r.root_id, r.root_user
        ) as new
        join entries as e on e.channel = place.number and e.id = new.root_id and e.user_id = new.root_user
        where m.channel = place.number and m.serial = e.serial;
    end if;
    if mentions then
        perform mention(place.number, place.head + r.ordinality, r.envelope)
        from unnest(run) with ordinality as r;
    end if;
    insert into texts (channel, serial, at, user_id, words)
    select place.number, place.head + r.ordinality, place.at, r.user_id, r.words
    from unnest(run) with ordinality as r where r.words is not null;
end
$$;

-- The thread that a message belongs to, and whether to it alone; null: it stands in the channel itself.
create function thread_of(envelope jsonb, out root_id uuid, out root_user text, out alone boolean)
language plpgsql immutable as $$
begin
    if envelope ? 'thread' and is_readable(envelope) then
        root_id := envelope #>> '{thread,id}';
        root_user := envelope #>> '{thread,user}';
    end if;
    alone := root_id is not null and not coalesce((envelope ->> 'also')::boolean, false);
end
$$;

create function change_message(serial bigint, entry incoming, target messages) returns void
language plpgsql volatile as $$
declare
    created entries;
    showing jsonb;
begin
    select * into created from entries as e where e.channel = target.channel and e.serial = target.serial;
    target.version := target.version + 1;
    target.changed := change_message.serial;
    if entry.kind = 'message.update' then
        target.edit := change_message.serial;
    elsif entry.kind = 'message.delete' then
        perform erase(target);
        target.edit := null;
        target.deleted := true;
        target.erased := change_message.serial;
    else
        target.deleted := false;
    end if;
    update messages as m set
        shown = target.stands and not target.deleted,
        edit = target.edit,
        version = target.version,
        changed = target.changed,
        deleted = target.deleted,
        erased = target.erased
    where m.channel = target.channel and m.serial = target.serial;

    select e.data::jsonb into showing from entries as e
    where e.channel = target.channel and e.serial = coalesce(target.edit, target.serial);
    if target.deleted then
        delete from texts as t where t.channel = target.channel and t.serial = target.serial;
    elsif entry.kind = 'message.restore' or entry.words is null then
        perform search_again(target, created.at, indexed(target.channel, target.user_id, showing -> 'body'));
    else
        perform search_again(target, created.at, entry.words);
    end if;
    -- Whom it mentions is said by its edit, or else by its creation.
    if jsonb_typeof(showing -> 'mentions') is distinct from 'array' or showing -> 'mentions' = '[]' then
        showing := created.data::jsonb;
    end if;
    delete from mentions as n where n.channel = target.channel and n.message = target.serial;
    perform mention(target.channel, target.serial, showing);
end
$$;

create function search_again(target messages, at timestamptz, words tsvector) returns void
language plpgsql volatile as $$
begin
    if search_again.words is null then
        delete from texts as t where t.channel = target.channel and t.serial = target.serial;
    else
        insert into texts (channel, serial, at, user_id, words)
        values (target.channel, target.serial, search_again.at, target.user_id, search_again.words)
        on conflict (channel, serial) do update set words = excluded.words;
    end if;
end
$$;

create function mention(channel bigint, message bigint, envelope jsonb) returns void
language plpgsql volatile as $$
begin
    if is_readable(envelope) and envelope ? 'mentions' and envelope -> 'mentions' <> 'null' then
        insert into mentions (channel, user_id, message)
        select mention.channel, named, mention.message
        from jsonb_array_elements_text(envelope -> 'mentions') as named
        on conflict do nothing;
    end if;
end
$$;

-- Takes every text out of the entries of a message, the newest included (D26).
create function erase(target messages) returns void
language sql volatile as $$
    update entries as e set data = erased(e.data)
    where e.channel = target.channel and e.data is not null and (
        (e.target = target.serial and e.serial > target.erased)
        or (e.serial = target.serial and target.erased = 0)
    )
$$;

create function react(serial bigint, entry incoming, target messages) returns void
language plpgsql volatile as $$
declare
    given text := entry.body ->> 'emoji';
begin
    if entry.kind = 'reaction.add' then
        insert into reactions as r (channel, message, emoji, user_id, serial)
        values (target.channel, target.serial, given, entry.user_id, react.serial)
        on conflict (channel, message, emoji, user_id) do update set serial = excluded.serial;
        -- At most 32 of one user and 1,000 of all, as on every client; the oldest go.
        delete from reactions as r
        where r.channel = target.channel and r.message = target.serial and r.serial = (
            select o.serial from reactions as o
            where o.channel = target.channel and o.message = target.serial and o.user_id = entry.user_id
            order by o.serial desc offset 32 limit 1
        );
        delete from reactions as r
        where r.channel = target.channel and r.message = target.serial and r.serial = (
            select o.serial from reactions as o
            where o.channel = target.channel and o.message = target.serial
            order by o.serial desc offset 1000 limit 1
        );
    else
        delete from reactions as r
        where r.channel = target.channel and r.message = target.serial and r.emoji = given
            and r.user_id = entry.user_id;
    end if;
    update messages as m set changed = react.serial
    where m.channel = target.channel and m.serial = target.serial;
end
$$;
