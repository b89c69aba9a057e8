import { createHash } from 'node:crypto'
import type { Static } from 'typebox'
import * as Type from 'typebox'
import { Check, Errors } from 'typebox/schema'
import { COMPRESSION_METHODS } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'
import type { CopyOptions } from '../postgres/copy-options/schema.ts'
import { joinKey } from './keys.ts'
import type { ObjectStore } from './store.ts'

/** The manifest's key is `<path>/manifest.json`. */
export const MANIFEST_NAME = 'manifest.json'

export const MANIFEST_VERSION = 1

/** A manifest is read into memory whole; its frame indexes are made coarser by the writer to stay far below. */
export const MAX_MANIFEST_SIZE = 64 * 1024 * 1024

/** Files whose size is asked for at once. */
const STATS_IN_FLIGHT = 8

// Open objects: a later minor release may add fields that this one ignores.
const text = Type.String({ minLength: 1 })
const count = Type.Integer({ minimum: 0 })
/** Counts that can pass 2^53 are decimal strings. */
const bigCount = Type.String({ pattern: '^(0|[1-9][0-9]*)$' })
const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
const literals = <const T extends readonly string[]>(values: T) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values] })

const ManifestColumn = Type.Object({
  name: text,
  /** format_type(): `numeric(8,2)`. */
  type: text,
  typeOid: count,
  /** -1 for none. */
  typmod: Type.Integer({ minimum: -1 }),
  notNull: Type.Boolean(),
  /** What the PGPack file's own metadata says of the column. */
  pgpack: Type.Object({ length: Type.Integer(), scale: Type.Integer(), nested: Type.Integer() }),
})

/** Greenplum: where a table's rows were kept. */
const ManifestDistribution = Type.Object({
  policy: literals(['Hash', 'Random', 'Replicated'] as const),
  columns: Type.Array(text),
})

const ManifestSegments = Type.Object({
  /** With `<SEGID>`, and `<SEG_DATA_DIR>` where the user said so. */
  path: text,
  files: Type.Array(
    Type.Object({
      /** Content id. */
      segment: count,
      host: text,
      /** On the host. */
      path: text,
      bytes: Type.Optional(bigCount),
    }),
  ),
})

const ManifestObject = Type.Object({
  /**
   * `schema.table`, a part in double quotes where it holds a dot or a quote, or a query's name: unique in the manifest,
   * and what a restore's `from` names.
   */
  name: text,
  kind: literals(['Table', 'Query'] as const),
  schema: Type.Optional(text),
  relation: Type.Optional(text),
  /** The file's key below the manifest's path. */
  file: text,
  format: literals(['PGPack', 'Binary', 'Text', 'CSV'] as const),
  /**
   * The rows lie in files on the hosts of a Greenplum's segments, which wrote them (ON SEGMENT) and alone can read them:
   * `file` names nothing, `storedBytes` is 0, the hashes are those of no bytes, and nothing vouches for what the files hold
   * but their sizes, where those could be asked for.
   */
  segments: Type.Optional(ManifestSegments),
  /** Of the COPY that wrote the file; what is not said is the server's default. Not of PGPack. */
  copyOptions: Type.Optional(Type.Unsafe<CopyOptions>({ type: 'object' })),
  compression: Type.Object({ method: literals(COMPRESSION_METHODS), level: Type.Optional(Type.Integer()) }),
  columns: Type.Array(ManifestColumn),
  /** Names in key order; empty when there is none. */
  primaryKey: Type.Array(text),
  distribution: Type.Optional(ManifestDistribution),
  /** Row-level security hid rows of it from the user who dumped. */
  rowSecurity: Type.Optional(Type.Boolean()),
  rows: bigCount,
  /** Of the COPY stream. */
  rawBytes: bigCount,
  /** Of the file. */
  storedBytes: bigCount,
  /** Of the file's bytes before `bodyOffset`, and from there on. */
  headSHA256: sha256,
  bodySHA256: sha256,
  bodyOffset: count,
  /** Where decompression can start: at frames, which begin with a row. */
  frames: Type.Optional(
    Type.Object({
      /** Frames from one entry to the next; more than 1 keeps the manifest of a large table small. */
      granularity: Type.Integer({ minimum: 1 }),
      /** What lies before each entry's frame: bytes of the body as stored, rows, and bytes of the raw body. */
      index: Type.Array(Type.Tuple([count, count, count])),
    }),
  ),
})

