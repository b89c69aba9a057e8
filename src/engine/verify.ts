import { createHash } from 'node:crypto'
import { decompress } from '../compression/decompress.ts'
import { PgpackError } from '../errors.ts'
import { giveBack } from '../memory.ts'
import { PGCopyChecker } from '../pgpack/checker.ts'
import { verify as verifyPGPack } from '../pgpack/verify.ts'
import type { ManifestObject } from '../storage/manifest.ts'
import type { ObjectStore } from '../storage/store.ts'
import { openSource } from './load.ts'
import { checkHash } from './load-file.ts'

/**
 * Checksum reads every byte back and compares its SHA-256. Decode decompresses it as well, and walks over every row of
 * the binary formats; what a line of Text or CSV means is for the server to say.
 */
export type Verification = 'Checksum' | 'Decode'

/**
 * Reads back what a dump wrote, file by file, before the manifest vouches for it.
 * @throws PgpackError MANIFEST_MISMATCH for bytes that are not those that were written, and what the store throws
 */
export async function verifyFiles(
  store: ObjectStore,
  path: string,
  objects: readonly ManifestObject[],
  verification: Verification,
  signal: AbortSignal,
): Promise<void> {
  for (const object of objects) {
    const key = `${path}/${object.file}`
    if (verification === 'Decode' && object.format === 'PGPack') await decodePGPack(store, key, object, signal)
    else await readBack(store, key, object, verification, signal)
  }
}

async function decodePGPack(
  store: ObjectStore,
  key: string,
  object: ManifestObject,
  signal: AbortSignal,
): Promise<void> {
  const found = await verifyPGPack(await openSource(store, key, signal))
  if (found.fault !== undefined) {
    const { code, message, offset, expected, found: seen } = found.fault
    const details = {
      ...(offset === undefined ? {} : { offset }),
      ...(expected === undefined ? {} : { expected }),
      ...(seen === undefined ? {} : { found: seen }),
    }
    throw damaged(object, key, new PgpackError(code, message, details))
  }
  checkHash(object.name, 'head', object.headSHA256, found.headSHA256 ?? '')
  checkHash(object.name, 'body', object.bodySHA256, found.bodySHA256 ?? '')
  checkCount(object, key, 'rows', object.rows, found.rows)
}

async function readBack(
  store: ObjectStore,
  key: string,
  object: ManifestObject,
  verification: Verification,
  signal: AbortSignal,
): Promise<void> {
  const head = createHash('sha256')
  const body = createHash('sha256')
  let offset = 0
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const bytes of store.read(key, signal)) {
      const inHead = Math.max(0, Math.min(bytes.length, object.bodyOffset - offset))
      head.update(bytes.subarray(0, inHead))
      body.update(bytes.subarray(inHead))
      offset += bytes.length
      yield bytes
    }
  }
  if (verification === 'Decode') await decode(hashed(), key, object)
  else for await (const bytes of hashed()) giveBack(bytes)
  checkHash(object.name, 'head', object.headSHA256, head.digest('hex'))
  checkHash(object.name, 'body', object.bodySHA256, body.digest('hex'))
}

/** What COPY itself wrote: every frame, and every row where rows are binary. */
async function decode(stored: AsyncIterable<Buffer>, key: string, object: ManifestObject): Promise<void> {
  const checker = object.format === 'Binary' ? new PGCopyChecker(object.columns.length) : undefined
  let rawBytes = 0n
  try {
    for await (const piece of decompress(object.compression.method, stored)) {
      rawBytes += BigInt(piece.length)
      checker?.update(piece)
      giveBack(piece)
    }
    checker?.end()
  } catch (error) {
    if (!(error instanceof PgpackError) || !error.code.startsWith('PGPACK_')) throw error
    throw damaged(object, key, error)
  }
  checkCount(object, key, 'bytes', object.rawBytes, rawBytes)
  if (checker !== undefined) checkCount(object, key, 'rows', object.rows, BigInt(checker.rows))
}

function damaged({ name }: ManifestObject, key: string, cause: PgpackError): PgpackError {
  const message = `${name}: what was read back of ${key} is damaged: ${cause.message} [${cause.code}]`
  return new PgpackError('MANIFEST_MISMATCH', message, { ...cause.details, cause })
}

function checkCount({ name }: ManifestObject, key: string, what: string, expected: string, found: bigint): void {
  if (expected === String(found)) return
  const message = `${name}: ${found} ${what} were read back of ${key}, ${expected} were written`
  throw new PgpackError('MANIFEST_MISMATCH', message, { expected: `${expected} ${what}`, found: `${found} ${what}` })
}
