import type { Static } from 'typebox'
import * as Type from 'typebox'
import { Check } from 'typebox/schema'
import { decimal } from './schema.ts'

/** What a run has done so far. Counts are decimal strings: they can pass 2^53. */
const Progress = Type.Object({
  objects: Type.Integer({ minimum: 0 }),
  objectsDone: Type.Integer({ minimum: 0 }),
  rows: decimal,
  /** Of the COPY streams, uncompressed. */
  bytes: decimal,
  storedBytes: decimal,
  /** By the planned bytes or rows; absent when the size is not known. */
  percent: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
})

export type Progress = Readonly<Static<typeof Progress>>

const MARK = 'pgpack.progress'
const MarkedProgress = Type.Object({ [MARK]: Type.Literal(1), ...Progress.properties })

/** One line on the job pod's stdout. Whatever else is printed there is not taken for progress. */
export function encodeProgress(progress: Progress): string {
  return JSON.stringify({ [MARK]: 1, ...progress })
}

/** The progress of a log line; undefined for any other line. */
export function decodeProgress(line: string): Progress | undefined {
  if (!line.includes(MARK)) return undefined
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (!Check(MarkedProgress, value)) return undefined
  const { [MARK]: _, ...progress } = value
  return progress
}
