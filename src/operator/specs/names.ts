import { createHash } from 'node:crypto'
import type { Run } from './run.ts'

/**
 * A pod's name is its Job's name, a dash and 5 random characters, and must be a DNS label of at most 63 characters:
 * past 57 the Job controller would cut the name's end, which is what tells two runs apart.
 */
export const MAX_JOB_NAME = 57
const MAX_LABEL_VALUE = 63
const HASH_DIGITS = 8

/** First 8 digits of the uid: tells apart runs that had the same name one after the other. */
export function shortUid(uid: string): string {
  return uid.slice(0, 8)
}

const KIND_WORDS = { PGPackDump: 'dump', PGPackRestore: 'restore', PGPackTransfer: 'transfer' } as const

/** Name of what belongs to a run: ConfigMap and first Job. The same for the same resource, whenever it is asked. */
export function childName(run: Run): string {
  return nameFor(run, KIND_WORDS[run.kind])
}

/** Name of the Job, and its ConfigMap, that removes what a run has left in the store. */
export function removalName(run: Run): string {
  return nameFor(run, 'remove')
}

function nameFor({ metadata }: Run, word: string): string {
  const end = `-${word}-${shortUid(metadata.uid)}`
  return slug(metadata.name, MAX_JOB_NAME - '-999'.length - end.length) + end
}

/**
 * Name of the n-th Job of a run, counted from 1. There is a second one only where the first was deleted by hand and the
 * run can be repeated; its own name keeps it apart from pods of the first that still end.
 */
export function jobName(run: Run, incarnation: number): string {
  return incarnation === 1 ? childName(run) : `${childName(run)}-${incarnation}`
}

/** The inverse of {@link jobName}; 1 for any name that is not of this run. */
export function incarnationOf(run: Run, name: string): number {
  const prefix = `${childName(run)}-`
  const number = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : 1
  return Number.isSafeInteger(number) && number > 1 ? number : 1
}

/** A label's value that stands for a name: names have up to 253 characters, label values 63. */
export function labelValue(name: string): string {
  if (name.length <= MAX_LABEL_VALUE) return name
  const head = name.slice(0, MAX_LABEL_VALUE - 1 - HASH_DIGITS).replace(/[^a-zA-Z0-9]+$/, '')
  return `${head}-${hash(name)}`
}

/** A name as a DNS label: dots, which a Job's name may have and a host name's label may not, become dashes. */
function slug(name: string, maxLength: number): string {
  const text = name.replaceAll('.', '-')
  if (text.length <= maxLength) return text
  const head = text.slice(0, maxLength - 1 - HASH_DIGITS).replace(/-+$/, '')
  return `${head}-${hash(name)}`
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS)
}
