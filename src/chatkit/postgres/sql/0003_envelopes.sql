-- What a sender wrote, which may be anything: read here, or refused.
--
-- Small functions are plpgsql on purpose: called from others, those cost a tenth of what SQL ones do.

-- A whole number of I-JSON within bounds.
create function is_whole(value jsonb, lowest bigint) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return coalesce(
        jsonb_typeof(value) = 'number'
        and value::text ~ '^[0-9]{1,16}$'
        and value::text::bigint between lowest and 9007199254740991,
        false
    );
end
$$;

-- Text that may name something: not empty, no control characters, normal form C.
create function is_name(value text, most integer) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return coalesce(
        octet_length(value) between 1 and most
        and value !~ '[\u0001-\u001f\u007f-\u009f]'
        and (octet_length(value) = length(value) or value is nfc normalized),
        false
    );
end
$$;

create function is_user(value jsonb) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return coalesce(
        jsonb_typeof(value) = 'string' and value #>> '{}' <> '*' and is_name(value #>> '{}', 128), false
    );
end
$$;

create function is_id(value jsonb) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return coalesce(
        jsonb_typeof(value) = 'string'
        and value #>> '{}' ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
        false
    );
end
$$;

create function is_like(value jsonb, pattern text) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return coalesce(jsonb_typeof(value) = 'string' and value #>> '{}' ~ pattern, false);
end
$$;

-- Raises where there is no such day.
create function is_instant(value jsonb) returns boolean
language plpgsql stable parallel safe as $$
begin
    return is_like(value, '^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$')
        and (value #>> '{}')::timestamptz is not null;
end
$$;

create function is_channel(name text) returns boolean
language sql immutable parallel safe as $$
    select coalesce(
        case when name ~ '^(dm|u)\.' then
            length(name) <= 140
            and name ~ ('^(dm\.([0-9a-f]{64}|([A-Za-z0-9-]|_[0-9a-f]{2})+\.([A-Za-z0-9-]|_[0-9a-f]{2})+)'
                || '|u\.([A-Za-z0-9-]|_[0-9a-f]{2})+)$')
        else
            length(name) <= 64
            and is_name(name, 140)
            and octet_length(name) + 2 * octet_length(regexp_replace(name, '[A-Za-z0-9.-]+', '', 'g')) <= 140
        end,
        false
    )
$$;

-- A message at the head of a thread, or the target of a change.
create function is_root(value jsonb) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return jsonb_typeof(value) = 'object' and is_id(value -> 'id') and is_user(value -> 'user');
end
$$;

-- Says whether text holds numbers that I-JSON does not have: jsonb would write some of them out in full.
create function has_wild_numbers(data text) returns boolean
language plpgsql immutable parallel safe as $$
declare
    bare text;
begin
    -- An id may look like a number with an exponent, but does not stand where a number does.
    if data !~ '[0-9]{16}|(?:^|[:,[\s])-?[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]{3}' then
        return false;
    end if;
    bare := regexp_replace(data, '"(?:[^"\\]|\\.)*"', '""', 'g');
    return bare ~ '[eE][-+]?0*(?:[4-9][0-9]{2}|3[1-9][0-9]|309|[1-9][0-9]{3,})'
        or bare ~ '[0-9]{200}[0-9]{200}'
        or exists (
            select from regexp_matches(bare, '(?:^|[^-+0-9.eE])-?([0-9]{16,})(?![0-9.eE])', 'g') as number
            where number[1]::numeric > 9007199254740991
        );
end
$$;

-- The envelope that some text is: its fields, those that are null left out. Raises `data_exception` or
-- `program_limit_exceeded` where it is none; what is said then may quote the text and must not be passed on.
create function envelope(data text) returns jsonb
language plpgsql stable parallel safe as $$
declare
    found jsonb;
begin
    if octet_length(data) > 1048576 or data is not json object with unique keys or has_wild_numbers(data) then
        raise data_exception;
    end if;
    found := data::jsonb;  -- raises for U+0000 and for half surrogates
    -- `replace`, for it takes an eighth of what `translate` does.
    if length(data) - length(replace(replace(data, '{', ''), '[', '')) > 32 and jsonb_path_exists(
        found, 'strict $.**{32 to last} ? (@.type() == "object" || @.type() == "array")'
    ) then
        raise data_exception;
    end if;
    if position('null' in data) > 0 then
        select jsonb_object_agg(key, value) into found from jsonb_each(found) where value <> 'null';
    end if;
    return found;
end
$$;

-- The first field of an envelope that is wrong; null: none is. Fields that only newer readers may interpret
-- are not looked at. One expression: plpgsql prepares each anew in every transaction.
create function fault(e jsonb) returns text
language plpgsql stable parallel safe as $$
begin
    return case
        when not is_whole(e -> 'v', 1) then 'v'
        when e ? 'min' and not is_whole(e -> 'min', 1) then 'min'
        when not is_id(e -> 'id') then 'id'
        -- Not by `{0,127}`, for which the expression is built out 127 times.
        when not is_like(e -> 'kind', '^[A-Za-z0-9][A-Za-z0-9_.:-]*$') or length(e ->> 'kind') > 128 then 'kind'
        when jsonb_typeof(e -> 'channel') is distinct from 'string' or not is_channel(e ->> 'channel')
            then 'channel'
        when jsonb_typeof(e -> 'sender') is distinct from 'object' then 'sender'
        when not is_user(e -> 'sender' -> 'user') then 'sender.user'
        when not is_like(e -> 'sender' -> 'device', '^[a-z0-9]{6,16}$') then 'sender.device'
        when e ? 'seq' and not is_whole(e -> 'seq', 1) then 'seq'
        when e ? 'pred' and not is_whole(e -> 'pred', 0) then 'pred'
        when e ? 'hlc' and not is_like(e -> 'hlc', '^[0-9a-f]{12}-[0-9a-f]{4}$') then 'hlc'
        when e ? 'epoch' and not is_whole(e -> 'epoch', 1) then 'epoch'
        when e ? 'at' and not is_instant(e -> 'at') then 'at'
        when e ? 'stamp' and not is_stamp(e -> 'stamp') then 'stamp'
        when not is_readable(e) then null
        when e ? 'ref' and not (
            is_root(e -> 'ref')
            and (coalesce(e #> '{ref,base}', 'null') = 'null' or is_whole(e #> '{ref,base}', 1))
        ) then 'ref'
        when e ? 'thread' and not is_root(e -> 'thread') then 'thread'
        when e ? 'topic'
            and not (jsonb_typeof(e -> 'topic') = 'string' and length(e ->> 'topic') between 1 and 64)
            then 'topic'
        when e ? 'mentions' and not are_mentions(e -> 'mentions') then 'mentions'
        when e ? 'also' and jsonb_typeof(e -> 'also') <> 'boolean' then 'also'
        when e ? 'meta' and not is_meta(e -> 'meta') then 'meta'
        when e ? 'ttl' then 'ttl'
        when e ->> 'kind' in (
            'message.create', 'message.update', 'message.delete', 'message.restore', 'reaction.add', 'reaction.remove'
        ) and (
            not e ? 'at' or (e ->> 'kind' <> 'message.create' and not e ? 'ref')
        ) then case when e ? 'at' then 'ref' else 'at' end
        when e ->> 'kind' in ('reaction.add', 'reaction.remove') and not is_emoji(e #> '{body,emoji}')
            then 'body.emoji'
        when e ? 'body' then fault_of_body(e ->> 'kind', e -> 'body')
    end;
end
$$;

create function fault_of_body(kind text, body jsonb) returns text
language plpgsql immutable parallel safe as $$
begin
    return case
        when kind = 'message.delete' or jsonb_typeof(body) <> 'object' then 'body'
        when jsonb_typeof(body -> 'type') is distinct from 'string'
            or length(body ->> 'type') not between 1 and 64 then 'body.type'
        when coalesce(jsonb_typeof(body -> 'fallback'), 'null') not in ('null', 'string') then 'body.fallback'
        when body ->> 'type' = 'claim' and not is_whole(body -> 'bytes', 0) then 'body.bytes'
        when body ->> 'type' = 'claim'
            and coalesce(jsonb_typeof(body -> 'summary'), 'null') not in ('null', 'string') then 'body.summary'
    end;
end
$$;

create function is_stamp(stamp jsonb) returns boolean
language plpgsql stable parallel safe as $$
begin
    return jsonb_typeof(stamp) = 'object'
        and is_whole(stamp -> 'epoch', 1)
        and is_like(stamp -> 'serial', '^[!-~]{1,128}$')
        and (coalesce(stamp -> 'log', 'null') = 'null' or is_like(stamp -> 'log', '^[!-~]{1,128}$'))
        and (coalesce(stamp -> 'prev', 'null') = 'null' or is_like(stamp -> 'prev', '^[!-~]{0,128}$'))
        and is_instant(stamp -> 'at')
        and is_user(stamp -> 'user');
end
$$;

create function are_mentions(users jsonb) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return jsonb_typeof(users) = 'array' and jsonb_array_length(users) <= 50 and not exists (
        select from jsonb_array_elements(users) as named where not is_user(named) and named <> '"*"'
    );
end
$$;

-- Its 1,000 bytes are counted as it is written most briefly; here are blanks between.
create function is_meta(labels jsonb) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return jsonb_typeof(labels) = 'object' and octet_length(labels::text) <= 2000 and not exists (
        select from jsonb_each(labels) as label where jsonb_typeof(label.value) <> 'string'
    );
end
$$;

create function is_emoji(key jsonb) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return coalesce(
        jsonb_typeof(key) = 'string'
        and is_name(key #>> '{}', 64)
        and key #>> '{}' !~ '[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]',
        false
    );
end
$$;

-- Whether version 1 may interpret an envelope, beyond who wrote it, where and when.
create function is_readable(e jsonb) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return not e ? 'min' or e -> 'min' = '1';
end
$$;

-- An envelope without its body, the other fields as they were written.
create function erased(data text) returns text
language sql immutable parallel safe as $$
    select coalesce(
        '{' || string_agg(to_json(key)::text || ':' || value::text, ',' order by ordinality) || '}', '{}'
    )
    from json_each(data::json) with ordinality
    where key <> 'body'
$$;
