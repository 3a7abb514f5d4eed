-- The tables of a log, all of them written by the functions of the files that follow and by nothing else.
--
-- Text of users is compared by bytes (collation "C"), as chatkit compares it everywhere. Serials are numbers
-- here and 20 digits outside. There are no foreign keys: the functions keep the tables in step under the lock
-- of the channel's row, and a key would cost each insert a look-up.

create table header (
    one boolean primary key default true check (one),
    -- Another one after a backup was put in place.
    log_id text not null default replace(gen_random_uuid()::text, '-', ''),
    -- Bodies are compared by digests under it, which say nothing of erased ones.
    secret bytea not null
        default decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);

insert into header default values;

-- Whoever appends holds the row of the channel to the end of the transaction: the order of serials is the
-- order of commits.
create table channels (
    number bigint generated always as identity primary key,
    name text collate "C" not null unique,
    head bigint not null default 0,
    -- Everything up to here was trimmed, and of that everything up to `pruned` is not even known by its id;
    -- `forgotten` is when the newest such entry had come.
    floor bigint not null default 0,
    pruned bigint not null default 0,
    forgotten timestamptz,
    -- Of the newest entry: time does not step back.
    at timestamptz not null default 'epoch'
) with (fillfactor = 50);

create table entries (
    channel bigint not null,
    serial bigint not null,
    at timestamptz not null,
    id uuid not null,
    user_id text collate "C" not null,
    -- Of an edit, delete or restore: the message that it changes.
    target bigint,
    digest bytea not null,
    -- The envelope as it was written, never jsonb; null once it is trimmed.
    data text,
    primary key (channel, serial)
);

create unique index entries_ident on entries (channel, id, user_id);
create index entries_target on entries (channel, target, serial) where target is not null;

create table lanes (
    channel bigint not null,
    user_id text collate "C" not null,
    device text collate "C" not null,
    seq bigint not null,
    at timestamptz not null,
    primary key (channel, user_id, device)
) with (fillfactor = 70);

-- `seq` is 0 where the sender gave none.
create table refusals (
    number bigint generated always as identity,
    channel bigint not null,
    id uuid not null,
    user_id text collate "C" not null,
    device text collate "C" not null,
    seq bigint not null,
    error text not null,
    reason text not null,
    primary key (channel, id, user_id, device, seq)
);

create index refusals_age on refusals (channel, number);

-- `stands`: in the channel itself, not in a thread alone. `shown`: it does, and is not deleted.
-- `edit`: the entry whose text shows. `erased`: the delete that took all older texts.
create table messages (
    channel bigint not null,
    serial bigint not null,
    id uuid not null,
    user_id text collate "C" not null,
    root_id uuid,
    root_user text collate "C",
    stands boolean not null,
    shown boolean not null,
    edit bigint,
    version integer not null default 1,
    changed bigint not null,
    deleted boolean not null default false,
    erased bigint not null default 0,
    replies bigint not null default 0,
    last_reply bigint,
    primary key (channel, serial)
) with (fillfactor = 90);

create index messages_shown on messages (channel, serial) include (user_id) where shown;
create index messages_thread on messages (channel, root_id, root_user, serial) where root_id is not null;

create table reactions (
    channel bigint not null,
    message bigint not null,
    emoji text collate "C" not null,
    user_id text collate "C" not null,
    serial bigint not null,
    primary key (channel, message, emoji, user_id)
);

create table mentions (
    channel bigint not null,
    user_id text collate "C" not null,
    message bigint not null,
    primary key (channel, user_id, message)
);

create index mentions_message on mentions (channel, message);

create table registers (
    channel text collate "C" not null check (octet_length(channel) <= 1000),
    name text collate "C" not null check (octet_length(name) <= 500),
    user_id text collate "C" not null check (octet_length(user_id) <= 1000),
    value text collate "C" not null check (octet_length(value) <= 10000),
    merge text not null check (merge in ('greatest', 'newest')),
    epoch bigint,
    serial text collate "C",
    primary key (channel, name, user_id)
) with (fillfactor = 70);

-- What is searched, apart from `messages`: narrow, so that the newest are read quickly one by one, and
-- untouched by replies and reactions. No row: nothing to find, as of what is deleted.
create table texts (
    channel bigint not null,
    serial bigint not null,
    at timestamptz not null,
    user_id text collate "C" not null,
    words tsvector not null,
    primary key (channel, serial)
);

create index texts_newest on texts (at);
-- The pending list is read by every search: it is kept short.
create index texts_words on texts using gin (words) with (fastupdate = on, gin_pending_list_limit = 256);
