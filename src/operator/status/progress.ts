import type { ProgressStatus } from '../../api/v1alpha1/status.ts'
import type { Progress } from '../../run/progress.ts'
import type { RunTotals } from '../../run/result.ts'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const

/** A size for people: three digits and a binary unit, as `1.45 GiB`. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 ? value : Number(value.toPrecision(3))} ${UNITS[power]}`
}

/** A count of the contract (a decimal string) as a status has it: a JSON number, exact up to 2^53. */
export function toCount(text: string): number {
  const count = Number(text)
  return Number.isFinite(count) && count >= 0 ? Math.min(Math.trunc(count), Number.MAX_SAFE_INTEGER) : 0
}

/** Progress of a running attempt. */
export function progressStatus(progress: Progress): ProgressStatus {
  const percent = progress.percent === undefined ? undefined : Math.floor(Math.min(100, Math.max(0, progress.percent)))
  const storedBytes = toCount(progress.storedBytes)
  return {
    objects: progress.objects,
    objectsDone: progress.objectsDone,
    rows: toCount(progress.rows),
    bytes: toCount(progress.bytes),
    storedBytes,
    ...(percent === undefined ? {} : { percent }),
    display: percent === undefined ? `${progress.objectsDone}/${progress.objects}` : `${percent}%`,
    size: formatBytes(storedBytes),
  }
}

/** Progress of a run that has succeeded: everything. */
export function finishedProgress({ objects, rows, bytes, storedBytes }: RunTotals): ProgressStatus {
  return progressStatus({ objects, objectsDone: objects, rows, bytes, storedBytes, percent: 100 })
}
