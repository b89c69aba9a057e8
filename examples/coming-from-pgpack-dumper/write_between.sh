#!/bin/sh
# dumper.write_between(table_dest="public.events_copy", table_src="public.user_events", dumper_src=source)
# SOURCE_DSN, TARGET_DSN: the same server or two, PostgreSQL or Greenplum
set -eu
npx pgpack transfer --source "$SOURCE_DSN" --target "$TARGET_DSN" --connections 2 \
  --table public.user_events --to public.events_copy
# dumper.write_between(table_dest="public.kinds", query_src="select …", dumper_src=source)
npx pgpack transfer --source "$SOURCE_DSN" --target "$TARGET_DSN" --to public.kinds --mode truncate \
  --query "select kind, count(*) as events from public.user_events group by kind"
