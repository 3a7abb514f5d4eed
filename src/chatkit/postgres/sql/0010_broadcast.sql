-- In a broadcast channel, which a register of everyone says it is, owners alone make messages (D2).

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

alter function objection(channels, incoming) rename to objection_to_change;

-- Why an entry is refused (D2): the class of the error and its words; null: it is not.
create function objection(place channels, entry incoming) returns text[]
language plpgsql stable as $$
begin
    if entry.kind = 'message.create' and not may_publish(place, entry) then
        return array['NotAllowed', 'only an owner may publish in a broadcast channel'];
    end if;
    return objection_to_change(place, entry);
end
$$;
