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
    if data !~ '[0-9][eE][-+]?[0-9]{3}' and data !~ '[0-9]{16}' then
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
    if length(data) - length(translate(data, '{[', '')) > 32 and jsonb_path_exists(
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
-- are not looked at.
create function fault(e jsonb) returns text
language plpgsql stable parallel safe as $$
declare
    kind text := e ->> 'kind';
    body jsonb := e -> 'body';
begin
    if not is_whole(e -> 'v', 1) then return 'v'; end if;
    if e ? 'min' and not is_whole(e -> 'min', 1) then return 'min'; end if;
    if not is_id(e -> 'id') then return 'id'; end if;
    if not is_like(e -> 'kind', '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$') then return 'kind'; end if;
    if jsonb_typeof(e -> 'channel') is distinct from 'string' or not is_channel(e ->> 'channel') then
        return 'channel';
    end if;
    if jsonb_typeof(e -> 'sender') is distinct from 'object' then return 'sender'; end if;
    if not is_user(e -> 'sender' -> 'user') then return 'sender.user'; end if;
    if not is_like(e -> 'sender' -> 'device', '^[a-z0-9]{6,16}$') then return 'sender.device'; end if;
    if e ? 'seq' and not is_whole(e -> 'seq', 1) then return 'seq'; end if;
    if e ? 'pred' and not is_whole(e -> 'pred', 0) then return 'pred'; end if;
    if e ? 'hlc' and not is_like(e -> 'hlc', '^[0-9a-f]{12}-[0-9a-f]{4}$') then return 'hlc'; end if;
    if e ? 'epoch' and not is_whole(e -> 'epoch', 1) then return 'epoch'; end if;
    if e ? 'at' and not is_instant(e -> 'at') then return 'at'; end if;
    if e ? 'stamp' and not (
        jsonb_typeof(e -> 'stamp') = 'object'
        and is_whole(e #> '{stamp,epoch}', 1)
        and is_like(e #> '{stamp,serial}', '^[!-~]{1,128}$')
        and (coalesce(e #> '{stamp,log}', 'null') = 'null' or is_like(e #> '{stamp,log}', '^[!-~]{1,128}$'))
        and (coalesce(e #> '{stamp,prev}', 'null') = 'null' or is_like(e #> '{stamp,prev}', '^[!-~]{0,128}$'))
        and is_instant(e #> '{stamp,at}')
        and is_user(e #> '{stamp,user}')
    ) then
        return 'stamp';
    end if;
    if not is_readable(e) then return null; end if;

    if e ? 'ref' and not (
        is_root(e -> 'ref')
        and (coalesce(e #> '{ref,base}', 'null') = 'null' or is_whole(e #> '{ref,base}', 1))
    ) then
        return 'ref';
    end if;
    if e ? 'thread' and not is_root(e -> 'thread') then return 'thread'; end if;
    if e ? 'topic' and not (jsonb_typeof(e -> 'topic') = 'string' and length(e ->> 'topic') between 1 and 64) then
        return 'topic';
    end if;
    if e ? 'mentions' and not (
        jsonb_typeof(e -> 'mentions') = 'array'
        and jsonb_array_length(e -> 'mentions') <= 50
        and not exists (
            select from jsonb_array_elements(e -> 'mentions') as named
            where not is_user(named) and named <> '"*"'
        )
    ) then
        return 'mentions';
    end if;
    if e ? 'also' and jsonb_typeof(e -> 'also') <> 'boolean' then return 'also'; end if;
    -- Its 1,000 bytes are counted as it is written most briefly; here are blanks between.
    if e ? 'meta' and not (
        jsonb_typeof(e -> 'meta') = 'object'
        and octet_length((e -> 'meta')::text) <= 2000
        and not exists (
            select from jsonb_each(e -> 'meta') as label where jsonb_typeof(label.value) <> 'string'
        )
    ) then
        return 'meta';
    end if;
    if e ? 'ttl' then return 'ttl'; end if;

    if kind ~ '^(message\.(create|update|delete|restore)|reaction\.(add|remove))$' then
        if not e ? 'at' then return 'at'; end if;
        if kind <> 'message.create' and not e ? 'ref' then return 'ref'; end if;
    end if;
    if kind in ('reaction.add', 'reaction.remove') and not (
        jsonb_typeof(body -> 'emoji') is not distinct from 'string'
        and is_name(body ->> 'emoji', 64)
        and body ->> 'emoji' !~ '[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]'
    ) then
        return 'body.emoji';
    end if;
    if body is not null then
        if kind = 'message.delete' or jsonb_typeof(body) <> 'object' then return 'body'; end if;
        if jsonb_typeof(body -> 'type') is distinct from 'string' or length(body ->> 'type') not between 1 and 64 then
            return 'body.type';
        end if;
        if coalesce(jsonb_typeof(body -> 'fallback'), 'null') not in ('null', 'string') then
            return 'body.fallback';
        end if;
        if body ->> 'type' = 'claim' then
            if not is_whole(body -> 'bytes', 0) then return 'body.bytes'; end if;
            if coalesce(jsonb_typeof(body -> 'summary'), 'null') not in ('null', 'string') then
                return 'body.summary';
            end if;
        end if;
    end if;
    return null;
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
