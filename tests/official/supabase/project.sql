-- A project as an app has one: policies of its own, a table, functions.

DROP POLICY IF EXISTS "signed in reads" ON realtime.messages;
DROP POLICY IF EXISTS "signed in writes" ON realtime.messages;
CREATE POLICY "signed in reads" ON realtime.messages FOR SELECT TO authenticated
  USING (realtime.topic() NOT LIKE '%:denied');
CREATE POLICY "signed in writes" ON realtime.messages FOR INSERT TO authenticated
  WITH CHECK (realtime.topic() NOT LIKE '%:denied' AND realtime.topic() NOT LIKE '%:silent');

CREATE TABLE IF NOT EXISTS public.notes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic text NOT NULL,
  body text NOT NULL,
  author uuid NOT NULL DEFAULT auth.uid(),
  key text UNIQUE
);
ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all read" ON public.notes;
DROP POLICY IF EXISTS "authors write" ON public.notes;
CREATE POLICY "all read" ON public.notes FOR SELECT TO authenticated USING (true);
CREATE POLICY "authors write" ON public.notes TO authenticated USING (author = auth.uid()) WITH CHECK (author = auth.uid());

CREATE OR REPLACE FUNCTION public.note_told() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  PERFORM realtime.broadcast_changes(NEW.topic, TG_OP, TG_OP, TG_TABLE_NAME, TG_TABLE_SCHEMA, NEW, OLD);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER told AFTER INSERT OR UPDATE ON public.notes FOR EACH ROW EXECUTE FUNCTION public.note_told();

CREATE OR REPLACE FUNCTION public.say(topic text, many int) RETURNS void LANGUAGE sql AS $$
  SELECT realtime.send(jsonb_build_object('n', n), 'e', topic) FROM generate_series(0, many - 1) n
$$;
CREATE OR REPLACE FUNCTION public.say_and_fail(topic text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM realtime.send('{"n": "never"}', 'e', topic);
  RAISE EXCEPTION 'no';
END $$;
CREATE OR REPLACE FUNCTION public.whoami() RETURNS text LANGUAGE sql STABLE AS $$ SELECT auth.role() $$;

-- Storage: whoever is signed in reads, and writes below a folder that is named after them.
INSERT INTO storage.buckets (id, name, public) VALUES ('files', 'files', false), ('open', 'open', true)
  ON CONFLICT DO NOTHING;
DROP POLICY IF EXISTS "signed in reads" ON storage.objects;
DROP POLICY IF EXISTS "own folder" ON storage.objects;
CREATE POLICY "signed in reads" ON storage.objects FOR SELECT TO authenticated USING (true);
CREATE POLICY "own folder" ON storage.objects TO authenticated
  USING ((storage.foldername(name))[1] = auth.uid()::text)
  WITH CHECK ((storage.foldername(name))[1] = auth.uid()::text);
