#!/bin/sh
# dumper.write_dump(fileobj, table_name="public.user_events")
# TARGET_DSN: postgres://user@host/database, the password in PGPASSWORD
set -eu
# Shows the transfer diagram and everything that does not fit, and writes nothing.
npx pgpack restore --in data_dump.pgpack --dsn "$TARGET_DSN" --table public.user_events --dry-run
npx pgpack restore --in data_dump.pgpack --dsn "$TARGET_DSN" --table public.user_events
# The reference adds the rows again when it is run again. So do we, unless the rows are to replace those that are there …
npx pgpack restore --in data_dump.pgpack --dsn "$TARGET_DSN" --table public.user_events --mode truncate
# … or the run has a name: then it is done once, however often it is tried.
npx pgpack restore --in clicks.pgpack --dsn "$TARGET_DSN" --table public.clicks --run-id clicks-2026-11-21
npx pgpack restore --in clicks.pgpack --dsn "$TARGET_DSN" --table public.clicks --run-id clicks-2026-11-21
