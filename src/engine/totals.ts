import type { RunTotals } from '../run/result.ts'

/** What one object moved. Bytes of the COPY stream and of the whole file. */
export interface ObjectTotals {
  readonly rows: bigint
  readonly rawBytes: bigint
  readonly fileBytes: bigint
}

export const noTotals: RunTotals = { objects: 0, rows: '0', bytes: '0', storedBytes: '0' }

export function addTotals(totals: RunTotals, object: ObjectTotals): RunTotals {
  return {
    objects: totals.objects + 1,
    rows: String(BigInt(totals.rows) + object.rows),
    bytes: String(BigInt(totals.bytes) + object.rawBytes),
    storedBytes: String(BigInt(totals.storedBytes) + object.fileBytes),
  }
}
