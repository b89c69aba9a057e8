#!/bin/sh
# dumper.read_dump(fileobj, table_name="public.user_events")
# SOURCE_DSN: postgres://user@host/database, the password in PGPASSWORD
set -eu
npx pgpack dump --dsn "$SOURCE_DSN" --table public.user_events --out data_dump.pgpack
# dumper.read_dump(fileobj, query="select …"), to an object store (AWS_* variables) as well: --out s3://bucket/key
npx pgpack dump --dsn "$SOURCE_DSN" --out clicks.pgpack --compression lz4 \
  --query "select id, happened_at from public.user_events where kind = 'click'"
npx pgpack inspect clicks.pgpack
