import { describe, expect, it } from '@jest/globals'
import { corpus } from '../../fuzz/corpus.ts'
import { examine, GOOD_OUTCOMES, judge, makeCase } from '../../fuzz/judge.ts'
import { MUTATIONS } from '../../fuzz/mutations.ts'

const SEED = 7
const CASES = Object.keys(MUTATIONS).length * 25

describe('damaged files', () => {
  it.each(corpus.map((sample) => [sample.name, sample] as const))(
    'are made of files that are read whole: %s',
    async (_, sample) => {
      const verdict = judge({ kind: 'none', sample, file: sample.file }, await examine(sample.file))
      expect(verdict).toEqual({ outcome: 'original read', detail: '' })
    },
  )

  it('end in a coded error or a right read, in every way of reading them', async () => {
    const outcomes = new Set<string>()
    const bad: unknown[] = []
    for (let index = 0; index < CASES; index++) {
      const made = makeCase(SEED, index)
      const verdict = judge(made, await examine(made.file))
      outcomes.add(verdict.outcome)
      if (!GOOD_OUTCOMES.some((good) => good === verdict.outcome)) bad.push({ index, kind: made.kind, ...verdict })
    }
    expect(bad).toEqual([])
    expect([...outcomes].sort()).toEqual([...GOOD_OUTCOMES].sort())
  })

  it('are the same for the same seed, and others for another', () => {
    const files = (seed: number) => Array.from({ length: 26 }, (_, index) => makeCase(seed, index).file.toString('hex'))
    expect(files(SEED)).toEqual(files(SEED))
    expect(files(SEED)).not.toEqual(files(SEED + 1))
  })

  it('are found out: a reading that differs from what other decoders see is called wrong', async () => {
    const [sample] = corpus
    if (sample === undefined) throw new Error('an empty corpus')
    const examination = await examine(sample.file)
    const body = Buffer.from(sample.raw)
    body.writeUInt8(body.readUInt8(60) ^ 1, 60)
    const reading = { body, length: body.length }
    const altered = { ...examination, reading, streamed: reading }
    expect(judge({ kind: 'none', sample, file: sample.file }, altered)).toMatchObject({ outcome: 'wrong read' })
    expect(judge({ kind: 'none', sample, file: sample.file }, { ...examination, streamed: reading })).toMatchObject({
      outcome: 'disagreement',
    })
    const failed = { ...examination, reading: { error: new TypeError('no such thing') } }
    expect(judge({ kind: 'none', sample, file: sample.file }, failed)).toMatchObject({ outcome: 'other error' })
  })
})
