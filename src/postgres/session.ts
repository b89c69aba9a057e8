import type pg from 'pg'
import type { Flavour } from './types.ts'

/** What a session knows of its server. */
export interface ServerInfo {
  /** server_version_num: 180004, 90426. */
  readonly versionNumber: number
  /** server_version: `18.4`, `9.4.26`. */
  readonly version: string
  readonly flavour: Flavour
  readonly inRecovery: boolean
  /** server_encoding: what the database stores; the session itself speaks UTF8. */
  readonly encoding: string
}

/**
 * As pg_dump sets its session: values spelled the same whatever the database's defaults, and no timeout that suits the
 * application but not a dump. row_security off makes the server refuse to leave out rows that a policy hides, instead
 * of a dump that lacks them without a word. A `before` statement of the user's may set any of them otherwise.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  client_encoding: 'UTF8',
  datestyle: 'ISO, YMD',
  intervalstyle: 'postgres',
  extra_float_digits: '3',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  transaction_timeout: '0',
  // Else the order of rows changes from run to run.
  synchronize_seqscans: 'off',
  row_security: 'off',
}

/** One statement for every version: a setting that a server does not know is passed over. */
export const SET_UP_SESSION = `SELECT set_config(s.name, wanted.value, false)
FROM (VALUES ${Object.entries(SETTINGS)
  .map(([name, value]) => `('${name}', '${value}')`)
  .join(', ')}) AS wanted (name, value)
JOIN pg_catalog.pg_settings s ON lower(s.name) = wanted.name`

export const DESCRIBE_SERVER = `SELECT
  current_setting('server_version_num')::int4 AS "versionNumber",
  current_setting('server_version') AS version,
  CASE WHEN version() ~* 'greenplum|cloudberry|ymatrix' OR EXISTS (
    SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'gp_toolkit'
  ) THEN 'Greenplum' ELSE 'PostgreSQL' END AS flavour,
  pg_is_in_recovery() AS "inRecovery",
  current_setting('server_encoding') AS encoding`

const PARSED_OIDS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === 't',
  21: Number,
  23: Number,
  26: Number,
  700: Number,
  701: Number,
  114: JSON.parse,
}

/**
 * How values of a query's rows arrive: booleans, small integers, floats and json as JavaScript has them, all else
 * (int8, numeric, dates) as the server's text, which loses nothing.
 */
export const rowTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid: number) => PARSED_OIDS[oid] ?? String,
}
