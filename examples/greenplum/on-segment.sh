#!/bin/sh
# Every segment writes its rows into a file on its own host, and reads them back: nothing passes through the coordinator.
# The folder holds only the manifest, which says where the files are. The user is a superuser (Greenplum 7: a member of
# pg_write_server_files and pg_read_server_files).
set -eu
npx pgpack dump --dsn "$GREENPLUM_DSN" --table public.orders --table public.lines --out dump/ \
  --format csv --copy-option 'on_segment=<SEG_DATA_DIR>/pgpack_<OBJECT>_<SEGID>.csv'
npx pgpack restore --in dump/manifest.json --dsn "$GREENPLUM_DSN" --mode truncate