/** A type that is not PostgreSQL's own: what src/pgpack/rows/definitions.ts takes, and what would make it anew. */
const ManifestType = Type.Object({
  kind: literals(['enum', 'domain', 'composite', 'range', 'multirange', 'base'] as const),
  oid: count,
  schema: text,
  name: text,
  arrayOid: count,
  labels: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
  base: Type.Optional(count),
  baseType: Type.Optional(text),
  notNull: Type.Optional(Type.Boolean()),
  default: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  constraints: Type.Optional(Type.Array(Type.Object({ name: text, definition: text }))),
  fields: Type.Optional(Type.Array(Type.Object({ name: text, oid: count, type: text }))),
  subtype: Type.Optional(count),
  subtypeName: Type.Optional(text),
  opclass: Type.Optional(Type.Union([text, Type.Null()])),
  collation: Type.Optional(Type.Union([text, Type.Null()])),
  canonical: Type.Optional(Type.Union([text, Type.Null()])),
  subtypeDiff: Type.Optional(Type.Union([text, Type.Null()])),
  multirange: Type.Optional(text),
  range: Type.Optional(count),
  like: Type.Optional(Type.Union([text, Type.Null()])),
  extension: Type.Optional(Type.Object({ name: text, schema: text, version: text })),
})

export const Manifest = Type.Object({
  formatVersion: Type.Literal(MANIFEST_VERSION),
  /** RFC 3339, UTC. */
  createdAt: text,
  generator: Type.Object({ name: text, version: text }),
  server: Type.Object({
    /** As the server shows it: `16.4`. */
    version: text,
    /** server_version_num: 160004. */
    versionNumber: count,
    flavour: literals(['PostgreSQL', 'Greenplum'] as const),
    database: text,
    clientEncoding: Type.Literal('UTF8'),
    inRecovery: Type.Optional(Type.Boolean()),
  }),
  /** Of pg_export_snapshot: all objects are of this one moment. */
  snapshot: Type.Optional(text),
  isolation: Type.Optional(literals(['ReadCommitted', 'RepeatableRead', 'Serializable'] as const)),
  /** Every type of the objects' columns that is not PostgreSQL's own, and those that they stand on. */
  types: Type.Optional(Type.Array(ManifestType)),
  run: Type.Optional(Type.Object({ namespace: text, name: text, uid: text, attempt: text })),
  objects: Type.Array(ManifestObject),
  totals: Type.Object({ objects: count, rows: bigCount, rawBytes: bigCount, storedBytes: bigCount }),
})

export type ManifestColumn = Static<typeof ManifestColumn>
export type ManifestType = Static<typeof ManifestType>
export type ManifestObject = Static<typeof ManifestObject>
export type Manifest = Static<typeof Manifest>

/** The sums over a manifest's objects. */
export function manifestTotals(objects: readonly ManifestObject[]): Manifest['totals'] {
  const sum = (field: 'rows' | 'rawBytes' | 'storedBytes') =>
    objects.reduce((total, object) => total + BigInt(object[field]), 0n).toString()
  return { objects: objects.length, rows: sum('rows'), rawBytes: sum('rawBytes'), storedBytes: sum('storedBytes') }
}

/**
 * The manifest's bytes: JSON in one line.
 * @throws PgpackError MANIFEST_INVALID for what `readManifest` would refuse, so that it is never written.
 */
export function encodeManifest(manifest: Manifest): Buffer {
  checkManifestValue(manifest, 'the manifest to be written')
  const bytes = Buffer.from(`${JSON.stringify(manifest)}\n`)
  if (bytes.length <= MAX_MANIFEST_SIZE) return bytes
  throw tooLarge('the manifest to be written', bytes.length)
}

