import type { ManifestObject } from '../storage/manifest.ts'

/** Whole frames of a file's body and what is in them. Bytes relative to the body's start; `first` and `last` of the file. */
export interface BodyRange {
  readonly storedOffset: number
  readonly storedLength: number
  readonly rows: number
  /** Decompressed, without what `filePart` adds. */
  readonly rawBytes: number
  readonly first: boolean
  readonly last: boolean
}

/** A part is a transaction: large enough that its COMMIT costs nothing, small enough that connections finish together. */
const RAW_BYTES_PER_PART = 64 * 1024 * 1024

type Indexed = Pick<ManifestObject, 'bodyOffset' | 'frames' | 'rawBytes' | 'rows' | 'storedBytes'>

/**
 * Splits a body at frames of its index into about equal parts; one part where there is one connection, or no index. The
 * same manifest and the same number of connections give the same parts, which is what the ledger counts on.
 */
export function planParts(object: Indexed, connections: number): readonly BodyRange[] {
  const end = endOf(object)
  const index = connections > 1 ? (object.frames?.index ?? []) : []
  const wanted = Math.max(connections, Math.ceil(end.rawBytes / RAW_BYTES_PER_PART))
  const starts = chooseStarts(index.map(toPoint), end.rawBytes / wanted)
  return starts.map((start, number) => {
    const next = starts[number + 1] ?? end
    return {
      storedOffset: start.storedOffset,
      storedLength: next.storedOffset - start.storedOffset,
      rows: next.rows - start.rows,
      rawBytes: next.rawBytes - start.rawBytes,
      first: number === 0,
      last: number === starts.length - 1,
    }
  })
}

/** What lies before a place in the body. */
interface Point {
  readonly storedOffset: number
  readonly rows: number
  readonly rawBytes: number
}

const START: Point = { storedOffset: 0, rows: 0, rawBytes: 0 }

function toPoint([storedOffset, rows, rawBytes]: readonly [number, number, number]): Point {
  return { storedOffset, rows, rawBytes }
}

function endOf({ bodyOffset, rawBytes, rows, storedBytes }: Indexed): Point {
  return { storedOffset: Number(storedBytes) - bodyOffset, rows: Number(rows), rawBytes: Number(rawBytes) }
}

/** The body's start, and the first entries from each multiple of `size` raw bytes on. */
function chooseStarts(points: readonly Point[], size: number): readonly Point[] {
  const starts = [START]
  for (const point of points) {
    const { rows } = starts.at(-1) ?? START
    if (point.rows > rows && point.rawBytes >= size * starts.length) starts.push(point)
  }
  return starts
}
