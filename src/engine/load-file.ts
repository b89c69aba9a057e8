import { createHash } from 'node:crypto'
import { PgpackError } from '../errors.ts'
import { giveBack } from '../memory.ts'
import { PGCopyChecker } from '../pgpack/checker.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from '../pgpack/pgcopy.ts'
import { PGPackReader } from '../pgpack/reader.ts'
import type { RandomAccessSource } from '../pgpack/source.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { RunContext } from './context.ts'
import { openSource, type Part, type Piece } from './load.ts'
import type { BodyRange } from './parts.ts'

export interface OpenFile {
  readonly reader: PGPackReader
  /** For what reads it another time. */
  readonly source: RandomAccessSource
  /** Hexadecimal, of the bytes before the body. */
  readonly headSHA256: string
}

/** Opens a file for loading; its head is read and its lengths are checked against its size before this resolves. */
export async function openFile(store: ObjectStore, key: string, signal: AbortSignal): Promise<OpenFile> {
  const source = await openSource(store, key, signal)
  const reader = await PGPackReader.open(source)
  return { reader, source, headSHA256: createHash('sha256').update(reader.head).digest('hex') }
}

/** @throws PgpackError MANIFEST_MISMATCH */
export function checkHash(name: string, part: 'head' | 'body', expected: string, found: string): void {
  if (found === expected) return
  const message = `${name}: the ${part} of the file is not the one that was dumped: its SHA-256 is ${found}, not ${expected}`
  throw new PgpackError('MANIFEST_MISMATCH', message, { expected, found })
}

export interface FileFacts {
  /** The object's name, for messages. */
  readonly name: string
  /** What the manifest says of the body as it is stored; nothing vouches for a bare file. */
  readonly bodySHA256: string | undefined
}

/** A file's body in one part. The reader checks frames, lengths and trailer as the bytes pass; a hash, all of them. */
export function wholeFile(file: OpenFile, facts: FileFacts, progress: RunContext['progress']): Part {
  return { read: () => readWhole(file, facts, progress), storedBytes: BigInt(file.source.size) }
}

async function* readWhole(
  { reader }: OpenFile,
  { name, bodySHA256 }: FileFacts,
  progress: RunContext['progress'],
): AsyncGenerator<Piece> {
  const hash = bodySHA256 === undefined ? undefined : createHash('sha256')
  const onStored = (bytes: Buffer) => {
    hash?.update(bytes)
    progress.stored(bytes.length)
  }
  progress.stored(reader.bodyOffset)
  let rowsBefore = 0
  for await (const data of reader.body({ onStored })) {
    yield { data, rows: reader.rows - rowsBefore, release: () => giveBack(data) }
    rowsBefore = reader.rows
  }
  if (bodySHA256 !== undefined && hash !== undefined) checkHash(name, 'body', bodySHA256, hash.digest('hex'))
}

/**
 * One of several parts of a file, made a COPY stream of its own: all but the first lack the PGCOPY header, all but the
 * last the trailer. Rows and bytes are compared with the manifest's; its hash is of the whole body and checked before.
 */
export function filePart(file: OpenFile, range: BodyRange, progress: RunContext['progress']): Part {
  return {
    read: async function* ({ signal }) {
      yield* readRange(file.reader, range, signal)
      progress.stored(range.storedLength)
    },
    storedBytes: BigInt(range.storedLength),
  }
}

async function* readRange(reader: PGPackReader, range: BodyRange, signal: AbortSignal): AsyncGenerator<Piece> {
  const checker = new PGCopyChecker(reader.columns.length)
  let raw = 0
  const checked = (data: Buffer): Piece => {
    const before = checker.rows
    checker.update(data)
    return { data, rows: checker.rows - before, release: () => giveBack(data) }
  }
  if (!range.first) yield checked(Buffer.from(PGCOPY_HEADER))
  for await (const data of reader.part(range)) {
    signal.throwIfAborted()
    raw += data.length
    yield checked(data)
  }
  if (!range.last) yield checked(Buffer.from(PGCOPY_TRAILER))
  checker.end()
  checkRange(range, { rows: checker.rows, rawBytes: raw })
}

function checkRange(expected: BodyRange, found: { readonly rows: number; readonly rawBytes: number }): void {
  if (found.rows === expected.rows && found.rawBytes === expected.rawBytes) return
  const say = ({ rows, rawBytes }: typeof found) => `${rows} rows, ${rawBytes} bytes`
  throw new PgpackError(
    'MANIFEST_MISMATCH',
    `the part of the file from byte ${expected.storedOffset} of its body holds ${say(found)}; the manifest says ${say(expected)}`,
    { expected: say(expected), found: say(found) },
  )
}

/**
 * Reads the stored body once and compares its hash: parts are committed one by one, so that nobody may find out at the
 * end that the file was damaged. @throws PgpackError MANIFEST_MISMATCH
 */
export async function checkBody({ reader, source }: OpenFile, name: string, bodySHA256: string): Promise<void> {
  const hash = createHash('sha256')
  const length = Number(reader.storedLength ?? 0n)
  for await (const bytes of source.read({ offset: reader.bodyOffset, length })) {
    hash.update(bytes)
    giveBack(bytes)
  }
  checkHash(name, 'body', bodySHA256, hash.digest('hex'))
}
