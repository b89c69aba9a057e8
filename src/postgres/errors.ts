import { type ErrorCode, errorCode, errorMessage, PgpackError } from '../errors.ts'

export interface PostgresErrorContext {
  /** What was being done to what, for the start of the message: `cannot connect to db:5432/app`, `COPY public.t`. */
  readonly action: string
  /** The session is not up yet: a refused or lost connection means that the server is out of reach. */
  readonly connecting?: boolean
  /** We asked for the query to be cancelled. */
  readonly cancelled?: boolean
}

interface Verdict {
  readonly code: ErrorCode
  /** Overrides the code's own answer. */
  readonly retryable?: boolean
}

/** By SQLSTATE; a two-character key stands for its whole class (PostgreSQL documentation, Appendix A). */
const BY_SQLSTATE: Readonly<Record<string, Verdict>> = {
  '08': { code: 'POSTGRES_CONNECTION_LOST' },
  '22': { code: 'POSTGRES_DATA' },
  // invalid_parameter_value: a setting or a snapshot, not a row.
  '22023': { code: 'POSTGRES_STATEMENT' },
  '23': { code: 'POSTGRES_DATA' },
  // Greenplum's cancellation between its servers, with a reason that another one tells: as 57014.
  '25M01': { code: 'POSTGRES_STATEMENT', retryable: true },
  // idle_in_transaction_session_timeout: the server has closed the session.
  '25P03': { code: 'POSTGRES_CONNECTION_LOST' },
  '28': { code: 'POSTGRES_AUTHENTICATION' },
  '3D000': { code: 'POSTGRES_NO_DATABASE' },
  '3F000': { code: 'POSTGRES_NO_RELATION' },
  '40001': { code: 'POSTGRES_BUSY' },
  '40P01': { code: 'POSTGRES_BUSY' },
  '42501': { code: 'POSTGRES_PRIVILEGE' },
  '42703': { code: 'POSTGRES_NO_COLUMN' },
  '42809': { code: 'OBJECT_UNSUPPORTED' },
  '42P01': { code: 'POSTGRES_NO_RELATION' },
  '53': { code: 'POSTGRES_BUSY' },
  '55006': { code: 'POSTGRES_BUSY' },
  '55P03': { code: 'POSTGRES_BUSY' },
  // A statement timeout, or somebody's pg_cancel_backend: another attempt may get through.
  '57014': { code: 'POSTGRES_STATEMENT', retryable: true },
  '57P01': { code: 'POSTGRES_CONNECTION_LOST' },
  '57P02': { code: 'POSTGRES_CONNECTION_LOST' },
  '57P03': { code: 'POSTGRES_BUSY' },
  '57P05': { code: 'POSTGRES_CONNECTION_LOST' },
  '58': { code: 'POSTGRES_STATEMENT', retryable: true },
}

const SQLSTATE = /^[0-9A-Z]{5}$/

/** The error's SQLSTATE when it came from the server, not from the network. */
export function sqlState(error: unknown): string | undefined {
  const code = errorCode(error)
  const fromServer = typeof error === 'object' && error !== null && 'severity' in error
  return fromServer && code !== undefined && SQLSTATE.test(code) ? code : undefined
}

/**
 * Whatever the pg client, a socket or the server threw, as our own error. The message keeps what the server says save
 * for values out of rows, which have no business in a status; it holds neither a password nor a connection string.
 */
export function postgresError(error: unknown, context: PostgresErrorContext): PgpackError {
  if (error instanceof PgpackError) return error
  const state = sqlState(error)
  const { code, retryable } = context.cancelled ? { code: 'CANCELLED' as const } : verdict(error, state, context)
  const text = state === undefined ? clientMessage(error) : serverMessage(error as ServerError, state)
  const status = state ?? errorCode(error)
  return new PgpackError(code, `${context.action}: ${context.cancelled ? 'cancelled' : text}`, {
    // The original quotes the values that are left out above, and a logger would print them.
    ...(isAboutData(state) ? {} : { cause: error }),
    ...(status === undefined ? {} : { status }),
    ...(retryable === undefined ? {} : { retryable }),
  })
}

function verdict(error: unknown, state: string | undefined, context: PostgresErrorContext): Verdict {
  if (state !== undefined) {
    return BY_SQLSTATE[state] ?? BY_SQLSTATE[state.slice(0, 2)] ?? { code: 'POSTGRES_STATEMENT' }
  }
  // pg's SCRAM refusals (no password given, a server that cannot prove that it knows it) carry no code.
  if (/^SASL: /.test(errorMessage(error))) return { code: 'POSTGRES_AUTHENTICATION' }
  // With TLS 1.3 the server's opinion of our certificate comes after the handshake.
  if (/^ERR_(SSL|TLS)_/.test(errorCode(error) ?? '')) return { code: 'POSTGRES_TLS' }
  if (context.connecting) return { code: 'POSTGRES_UNREACHABLE' }
  if (errorCode(error) !== undefined || isDisconnect(error)) return { code: 'POSTGRES_CONNECTION_LOST' }
  return { code: 'INTERNAL' }
}

/** What pg's Client says of a socket that has gone; it gives these errors no code. */
function isDisconnect(error: unknown): boolean {
  return /^(Connection terminated|Client has encountered a connection error|Client was closed)/.test(
    errorMessage(error),
  )
}

/** The fields of ErrorResponse that we read (PostgreSQL documentation, "Error and Notice Message Fields"). */
interface ServerError {
  readonly message: string
  readonly detail?: string
  readonly hint?: string
  readonly where?: string
  readonly schema?: string
  readonly table?: string
  readonly column?: string
  readonly constraint?: string
}

function clientMessage(error: unknown): string {
  const message = errorMessage(error)
  if (message.includes('client password must be')) return 'the server asks for a password and none was given'
  // Several addresses were tried: an AggregateError has no message of its own.
  return message === '' ? (errorCode(error) ?? 'the connection failed') : message
}

function serverMessage(error: ServerError, state: string): string {
  const aboutData = isAboutData(state)
  const parts = [aboutData ? withoutValues(error.message) : error.message]
  const place = copyPlace(error.where)
  if (place !== undefined) parts.push(`at ${place}`)
  if (aboutData) parts.push(...namesOf(error))
  // "Failing row contains (…)", "Key (id)=(5) already exists": the values of a row.
  else if (error.detail) parts.push(error.detail)
  if (error.hint) parts.push(`hint: ${error.hint}`)
  return `${parts.join('; ')} (SQLSTATE ${state})`
}

/** Classes 22 (data exception) and 23 (integrity constraint violation). */
function isAboutData(state: string | undefined): boolean {
  return /^2[23]/.test(state ?? '')
}

function* namesOf({ schema, table, column, constraint }: ServerError): Generator<string> {
  if (table) yield `table ${schema ?? ''}.${table}`
  if (column) yield `column ${column}`
  if (constraint) yield `constraint ${constraint}`
}

/** `invalid input syntax for type integer: "4711x"`, `value "99999999999" is out of range`: without what is quoted. */
function withoutValues(message: string): string {
  return message.replace(/: ".*"$/s, '').replace(/\bvalue ".*"/s, 'value')
}

/** COPY's context is `COPY t, line 3, column b: "the value"`: line and column, not the value. */
function copyPlace(where: string | undefined): string | undefined {
  const match = /^COPY (?:"(?:[^"]|"")+"|[^,]+), (line \d+)(?:, (column [^:\n]+))?/m.exec(where ?? '')
  return match === null ? undefined : [match[1], match[2]].filter(Boolean).join(', ')
}
