import type pg from 'pg'
import { PgpackError } from '../errors.ts'
import { postgresError } from './errors.ts'
import type { Flavour, SessionSetting, SessionSettings } from './types.ts'

/** What a session knows of its server. */
export interface ServerInfo {
  /** server_version_num: 180004, 90426. */
  readonly versionNumber: number
  /** server_version: `18.4`, `9.4.26`. */
  readonly version: string
  readonly flavour: Flavour
  readonly inRecovery: boolean
  /** Whether a transaction is read-only unless it asks to write; on a standby it always is. */
  readonly readOnly: boolean
  /** server_encoding: what the database stores; the session itself speaks UTF8. */
  readonly encoding: string
  /** The backend's process id, as pg_stat_activity has it. */
  readonly processId: number
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
  bytea_output: 'hex',
  extra_float_digits: '3',
  // Else a target that wants documents refuses the fragments that the source holds.
  xmloption: 'content',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  transaction_timeout: '0',
  // Else the order of rows changes from run to run.
  synchronize_seqscans: 'off',
  row_security: 'off',
  // Greenplum says in a notice how many rows a COPY left out.
  client_min_messages: 'notice',
  // Else Greenplum analyses a table after its first COPY, and keeps other sessions from that until our COMMIT.
  gp_autostats_mode: 'none',
}

/** One statement for every version: a setting that a server does not know is passed over. */
const SET_UP_SESSION = `SELECT set_config(s.name, wanted.value, false)
FROM (VALUES ${Object.entries(SETTINGS)
  .map(([name, value]) => `('${name}', '${value}')`)
  .join(', ')}) AS wanted (name, value)
JOIN pg_catalog.pg_settings s ON lower(s.name) = wanted.name`

/** What the engine itself relies on. */
const RESERVED: ReadonlyMap<string, string> = new Map([
  ['client_encoding', 'what we send and store is UTF-8; for another encoding of a file see copyOptions.encoding'],
])
const MAX_TIMEOUT_SECONDS = 2_147_483

/** A user's settings as names and values, in the order in which they are set. @throws PgpackError CONFIG_INVALID */
export function listSettings(session: SessionSettings): readonly SessionSetting[] {
  const { statementTimeoutSeconds, lockTimeoutSeconds, settings = [] } = session
  for (const { name } of settings) {
    const reason = RESERVED.get(name.toLowerCase())
    if (reason !== undefined)
      throw new PgpackError('CONFIG_INVALID', `the setting "${name}" cannot be changed: ${reason}`)
  }
  return [
    ...timeout('statement_timeout', statementTimeoutSeconds),
    ...timeout('lock_timeout', lockTimeoutSeconds),
    ...settings,
  ]
}

function timeout(name: string, seconds: number | undefined): readonly SessionSetting[] {
  if (seconds === undefined) return []
  if (seconds >= 0 && seconds <= MAX_TIMEOUT_SECONDS) return [{ name, value: `${Math.round(seconds * 1000)}ms` }]
  const expected = `0 to ${MAX_TIMEOUT_SECONDS}`
  throw new PgpackError('CONFIG_INVALID', `${name} of ${seconds} s is out of range: expected ${expected}`, { expected })
}

/**
 * Gives a session what every one of ours has, and then a user's settings, until it ends.
 * @throws PgpackError CONFIG_INVALID naming the setting that the server does not know, or not take; POSTGRES_PRIVILEGE
 *   for one that the role may not set
 */
export async function setUpSession(client: pg.Client, settings: readonly SessionSetting[]): Promise<void> {
  await client.query(SET_UP_SESSION)
  for (const { name, value } of settings) {
    try {
      await client.query('SELECT pg_catalog.set_config($1, $2, false)', [name, value])
    } catch (cause) {
      throw settingError(name, cause)
    }
  }
}

function settingError(name: string, cause: unknown): PgpackError {
  const error = postgresError(cause, { action: `the setting "${name}" is not taken` })
  if (error.code !== 'POSTGRES_STATEMENT') return error
  return new PgpackError('CONFIG_INVALID', error.message, { ...error.details, cause })
}

const DESCRIBE_SERVER = `SELECT
  current_setting('server_version_num')::int4 AS "versionNumber",
  current_setting('server_version') AS version,
  CASE WHEN version() ~* 'greenplum|cloudberry|ymatrix' OR EXISTS (
    SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'gp_toolkit'
  ) THEN 'Greenplum' ELSE 'PostgreSQL' END AS flavour,
  pg_is_in_recovery() AS "inRecovery",
  current_setting('transaction_read_only') = 'on' AS "readOnly",
  current_setting('server_encoding') AS encoding,
  pg_backend_pid() AS "processId"`

/** Asks a session that is not set up yet; leaves nothing behind. */
export async function describeServer(client: pg.Client): Promise<ServerInfo> {
  const { rows } = await client.query<ServerInfo>(DESCRIBE_SERVER)
  const [server] = rows
  if (server === undefined) throw new PgpackError('POSTGRES_PROTOCOL', 'the server did not say what it is')
  return server
}

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
