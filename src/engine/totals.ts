import type { RunTotals } from '../run/result.ts'

/** What one object moved. Bytes of the COPY stream and of the whole file. */
export interface ObjectTotals {
  readonly rows: bigint
  readonly rawBytes: bigint
  readonly fileBytes: bigint
  /** Rows that COPY refused and was told to leave out. */
  readonly rejectedRows?: bigint
}

export const noTotals: RunTotals = { objects: 0, rows: '0', bytes: '0', storedBytes: '0' }

export function addTotals(totals: RunTotals, object: ObjectTotals): RunTotals {
  return sumTotals(totals, {
    objects: 1,
    rows: String(object.rows),
    bytes: String(object.rawBytes),
    storedBytes: String(object.fileBytes),
    ...(object.rejectedRows === undefined ? {} : { rejectedRows: String(object.rejectedRows) }),
  })
}

/** `rejectedRows` is there when either has some. */
export function sumTotals(one: RunTotals, other: RunTotals): RunTotals {
  const sum = (a: string, b: string) => String(BigInt(a) + BigInt(b))
  const rejected = sum(one.rejectedRows ?? '0', other.rejectedRows ?? '0')
  return {
    objects: one.objects + other.objects,
    rows: sum(one.rows, other.rows),
    bytes: sum(one.bytes, other.bytes),
    storedBytes: sum(one.storedBytes, other.storedBytes),
    ...(rejected === '0' ? {} : { rejectedRows: rejected }),
  }
}

/** One object's or part's totals as the ledger keeps them. */
export function objectTotals({ rows, bytes, storedBytes, rejectedRows = '0' }: RunTotals): ObjectTotals {
  return {
    rows: BigInt(rows),
    rawBytes: BigInt(bytes),
    fileBytes: BigInt(storedBytes),
    rejectedRows: BigInt(rejectedRows),
  }
}

/** An object's totals out of its parts'. */
export function sumParts(parts: readonly ObjectTotals[]): ObjectTotals {
  const sum = (field: keyof ObjectTotals) => parts.reduce((total, part) => total + (part[field] ?? 0n), 0n)
  return {
    rows: sum('rows'),
    rawBytes: sum('rawBytes'),
    fileBytes: sum('fileBytes'),
    rejectedRows: sum('rejectedRows'),
  }
}
