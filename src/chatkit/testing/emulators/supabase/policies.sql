-- Without policies of one's own: who is signed in may use every private topic but those ending `:denied`.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_policies WHERE schemaname = 'realtime' AND tablename = 'messages') THEN
    RETURN;
  END IF;
  CREATE POLICY "chatkit emulator reads" ON realtime.messages FOR SELECT TO authenticated
    USING (realtime.topic() NOT LIKE '%:denied');
  CREATE POLICY "chatkit emulator writes" ON realtime.messages FOR INSERT TO authenticated
    WITH CHECK (realtime.topic() NOT LIKE '%:denied');
END $$;

-- And every object of storage.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_policies WHERE schemaname = 'storage' AND tablename = 'objects') THEN
    RETURN;
  END IF;
  CREATE POLICY "chatkit emulator stores" ON storage.objects TO authenticated USING (true) WITH CHECK (true);
END $$;
