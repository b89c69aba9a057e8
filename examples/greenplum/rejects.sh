#!/bin/sh
# A CSV with rows that do not fit its table goes into Greenplum: what fits is loaded, and the rest comes back with the reasons.
# GREENPLUM_DSN: postgres://user@host/database, the password in PGPASSWORD
set -eu
printf 'id,amount\n1,10\n2,ten\n3,30\n' > orders.csv
npx pgpack restore --from orders.csv --dsn "$GREENPLUM_DSN" --table public.orders --run-id orders-2026-11-21 \
  --copy-option header --copy-option 'segment_reject_limit=10 rows' --copy-option log_errors --rejects rejected
# segment, cmdtime, relname, filename, linenum, bytenum, errmsg, rawdata, rawbytes
cat rejected/orders.csv.rejects.csv
