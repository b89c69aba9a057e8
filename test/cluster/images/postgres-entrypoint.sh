#!/bin/sh
# Starts PostgreSQL as the public image does, with the environment variables of that image that our
# manifests use: POSTGRES_PASSWORD (required), POSTGRES_USER, POSTGRES_DB and PGDATA.
# Arguments go to the server; a first argument `postgres` is the public image's command.
set -eu
: "${POSTGRES_PASSWORD:?must be set}"
: "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}" "${PGDATA:=/var/lib/postgresql/data}"
export PGDATA
bin=/usr/local/pgsql/bin

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  password_file=$(mktemp)
  printf '%s' "$POSTGRES_PASSWORD" > "$password_file"
  "$bin/initdb" --username="$POSTGRES_USER" --pwfile="$password_file" --auth=scram-sha-256 --encoding=UTF8 --no-sync
  rm "$password_file"
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  if [ "$POSTGRES_DB" != postgres ]; then
    echo "CREATE DATABASE \"$POSTGRES_DB\"" | "$bin/postgres" --single -D "$PGDATA" postgres
  fi
fi

[ "${1:-}" = postgres ] && shift
unset POSTGRES_PASSWORD
exec "$bin/postgres" -c listen_addresses='*' "$@"
