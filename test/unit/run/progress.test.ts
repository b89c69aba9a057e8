import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { decodeProgress, encodeProgress, type Progress } from '../../../src/run/progress.ts'

const count = fc.bigInt({ min: 0n, max: 2n ** 80n }).map(String)
const anyProgress: fc.Arbitrary<Progress> = fc.record(
  {
    objects: fc.nat(),
    objectsDone: fc.nat(),
    rows: count,
    bytes: count,
    storedBytes: count,
    percent: fc.integer({ min: 0, max: 100 }),
  },
  { requiredKeys: ['objects', 'objectsDone', 'rows', 'bytes', 'storedBytes'] },
)

describe('a progress line', () => {
  it('reads back as it was written, on one line', () => {
    fc.assert(
      fc.property(anyProgress, (progress) => {
        const line = encodeProgress(progress)
        expect(line).not.toContain('\n')
        expect(decodeProgress(line)).toEqual(progress)
      }),
    )
  })

  it.each([
    ['nothing', ''],
    ['a log line', '{"level":"info","msg":"run started"}'],
    ['a log line that speaks of progress', '{"level":"info","msg":"no pgpack.progress yet"}'],
    ['plain text with the mark', 'pgpack.progress: 50%'],
    ['the mark alone', '"pgpack.progress"'],
    ['a list with the mark', '["pgpack.progress"]'],
    ['another version', '{"pgpack.progress":2,"objects":1,"objectsDone":0,"rows":"0","bytes":"0","storedBytes":"0"}'],
    [
      'a line that was cut',
      encodeProgress({ objects: 1, objectsDone: 0, rows: '1', bytes: '2', storedBytes: '3' }).slice(0, -4),
    ],
    ['a line with nothing but the mark', '{"pgpack.progress":1}'],
    [
      'a line with counts that are not text',
      '{"pgpack.progress":1,"objects":1,"objectsDone":0,"rows":{},"bytes":1,"storedBytes":null}',
    ],
  ])('is not found in %s', (_, line) => {
    expect(decodeProgress(line)).toBeUndefined()
  })

  it('is not found in any other text, and nothing throws', () => {
    fc.assert(
      fc.property(fc.string(), fc.boolean(), (text, marked) => {
        expect(decodeProgress(marked ? `pgpack.progress${text}` : text)).toBeUndefined()
      }),
    )
  })
})
