#!/bin/sh
# dumper.read_dump(fileobj, query="create temp table …; select …; drop table …"): the reference runs the statements before
# the last SELECT first and those behind it afterwards. Here they are named for what they are.
set -eu
npx pgpack dump --dsn "$SOURCE_DSN" --out daily.pgpack \
  --before "create temporary table daily as select happened_at::date as day, count(*) as events from public.user_events group by 1" \
  --query "select day, events from daily order by day" \
  --after "drop table daily"
npx pgpack head daily.pgpack -n 3
