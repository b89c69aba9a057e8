import { describe, expect, it } from '@jest/globals'
import { copyErrorLog, type ErrorLog } from '../../../src/postgres/error-log.ts'

const log: ErrorLog = {
  table: { schema: 'pg_temp', name: 'pgpack_shadow_1' },
  windows: [
    { segment: 0, from: '2026-11-21 19:00:00+00', to: '2026-11-21 19:00:05+00' },
    { segment: 1, from: '2026-11-21 19:00:01+00', to: '2026-11-21 19:00:06+00' },
  ],
  file: 'public.orders',
  relname: 'orders',
}

describe('the COPY of an error log', () => {
  it('reads the log of the table that COPY wrote to, in the order of the file', () => {
    const sql = copyErrorLog(log)
    expect(sql).toContain(`gp_read_error_log('"pg_temp"."pgpack_shadow_1"')`)
    expect(sql).toMatch(/ORDER BY filename, refused\.linenum\) TO STDOUT \(FORMAT csv, HEADER\)$/)
  })

  it('takes what began on each segment within its own window', () => {
    expect(copyErrorLog(log)).toContain(
      `(VALUES (0, '2026-11-21 19:00:00+00'::timestamptz, '2026-11-21 19:00:05+00'::timestamptz), (1, '2026-11-21 19:00:01+00'::timestamptz, '2026-11-21 19:00:06+00'::timestamptz)) AS during`,
    )
  })

  it('names the table and the file that the rows are of', () => {
    const sql = copyErrorLog({ ...log, relname: "it's", file: 'a\\b' })
    expect(sql).toContain(`'it''s'::text AS relname`)
    expect(sql).toContain(`coalesce(nullif(refused.filename, '<stdin>'),  E'a\\\\b') AS filename`)
  })

  it('has the columns of the log behind the segment', () => {
    const names = [...copyErrorLog(log).matchAll(/refused\."(\w+)"/g)].map(([, name]) => name)
    expect(names).toEqual(['segment', 'cmdtime', 'linenum', 'bytenum', 'errmsg', 'rawdata', 'rawbytes'])
  })
})
