import { describe, expect, it } from '@jest/globals'
import {
  copyFrom,
  copyFromSegments,
  copyQueryTo,
  copyTableTo,
  copyTableToSegments,
  truncateTables,
} from '../../../src/postgres/copy.ts'

const table = { schema: 'public', name: 't', kind: 'r' }

describe('COPY statements', () => {
  it.each([
    [copyTableTo(table, ['a', 'B c']), 'COPY "public"."t" ("a", "B c") TO STDOUT (FORMAT binary)'],
    [copyTableTo(table, []), 'COPY "public"."t" TO STDOUT (FORMAT binary)'],
    [copyTableTo({ ...table, kind: 'v' }, ['a']), 'COPY (SELECT "a" FROM "public"."t") TO STDOUT (FORMAT binary)'],
    [
      copyTableTo(table, ['a'], { where: 'a > 1 or b' }),
      'COPY (SELECT "a" FROM ONLY "public"."t" WHERE (\na > 1 or b\n)) TO STDOUT (FORMAT binary)',
    ],
    [
      copyTableTo(table, ['a'], { blocks: { from: 10, to: 20 }, where: 'x' }),
      `COPY (SELECT "a" FROM ONLY "public"."t" WHERE ctid >= '(10,0)'::tid AND ctid < '(20,0)'::tid AND (\nx\n)) TO STDOUT (FORMAT binary)`,
    ],
    [
      copyTableTo(table, ['a'], { blocks: { from: 20, to: undefined } }),
      `COPY (SELECT "a" FROM ONLY "public"."t" WHERE ctid >= '(20,0)'::tid) TO STDOUT (FORMAT binary)`,
    ],
    [
      copyTableTo(table, ['a'], { blocks: { from: 0, to: undefined } }),
      'COPY "public"."t" ("a") TO STDOUT (FORMAT binary)',
    ],
    [
      copyTableTo(table, ['a'], { segment: 3 }),
      'COPY (SELECT "a" FROM ONLY "public"."t" WHERE gp_segment_id = 3) TO STDOUT (FORMAT binary)',
    ],
    [copyQueryTo('select 1;\n'), 'COPY (\nselect 1\n) TO STDOUT (FORMAT binary)'],
    [copyFrom({ schema: 's', name: 't' }, ['a']), 'COPY "s"."t" ("a") FROM STDIN (FORMAT binary)'],
    [
      copyTableTo(table, ['a'], { format: 'CSV', options: { header: 'Present' } }),
      'COPY "public"."t" ("a") TO STDOUT (FORMAT csv, HEADER)',
    ],
    [
      copyTableTo(table, ['a'], { where: 'b', format: 'Text', options: { null: '-' } }),
      `COPY (SELECT "a" FROM ONLY "public"."t" WHERE (\nb\n)) TO STDOUT (FORMAT text, NULL '-')`,
    ],
    [
      copyTableTo({ ...table, kind: 'p' }, ['a'], { format: 'CSV', options: { ignoreExternalPartitions: true } }),
      'COPY "public"."t" ("a") TO STDOUT CSV IGNORE EXTERNAL PARTITIONS',
    ],
    [copyQueryTo('select 1', { format: 'CSV' }), 'COPY (\nselect 1\n) TO STDOUT (FORMAT csv)'],
    [
      copyFrom({ schema: 's', name: 't' }, ['a'], { format: 'CSV', options: { where: 'a > 0 -- b' } }),
      'COPY "s"."t" ("a") FROM STDIN (FORMAT csv) WHERE (\na > 0 -- b\n)',
    ],
    [
      copyTableToSegments(table, ['a'], { options: { onSegment: "<SEG_DATA_DIR>/it's<SEGID>" } }),
      `COPY "public"."t" ("a") TO '<SEG_DATA_DIR>/it''s<SEGID>' ON SEGMENT BINARY`,
    ],
    [
      copyFromSegments(table, [], { format: 'CSV', options: { onSegment: '/t<SEGID>' } }),
      `COPY "public"."t" FROM '/t<SEGID>' ON SEGMENT CSV`,
    ],
    [truncateTables([{ schema: 's', name: 't' }]), 'TRUNCATE TABLE "s"."t"'],
  ])('%s', (found, expected) => {
    expect(found).toBe(expected)
  })
})
