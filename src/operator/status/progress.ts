import type { ProgressStatus } from '../../api/v1alpha1/status.ts'
import type { Progress } from '../../run/progress.ts'
import type { RunResult } from '../../run/result.ts'

export type SuccessResult = Extract<RunResult, { outcome: 'Succeeded' }>

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

/** Progress of a running attempt, and how fast it is. */
export type MeasuredProgress = Progress & { readonly bytesPerSecond?: number }

/** `isStored`: whether a store is involved; a transfer has none. */
export function progressStatus(progress: MeasuredProgress, isStored: boolean): ProgressStatus {
  const percent = progress.percent === undefined ? undefined : Math.floor(Math.min(100, Math.max(0, progress.percent)))
  const bytes = toCount(progress.bytes)
  const storedBytes = toCount(progress.storedBytes)
  return {
    objects: progress.objects,
    objectsDone: progress.objectsDone,
    rows: toCount(progress.rows),
    bytes,
    storedBytes,
    ...(percent === undefined ? {} : { percent }),
    display: percent === undefined ? `${progress.objectsDone}/${progress.objects}` : `${percent}%`,
    size: formatBytes(isStored ? storedBytes : bytes),
    ...paceOf(progress.bytesPerSecond, bytes, percent),
  }
}

/** Time left is only as good as the percentage, which is known where the size is. */
function paceOf(rate: number | undefined, bytes: number, percent: number | undefined): Partial<ProgressStatus> {
  if (rate === undefined) return {}
  const bytesPerSecond = Math.round(rate)
  const pace = { bytesPerSecond, rate: `${formatBytes(bytesPerSecond)}/s` }
  if (percent === undefined || percent === 0 || percent === 100 || bytesPerSecond === 0) return pace
  const secondsLeft = Math.ceil((bytes * (100 - percent)) / percent / bytesPerSecond)
  return { ...pace, secondsLeft, timeLeft: formatDuration(secondsLeft) }
}

/** `45s`, `3m20s`, `2h5m`, `3d4h`: two units at most. */
export function formatDuration(seconds: number): string {
  const units = [
    ['d', Math.floor(seconds / 86_400)],
    ['h', Math.floor(seconds / 3_600) % 24],
    ['m', Math.floor(seconds / 60) % 60],
    ['s', Math.floor(seconds) % 60],
  ] as const
  const first = units.findIndex(([, count]) => count > 0)
  const shown = units.slice(first, first + 2).filter(([, count]) => count > 0)
  return first < 0 ? '0s' : shown.map(([unit, count]) => `${count}${unit}`).join('')
}

/** Progress of a run that has succeeded: everything, at the average rate. */
export function finishedProgress({ totals, seconds, artifact }: SuccessResult): ProgressStatus {
  const { objects, rows, bytes, storedBytes } = totals
  const measured = { objects, objectsDone: objects, rows, bytes, storedBytes, percent: 100 }
  const bytesPerSecond = seconds > 0 ? toCount(bytes) / seconds : undefined
  return progressStatus(
    { ...measured, ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }) },
    artifact !== undefined,
  )
}
