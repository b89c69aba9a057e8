import { pino } from 'pino'

export type LogFields = Record<string, unknown>

/** Constant messages; what varies goes into the fields. No field may hold a secret or a connection string. */
export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  child(fields: LogFields): Logger
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const SECRET_FIELDS = ['password', 'secretAccessKey', 'secretKey', 'accessKey', 'sessionToken', 'tls.key', 'dsn']

/**
 * A JSON logger on stderr, so that stdout stays free for a command's own output. `err` fields are written with code,
 * message and stack; fields named like secrets are blanked as a last line of defence.
 */
export function createLogger(level: LogLevel, fields: LogFields = {}): Logger {
  return pino(
    {
      level,
      base: fields,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]),
    },
    pino.destination({ dest: 2, sync: true }),
  )
}

export const silentLogger: Logger = pino({ enabled: false })
