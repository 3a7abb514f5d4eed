-- Names on the wire, as `chatkit.model.names` makes them (D31), and the topics of channels (D28).

-- ESC: what is not A-Z a-z 0-9 or - becomes _ and two digits for each byte of its UTF-8.
create function escape(said text, kept text default '') returns text
language sql immutable parallel safe as $$
    select coalesce(string_agg(
        case
            when c ~ '^[A-Za-z0-9-]$' or c = kept then c
            else regexp_replace(encode(convert_to(c, 'UTF8'), 'hex'), '(..)', '_\1', 'g')
        end,
        '' order by place
    ), '')
    from regexp_split_to_table(nullif(said, ''), '') with ordinality as characters (c, place)
$$;

-- What `escape` was given; null: it never wrote this.
create function unescaped(said text, kept text default '') returns text
language plpgsql immutable as $$
declare
    original text;
begin
    select convert_from(decode(coalesce(string_agg(
        case
            when length(m[1]) = 3 then substr(m[1], 2)
            else encode(convert_to(m[1], 'UTF8'), 'hex')
        end,
        '' order by place
    ), ''), 'hex'), 'UTF8') into original
    from regexp_matches(said, '_[0-9a-f]{2}|.', 'g') with ordinality as found (m, place);
    return case when escape(original, kept) = said then original end;
exception when data_exception then
    return null;  -- bytes that are no text
end
$$;

-- The name of a channel at a provider: derived ones stay as they are.
create function wire_name(channel text) returns text
language sql immutable parallel safe as $$
    select case when channel ~ '^(dm|u)\.' then channel else escape(channel, '.') end
$$;

-- A derived name that would be too long, or reads like the hash of another, is a hash itself.
create function derived(prefix text, rest text) returns text
language sql immutable parallel safe as $$
    select case
        when octet_length(prefix || rest) > 140 or rest ~ '^[0-9a-f]{64}$'
            then prefix || encode(sha256(convert_to(prefix || rest, 'UTF8')), 'hex')
        else prefix || rest
    end
$$;

-- The channel on which a user hears who has opened a direct channel.
create function personal(user_id text) returns text
language sql immutable parallel safe as $$
    select derived('u.', escape(user_id))
$$;

-- The topic on which the database alone speaks: what was appended.
create function log_topic(channel text) returns text
language sql immutable parallel safe as $$
    select 'chatkit:' || wire_name(channel)
$$;

-- The topic on which members speak to each other: typing, presence.
create function live_topic(channel text) returns text
language sql immutable parallel safe as $$
    select 'chatkit-live:' || wire_name(channel)
$$;

-- The channel that a topic belongs to; null: it is none of ours.
create function channel_at(topic text) returns text
language plpgsql immutable as $$
declare
    wire text := substring(topic from '^chatkit(?:-live)?:(.*)$');
    name text;
begin
    if octet_length(wire) > 140 then
        return null;  -- before it is read: anybody may ask for a topic of megabytes
    end if;
    name := case when wire ~ '^(dm|u)\.' then wire else unescaped(wire, '.') end;
    return case when is_channel(name) then name end;
end
$$;
