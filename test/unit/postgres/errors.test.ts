import { describe, expect, it } from '@jest/globals'
import { PgpackError } from '../../../src/errors.ts'
import { postgresError, sqlState } from '../../../src/postgres/errors.ts'

const context = { action: 'db:5432/app: COPY public.t' }

function fromServer(code: string, fields: Record<string, string> = {}): Error {
  return Object.assign(new Error(fields['message'] ?? 'the server says no'), { severity: 'ERROR', code, ...fields })
}
const fromNetwork = (code: string) => Object.assign(new Error(`connect ${code}`), { code })

describe('postgresError', () => {
  it.each([
    ['28P01', 'POSTGRES_AUTHENTICATION', false],
    ['28000', 'POSTGRES_AUTHENTICATION', false],
    ['3D000', 'POSTGRES_NO_DATABASE', false],
    ['42P01', 'POSTGRES_NO_RELATION', false],
    ['3F000', 'POSTGRES_NO_RELATION', false],
    ['42703', 'POSTGRES_NO_COLUMN', false],
    ['42501', 'POSTGRES_PRIVILEGE', false],
    ['42809', 'OBJECT_UNSUPPORTED', false],
    ['22P02', 'POSTGRES_DATA', false],
    ['23505', 'POSTGRES_DATA', false],
    ['22023', 'POSTGRES_STATEMENT', false],
    ['42601', 'POSTGRES_STATEMENT', false],
    ['57014', 'POSTGRES_STATEMENT', true],
    ['25M01', 'POSTGRES_STATEMENT', true],
    ['40001', 'POSTGRES_BUSY', true],
    ['40P01', 'POSTGRES_BUSY', true],
    ['53300', 'POSTGRES_BUSY', true],
    ['57P03', 'POSTGRES_BUSY', true],
    ['55P03', 'POSTGRES_BUSY', true],
    ['57P01', 'POSTGRES_CONNECTION_LOST', true],
    ['57P02', 'POSTGRES_CONNECTION_LOST', true],
    ['08006', 'POSTGRES_CONNECTION_LOST', true],
    ['58030', 'POSTGRES_STATEMENT', true],
  ])('reads SQLSTATE %s as %s, retryable %s', (state, code, retryable) => {
    expect(postgresError(fromServer(state), context)).toMatchObject({ code, retryable, details: { status: state } })
  })

  it('tells a server out of reach from a connection that was lost', () => {
    for (const code of ['ECONNREFUSED', 'ETIMEDOUT', 'ENOTFOUND', 'ECONNRESET']) {
      const connecting = { ...context, connecting: true }
      expect(postgresError(fromNetwork(code), connecting)).toMatchObject({
        code: 'POSTGRES_UNREACHABLE',
        retryable: true,
      })
      expect(postgresError(fromNetwork(code), context)).toMatchObject({ code: 'POSTGRES_CONNECTION_LOST' })
    }
    const ended = new Error('Connection terminated unexpectedly')
    expect(postgresError(ended, context)).toMatchObject({ code: 'POSTGRES_CONNECTION_LOST', retryable: true })
  })

  it('takes what it caused itself for cancelled', () => {
    expect(postgresError(fromServer('57014'), { ...context, cancelled: true })).toMatchObject({
      code: 'CANCELLED',
      message: 'db:5432/app: COPY public.t: cancelled',
    })
  })

  it('leaves our own errors alone, and calls the unknown internal', () => {
    const own = new PgpackError('ROW_TOO_LARGE', 'too large')
    expect(postgresError(own, context)).toBe(own)
    expect(postgresError(new TypeError('bug'), context)).toMatchObject({ code: 'INTERNAL' })
  })

  it('tells what failed and what the server says of it', () => {
    const error = fromServer('42703', {
      message: 'column "a" does not exist',
      hint: 'Perhaps "b".',
      detail: 'There is "b".',
    })
    expect(postgresError(error, context).message).toBe(
      'db:5432/app: COPY public.t: column "a" does not exist; There is "b".; hint: Perhaps "b". (SQLSTATE 42703)',
    )
    expect(postgresError(error, context).cause).toBe(error)
  })

  it.each<[string, Record<string, string>, string]>([
    [
      '22P02',
      { message: 'invalid input syntax for type integer: "s3cret"', where: 'COPY t, line 3, column a: "s3cret"' },
      'invalid input syntax for type integer; at line 3, column a (SQLSTATE 22P02)',
    ],
    [
      '22003',
      {
        message: 'value "s3cret" is out of range for type integer',
        where: 'COPY "My, t", line 1, column "odd": "s3cret"',
      },
      'value is out of range for type integer; at line 1, column "odd" (SQLSTATE 22003)',
    ],
    [
      '23505',
      {
        message: 'duplicate key value violates unique constraint "t_pkey"',
        detail: 'Key (id)=(s3cret) already exists.',
        schema: 'public',
        table: 't',
        constraint: 't_pkey',
        where: 'COPY t, line 7',
      },
      'duplicate key value violates unique constraint "t_pkey"; at line 7; table public.t; constraint t_pkey (SQLSTATE 23505)',
    ],
    [
      '23502',
      {
        message: 'null value in column "a" violates not-null constraint',
        detail: 'Failing row contains (s3cret, null).',
        table: 't',
        column: 'a',
        where: 'COPY t, line 2: "s3cret\t\\N"',
      },
      'null value in column "a" violates not-null constraint; at line 2; table .t; column a (SQLSTATE 23502)',
    ],
  ])('leaves the values of rows out of %s', (state, fields, message) => {
    const error = postgresError(fromServer(state, fields), context)
    expect(error.message).toBe(`${context.action}: ${message}`)
    expect([error.stack, error.cause, JSON.stringify(error)].join()).not.toContain('s3cret')
  })

  it('gives no SQLSTATE for what did not come from the server', () => {
    expect(sqlState(fromNetwork('EPIPE'))).toBeUndefined()
    expect(sqlState('text')).toBeUndefined()
    expect(sqlState(fromServer('42P01'))).toBe('42P01')
  })
})
