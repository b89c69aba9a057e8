import type { Reason } from '../../src/operator/status/reasons.ts'
import { type FaultName, infoOf } from './faults.ts'

/** What became of one dump and the restore that reads it, when all is quiet again. */
export interface Outcome {
  readonly number: number
  readonly mode: 'Append' | 'Truncate'
  readonly dump: RunOutcome
  readonly restore: RunOutcome
  readonly target: TargetRows
}

export interface RunOutcome {
  /** Of `Succeeded`; undefined where the resource is not there. */
  readonly status: 'True' | 'False' | 'Unknown' | undefined
  readonly reason: string
  /** Where the artefact lies, by the status. */
  readonly path?: string
  readonly manifestSHA256?: string
  readonly rows?: number
  /** What hit it, as far as that can be known: of what all share, everything that happened while it was there. */
  readonly faults: readonly FaultName[]
}

/** What is found in the target table. */
export interface TargetRows {
  readonly rows: number
  readonly distinct: number
  /** Rows that are not what was dumped. */
  readonly wrong: number
}

/** A manifest of the store, read with all its files. */
export interface StoredManifest {
  readonly path: string
  readonly sha256: string
  /** What does not fit: a file that is missing, short, or of another sum. */
  readonly flaws: readonly string[]
}

/** Why the end of a run of chaos is not true: one line each. */
export function problemsOf(outcomes: readonly Outcome[], manifests: readonly StoredManifest[], rows: number): string[] {
  const byPath = new Map(manifests.map((manifest) => [manifest.path, manifest]))
  return [
    ...outcomes.flatMap((outcome) => [
      ...dumpProblems(outcome, byPath, rows).map((problem) => `dump ${outcome.number}: ${problem}`),
      ...restoreProblems(outcome, rows).map((problem) => `restore ${outcome.number}: ${problem}`),
    ]),
    ...manifests.flatMap(({ path, flaws }) => flaws.map((flaw) => `${path} looks whole and is not: ${flaw}`)),
  ]
}

function dumpProblems({ dump }: Outcome, manifests: ReadonlyMap<string, StoredManifest>, rows: number): string[] {
  if (dump.status !== 'True') return notSucceeded(dump)
  const manifest = manifests.get(dump.path ?? '')
  if (manifest === undefined) return [`succeeded, and there is no manifest at ${dump.path}`]
  const problems = manifest.sha256 === dump.manifestSHA256 ? [] : ['its manifest is not the one of its status']
  return dump.rows === rows ? problems : [...problems, `has ${dump.rows} rows of ${rows}`]
}

function restoreProblems({ restore, dump, mode, target }: Outcome, rows: number): string[] {
  const whole = target.rows === rows && target.distinct === rows && target.wrong === 0
  const found = `${target.rows} rows, ${target.distinct} distinct, ${target.wrong} wrong, of ${rows}`
  if (restore.status === 'True') return whole ? [] : [`succeeded with ${found}`]
  if (restore.reason === 'DumpFailed') return dump.status === 'False' ? [] : ['failed for a dump that has not']
  // Whatever it says, a restore is one transaction: all rows are there, or none.
  const torn = whole || target.rows === 0 ? [] : [`failed with ${found}`]
  // The rows of an Append are in the ledger, or not: whoever asks gets to know.
  const known = mode === 'Append' && restore.reason === 'ResultUnknown' ? ['has a ledger, and says ResultUnknown'] : []
  return [...notSucceeded(restore), ...known, ...torn]
}

function notSucceeded({ status, reason, faults }: RunOutcome): string[] {
  if (status === undefined) return ['is lost: the resource is not there']
  if (status !== 'False') return [`is stuck: ${reason}`]
  if (faults.some((fault) => infoOf(fault).reasons.includes(reason as Reason))) return []
  const hit = faults.length === 0 ? 'no fault hit it' : `it was hit by ${[...new Set(faults)].sort().join(', ')}`
  return [`failed with ${reason}, which no fault explains: ${hit}`]
}
