-- Row-level security: of Realtime's topics, and of the tables for an app that lets members read them.

-- Whether whoever asks may hear a topic, of one kind of frame.
create function may_hear(topic text, extension text) returns boolean
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
declare
    name text := channel_at(topic);
begin
    return coalesce(
        (extension = 'broadcast' or (extension = 'presence' and topic like 'chatkit-live:%'))
        and may_read(name, caller()),
        false
    );
end
$$;

-- Whether whoever asks may speak on a topic: never on that of the log, where the database alone speaks.
create function may_speak(topic text, extension text) returns boolean
language plpgsql stable security definer set search_path = chatkit, pg_temp as $$
declare
    name text := channel_at(topic);
    who text := caller();
begin
    return coalesce(
        topic like 'chatkit-live:%' and who <> '' and may_read(name, who)
        and (extension = 'presence' or (extension = 'broadcast' and may_write(name, who))),
        false
    );
end
$$;

drop policy if exists "chatkit: members hear" on realtime.messages;
create policy "chatkit: members hear" on realtime.messages for select to anon, authenticated
    using (chatkit.may_hear(topic, extension));
drop policy if exists "chatkit: members speak" on realtime.messages;
create policy "chatkit: members speak" on realtime.messages for insert to anon, authenticated
    with check (chatkit.may_speak(topic, extension));

-- A policy of the app's own that allows every topic must not open these: nobody forges what was appended.
drop policy if exists "chatkit: only members hear" on realtime.messages;
create policy "chatkit: only members hear" on realtime.messages as restrictive for select
    to anon, authenticated
    using (topic not like 'chatkit:%' and topic not like 'chatkit-live:%' or chatkit.may_hear(topic, extension));
drop policy if exists "chatkit: only members speak" on realtime.messages;
create policy "chatkit: only members speak" on realtime.messages as restrictive for insert
    to anon, authenticated
    with check (
        topic not like 'chatkit:%' and topic not like 'chatkit-live:%' or chatkit.may_speak(topic, extension)
    );
drop policy if exists "chatkit: nobody changes" on realtime.messages;
create policy "chatkit: nobody changes" on realtime.messages as restrictive for update
    to anon, authenticated
    using (topic not like 'chatkit:%' and topic not like 'chatkit-live:%');

-- No member has a grant on these tables: the functions read for them. An app that grants SELECT on some of
-- them finds that a member sees the rows of their channels.
create function reads(channel text) returns boolean
language sql stable security definer set search_path = chatkit, pg_temp as $$
    select may_read(reads.channel, caller())
$$;

create function reads(channel bigint) returns boolean
language sql stable security definer set search_path = chatkit, pg_temp as $$
    select may_read(c.name, caller()) from channels as c where c.number = reads.channel
$$;

create function asks() returns text
language sql stable security definer set search_path = chatkit, pg_temp as $$
    select caller()
$$;

create policy members_read on channels for select to anon, authenticated using (reads(name));
create policy members_read on entries for select to anon, authenticated using (reads(channel));
create policy members_read on messages for select to anon, authenticated using (reads(channel));
create policy members_read on reactions for select to anon, authenticated using (reads(channel));
create policy members_read on mentions for select to anon, authenticated using (reads(channel));
create policy members_read on registers for select to anon, authenticated
    using (reads(channel) and (name not like 'unread%' or user_id = asks()));
create policy members_read on members for select to anon, authenticated using (reads(channel));
