import { createHash } from 'node:crypto'
import { decompress } from '../compression/decompress.ts'
import type { CompressionMethod } from '../compression/method.ts'
import { giveBack } from '../memory.ts'
import type { RandomAccessSource } from '../pgpack/source.ts'
import type { RunContext } from './context.ts'
import type { Part, Piece } from './load.ts'
import { checkHash } from './load-file.ts'

export interface RawFacts {
  /** The object's name, for messages and progress. */
  readonly name: string
  readonly method: CompressionMethod
  /** By the manifest; nothing vouches for a bare file. */
  readonly sha256?: string
  readonly rows?: bigint
}

/** A file as COPY wrote it, perhaps compressed, in one part: it goes to the server as it is. */
export function rawFile(source: RandomAccessSource, facts: RawFacts, progress: RunContext['progress']): Part {
  const { rows } = facts
  return {
    read: () => readRaw(source, facts, progress),
    storedBytes: BigInt(source.size),
    ...(rows === undefined ? {} : { rows }),
  }
}

async function* readRaw(
  source: RandomAccessSource,
  { name, method, sha256 }: RawFacts,
  progress: RunContext['progress'],
): AsyncGenerator<Piece> {
  const hash = createHash('sha256')
  const seen = (bytes: Uint8Array) => {
    hash.update(bytes)
    progress.stored(bytes.length)
  }
  // An empty body is no frame of any method.
  if (source.size > 0) {
    for await (const data of decompress(method, tapped(source, seen)))
      yield { data, rows: 0, release: () => giveBack(data) }
  }
  if (sha256 !== undefined) checkHash(name, 'body', sha256, hash.digest('hex'))
}

async function* tapped(source: RandomAccessSource, seen: (bytes: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  for await (const bytes of source.read({ offset: 0, length: source.size })) {
    seen(bytes)
    yield bytes
  }
}
