#!/bin/sh
# dumper.from_rows(rows, table_name="public.user_events"): rows in, typed by the table's own columns.
set -eu
cat > rows.ndjson <<'ROWS'
{"id": 1000001, "kind": "imported", "happened_at": "2026-11-21 12:00:00+00", "details": {"from": "ndjson"}}
{"id": 1000002, "kind": "imported", "happened_at": "2026-11-21 12:00:01+00", "details": null}
ROWS
npx pgpack restore --from rows.ndjson --dsn "$TARGET_DSN" --table public.user_events
# A file of them for later, or for the reference: --like takes the columns of another file.
npx pgpack convert --in rows.ndjson --from ndjson --out rows.pgpack --to pgpack --like data_dump.pgpack