/**
 * The commit point of a dump: writes the manifest, after everything it names is complete, and reads it back from the
 * store. Only when the bytes are the same is there a dump.
 * @throws PgpackError MANIFEST_MISMATCH when other bytes came back; the manifest is removed then.
 */
export async function writeManifest(
  store: ObjectStore,
  path: string,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<{ sha256: string }> {
  const bytes = encodeManifest(manifest)
  const key = joinKey(path, MANIFEST_NAME)
  await putObject(store, key, bytes, signal)
  const found = await readBounded(store, key, bytes.length, signal)
  if (found?.equals(bytes)) return { sha256: sha256Of(bytes) }
  await store.remove([key], signal)
  throw new PgpackError(
    'MANIFEST_MISMATCH',
    `${store.location}: ${key} was written and other bytes were read back; the dump is not complete, run it again`,
    { expected: sha256Of(bytes), found: found === undefined ? 'a longer file' : sha256Of(found) },
  )
}

/**
 * The manifest of a finished attempt, and the SHA-256 of its bytes.
 * @param expectedSHA256 what the dump's status says, in hexadecimal
 * @throws PgpackError MANIFEST_MISSING, MANIFEST_INVALID, MANIFEST_MISMATCH
 */
export async function readManifest(
  store: ObjectStore,
  path: string,
  signal: AbortSignal,
  expectedSHA256?: string,
): Promise<{ manifest: Manifest; sha256: string }> {
  const key = joinKey(path, MANIFEST_NAME)
  const where = `${store.location}: ${key}`
  const bytes = await readExisting(store, key, where, signal)
  const found = sha256Of(bytes)
  if (expectedSHA256 !== undefined && found !== expectedSHA256.toLowerCase()) {
    const message = `${where} is not the manifest that the dump reported: its SHA-256 is ${found}, not ${expectedSHA256}`
    throw new PgpackError('MANIFEST_MISMATCH', message, { expected: expectedSHA256, found })
  }
  return { manifest: parseManifest(bytes, where), sha256: found }
}

/**
 * Asks the store for the size of every file that the manifest names.
 * @throws PgpackError MANIFEST_MISMATCH when one is missing or of another size
 */
export async function checkManifest(
  store: ObjectStore,
  path: string,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<void> {
  const waiting = manifest.objects.values()
  const work = async () => {
    for (const object of waiting) await checkFile(store, path, object, signal)
  }
  await Promise.all(Array.from({ length: STATS_IN_FLIGHT }, work))
}

async function checkFile(store: ObjectStore, path: string, object: ManifestObject, signal: AbortSignal): Promise<void> {
  if (object.segments !== undefined) return
  const key = joinKey(path, object.file)
  const where = `${store.location}: ${key}, the file of ${object.name},`
  try {
    const { size } = await store.stat(key, signal)
    if (String(size) === object.storedBytes) return
    const sizes = { expected: `${object.storedBytes} bytes`, found: `${size} bytes` }
    throw new PgpackError(
      'MANIFEST_MISMATCH',
      `${where} has ${sizes.found}, the manifest says ${sizes.expected}`,
      sizes,
    )
  } catch (error) {
    if (!(error instanceof PgpackError) || error.code !== 'STORE_NO_OBJECT') throw error
    throw new PgpackError('MANIFEST_MISMATCH', `${where} is missing; it was there when the dump ended`, {
      cause: error,
    })
  }
}

/** A small object, whole or not at all. */
export async function putObject(store: ObjectStore, key: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
  const upload = store.upload(key, { signal, sizeHint: bytes.length })
  try {
    await upload.write(bytes)
    await upload.complete()
  } catch (error) {
    // The store logs what it could not clean up; why it had to is what the caller must know.
    await Promise.allSettled([upload.abort()])
    throw error
  }
}

/** The object's bytes; undefined when there are more than `limit`. */
async function readBounded(
  store: ObjectStore,
  key: string,
  limit: number,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const { size } = await store.stat(key, signal)
  if (size > limit) return undefined
  const chunks: Buffer[] = []
  for await (const chunk of store.read(key, signal, { offset: 0, length: size })) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function readExisting(store: ObjectStore, key: string, where: string, signal: AbortSignal): Promise<Buffer> {
  try {
    const bytes = await readBounded(store, key, MAX_MANIFEST_SIZE, signal)
    if (bytes !== undefined) return bytes
  } catch (error) {
    if (!(error instanceof PgpackError) || error.code !== 'STORE_NO_OBJECT') throw error
    const advice = 'the attempt did not finish, and nothing of it is trusted; name the path of one that did'
    throw new PgpackError('MANIFEST_MISSING', `${where} is missing: ${advice}`, { cause: error })
  }
  throw tooLarge(where)
}

function parseManifest(bytes: Buffer, where: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString())
  } catch (cause) {
    throw new PgpackError('MANIFEST_INVALID', `${where} is not JSON: it is damaged, or not a manifest`, { cause })
  }
  return checkManifestValue(value, where)
}

/** The value as a manifest, whole in itself: known version, unique names, files that stay below the path, right sums. */
function checkManifestValue(value: unknown, where: string): Manifest {
  checkVersion(value, where)
  if (!Check(Manifest, value)) {
    const [, faults] = Errors(Manifest, value)
    const found = faults
      .slice(0, 5)
      .map((fault) => `${fault.instancePath || '/'} ${fault.message}`)
      .join('; ')
    throw new PgpackError('MANIFEST_INVALID', `${where} does not fit its schema: ${found}`, { found })
  }
  const fault = objectsFault(value) ?? totalsFault(value)
  if (fault !== undefined) throw new PgpackError('MANIFEST_INVALID', `${where} contradicts itself: ${fault}`)
  return value
}

function checkVersion(value: unknown, where: string): void {
  if (typeof value !== 'object' || value === null || !('formatVersion' in value)) return
  const { formatVersion } = value
  if (typeof formatVersion !== 'number' || formatVersion <= MANIFEST_VERSION) return
  const found = `format version ${formatVersion}`
  const advice = 'it was written by a later release; read it with that one'
  throw new PgpackError(
    'MANIFEST_INVALID',
    `${where} has ${found}, this release knows ${MANIFEST_VERSION}: ${advice}`,
    {
      expected: `format version ${MANIFEST_VERSION}`,
      found,
    },
  )
}

function objectsFault({ objects }: Manifest): string | undefined {
  const names = new Set<string>()
  const files = new Set<string>([MANIFEST_NAME])
  for (const object of objects) {
    const { name, file } = object
    if (names.has(name)) return `two objects are named ${name}`
    if (files.has(file)) return `${name} has the file ${file}, which is another's`
    if (!isFileName(file)) return `${name} has the file ${JSON.stringify(file)}, which is not a plain file name`
    if (!framesFit(object)) return `the frames of ${name} do not lie in its file one after another`
    names.add(name)
    files.add(file)
  }
  return undefined
}

function framesFit({ bodyOffset, storedBytes, frames }: ManifestObject): boolean {
  let last = -1
  for (const [offset] of frames?.index ?? []) {
    if (offset <= last || offset >= Number(storedBytes)) return false
    last = offset
  }
  return bodyOffset <= Number(storedBytes)
}

/** `escapeObjectName` and an extension: nothing that could lead out of the manifest's folder. */
function isFileName(file: string): boolean {
  return /^[A-Za-z0-9_%~.-]{1,255}$/.test(file) && file !== '.' && file !== '..'
}

function totalsFault(manifest: Manifest): string | undefined {
  const sums = manifestTotals(manifest.objects)
  const wrong = Object.entries(sums).find(([field, sum]) => manifest.totals[field as keyof typeof sums] !== sum)
  if (wrong === undefined) return undefined
  const [field, sum] = wrong
  return `totals.${field} is ${manifest.totals[field as keyof typeof sums]}, its objects sum up to ${sum}`
}

function tooLarge(where: string, size?: number): PgpackError {
  const found = size === undefined ? 'more' : `${size} bytes`
  return new PgpackError('MANIFEST_INVALID', `${where} is larger than ${MAX_MANIFEST_SIZE} bytes`, {
    expected: `at most ${MAX_MANIFEST_SIZE} bytes`,
    found,
  })
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
