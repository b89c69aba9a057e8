import { createHash } from 'node:crypto'
import { readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { CompressionOptions } from '../../../src/compression/method.ts'
import { dump } from '../../../src/engine/dump.ts'
import { restore } from '../../../src/engine/restore.ts'
import type { PgpackError } from '../../../src/errors.ts'
import type { ArtifactRef } from '../../../src/run/result.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { readManifest } from '../../../src/storage/manifest.ts'
import type { ObjectStore, ObjectUpload } from '../../../src/storage/store.ts'
import { VERSION } from '../../../src/version.ts'
import { failureOf, fingerprint, keysIn, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

const FILE = 'public.orders.pgpack'
jest.setTimeout(60_000)

const postgres = usePostgres({
  setup: `
    CREATE TABLE orders (id int PRIMARY KEY, price numeric(8,2) NOT NULL, note text);
    INSERT INTO orders SELECT i, i / 4.0, 'note ' || i FROM generate_series(1, 5000) i;
    CREATE TABLE orders_copy (LIKE orders); INSERT INTO orders_copy VALUES (0, 0, 'old row');`,
})
const folder = useFolder()
const never = new AbortController().signal
const to = [{ from: 'public.orders', to: { schema: 'public', name: 'orders_copy' } }]

let store: FilesystemStore
beforeEach(() => {
  store = new FilesystemStore(folder.path)
})

async function dumpOrders(
  compression: CompressionOptions = { method: 'Zstd' },
  into: ObjectStore = store,
): Promise<ArtifactRef> {
  const objects = [{ table: { schema: 'public', name: 'orders' } }]
  const run = { namespace: 'app', name: 'nightly', uid: 'uid-1', attempt: 'pod-1' }
  const request = {
    source: postgres.database.config,
    objects,
    connections: 1,
    compression,
    store: into,
    path: 'run/pod-1',
    run,
  }
  return (await dump(request, testContext())).artifact
}

const restoreOrders = (artifact: ArtifactRef) =>
  restore(
    { store, ...artifact, target: postgres.database.config, mode: 'Append', objects: to, runId: 'uid-2' },
    testContext(),
  )

const inArtifact = (name: string) => join(folder.path, 'run/pod-1', name)

describe('the manifest of a dump', () => {
  it('says what the dump is of, what lies where, and is what the run reports', async () => {
    const artifact = await dumpOrders({ method: 'Zstd', level: 5 })
    const bytes = await readFile(inArtifact('manifest.json'))
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(artifact.manifestSHA256)
    const { manifest } = await readManifest(store, artifact.path, never, artifact.manifestSHA256)
    const file = await readFile(inArtifact(FILE))
    const [object] = manifest.objects
    const bodyOffset = object?.bodyOffset ?? 0
    const sha256 = (part: Buffer) => createHash('sha256').update(part).digest('hex')
    expect(manifest).toMatchObject({
      formatVersion: 1,
      generator: { version: VERSION },
      server: { flavour: 'PostgreSQL', database: postgres.database.name, clientEncoding: 'UTF8' },
      run: { namespace: 'app', name: 'nightly', uid: 'uid-1', attempt: 'pod-1' },
      totals: { objects: 1, rows: '5000', storedBytes: String(file.length) },
    })
    expect(Date.parse(manifest.createdAt)).toBeGreaterThan(Date.now() - 60_000)
    expect(object).toMatchObject({
      name: 'public.orders',
      kind: 'Table',
      schema: 'public',
      relation: 'orders',
      file: FILE,
      compression: { method: 'Zstd', level: 5 },
      columns: [
        { name: 'id', type: 'integer', typeOid: 23, typmod: -1, notNull: true },
        { name: 'price', type: 'numeric(8,2)', typeOid: 1700, notNull: true },
        { name: 'note', type: 'text', typeOid: 25, notNull: false },
      ],
      primaryKey: ['id'],
      rows: '5000',
      storedBytes: String(file.length),
      headSHA256: sha256(file.subarray(0, bodyOffset)),
      bodySHA256: sha256(file.subarray(bodyOffset)),
    })
  })

  it('has a frame index: where each frame starts in the body, with the rows and raw bytes before it', async () => {
    await postgres.database.query(
      `INSERT INTO orders SELECT i, 0, repeat('x', 1000) FROM generate_series(5001, 9000) i`,
    )
    const { path } = await dumpOrders({ method: 'None' })
    const { manifest } = await readManifest(store, path, never)
    const { granularity, index } = manifest.objects[0]?.frames ?? { granularity: 0, index: [] }
    expect(granularity).toBe(1)
    expect(index.length).toBeGreaterThan(3)
    expect(index[0]).toEqual([0, 0, 0])
    // Uncompressed, the stored body is the raw one.
    expect(index.every(([offset, , raw]) => offset === raw)).toBe(true)
    const steps = index
      .slice(1)
      .map(([offset, rows], at) => [offset - (index[at]?.[0] ?? 0), rows - (index[at]?.[1] ?? 0)])
    expect(steps.flat().every((step) => step > 0)).toBe(true)
    expect(index.at(-1)?.[1]).toBeLessThanOrEqual(9000)
  })

  it('holds no password and no host', async () => {
    await dumpOrders()
    const text = await readFile(inArtifact('manifest.json'), 'utf8')
    expect(text).not.toContain(postgres.server.password)
    expect(text).not.toContain(String(postgres.server.port))
  })

  it('is written last, after every file is complete', async () => {
    const completed: string[] = []
    const watching = new Proxy(store, {
      get: (target, name) =>
        name === 'upload'
          ? (...args: Parameters<ObjectStore['upload']>) => noteCompletion(target.upload(...args), args[0], completed)
          : bound(target, name),
    })
    await dumpOrders({ method: 'None' }, watching)
    expect(completed).toEqual([`run/pod-1/${FILE}`, 'run/pod-1/manifest.json'])
    expect(await keysIn(store)).toEqual(['run/pod-1/manifest.json', `run/pod-1/${FILE}`])
  })
})

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name)
  return typeof value === 'function' ? value.bind(target) : value
}

function noteCompletion(upload: ObjectUpload, key: string, completed: string[]): ObjectUpload {
  return new Proxy(upload, {
    get: (target, name) =>
      name === 'complete'
        ? async (head?: Buffer) => {
            const info = await target.complete(head)
            completed.push(key)
            return info
          }
        : bound(target, name),
  })
}

describe('a restore refuses before a row moves', () => {
  let artifact: ArtifactRef
  beforeEach(async () => {
    artifact = await dumpOrders({ method: 'None' })
  })

  async function refusal(reference = artifact): Promise<PgpackError> {
    const before = await fingerprint(postgres.database, 'orders_copy')
    const error = await failureOf(restoreOrders(reference))
    expect(await fingerprint(postgres.database, 'orders_copy')).toEqual(before)
    const [ledger] = await postgres.database.query(`SELECT to_regnamespace('pgpack') AS schema`)
    expect(ledger).toEqual({ schema: null })
    expect(error.retryable).toBe(false)
    return error
  }

  it('a manifest that is not the one that the dump reported', async () => {
    const error = await refusal({ ...artifact, manifestSHA256: 'ab'.repeat(32) })
    expect(error).toMatchObject({ code: 'MANIFEST_MISMATCH', details: { found: artifact.manifestSHA256 } })
  })

  it('a manifest that was changed by one digit', async () => {
    const text = await readFile(inArtifact('manifest.json'), 'utf8')
    await writeFile(inArtifact('manifest.json'), text.replace('"rows":"5000"', '"rows":"5001"'))
    expect(await refusal()).toMatchObject({ code: 'MANIFEST_MISMATCH' })
  })

  it('a manifest that contradicts itself, where no digest is known', async () => {
    const text = await readFile(inArtifact('manifest.json'), 'utf8')
    await writeFile(inArtifact('manifest.json'), text.replace('"rows":"5000"', '"rows":"5001"'))
    const { manifestSHA256, ...known } = artifact
    const error = await failureOf(
      restore({ store, ...known, target: postgres.database.config, mode: 'Append', objects: to }, testContext()),
    )
    expect(error).toMatchObject({ code: 'MANIFEST_INVALID', retryable: false })
    expect(manifestSHA256).toHaveLength(64)
  })

  it('no manifest at all: an attempt that did not finish', async () => {
    await rm(inArtifact('manifest.json'))
    const error = await refusal()
    expect(error).toMatchObject({ code: 'MANIFEST_MISSING', reason: 'ArtifactIncomplete' })
    expect(error.message).toContain('run/pod-1/manifest.json')
  })

  it('a manifest that is no JSON', async () => {
    await writeFile(inArtifact('manifest.json'), 'half a manif')
    const { code } = await failureOf(
      restore(
        { store, path: artifact.path, target: postgres.database.config, mode: 'Append', objects: to },
        testContext(),
      ),
    )
    expect(code).toBe('MANIFEST_INVALID')
  })

  it('a file that is missing', async () => {
    await rm(inArtifact(FILE))
    const error = await refusal()
    expect(error.code).toBe('MANIFEST_MISMATCH')
    expect(error.message).toContain('public.orders')
  })

  it('a file of another size', async () => {
    const { length } = await readFile(inArtifact(FILE))
    await truncate(inArtifact(FILE), length - 1)
    const error = await refusal()
    expect(error.code).toBe('MANIFEST_MISMATCH')
    expect(error.message).toContain(`${length - 1} bytes`)
    expect(error.message).toContain(`${length}`)
  })

  it('an object that the dump does not hold, with those that it does', async () => {
    const error = await failureOf(
      restore(
        {
          store,
          ...artifact,
          target: postgres.database.config,
          mode: 'Append',
          objects: [{ from: 'public.order', to: { schema: 'public', name: 'orders_copy' } }],
        },
        testContext(),
      ),
    )
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
    expect(error.message).toContain('public.orders')
  })
})

describe('a restore keeps no row of', () => {
  const FOREIGN = 'run/pod-2'

  it.each<[CompressionOptions]>([[{ method: 'None' }], [{ method: 'LZ4' }], [{ method: 'Zstd' }]])(
    'a file with one flipped bit in a value, stored as %j',
    async (compression) => {
      const artifact = await dumpOrders(compression)
      const bytes = await readFile(inArtifact(FILE))
      // In the text "note 4711" where nothing is compressed: every length and every structure stays as it was.
      const at = compression.method === 'None' ? bytes.indexOf('note 4711') + 8 : Math.floor(bytes.length * 0.7)
      bytes[at] = (bytes[at] ?? 0) ^ 1
      await writeFile(inArtifact(FILE), bytes)
      const before = await fingerprint(postgres.database, 'orders_copy')
      const error = await failureOf(restoreOrders(artifact))
      expect(error).toMatchObject({ reason: 'ArtifactCorrupt', retryable: false })
      expect(await fingerprint(postgres.database, 'orders_copy')).toEqual(before)
    },
  )

  it('a whole file of the same size that is not the one in the manifest', async () => {
    const artifact = await dumpOrders({ method: 'None' })
    await postgres.database.query(`UPDATE orders SET note = 'n0te ' || id`)
    const request = {
      source: postgres.database.config,
      connections: 1,
      store,
      compression: { method: 'None' },
    } as const
    await dump({ ...request, objects: [{ table: { schema: 'public', name: 'orders' } }], path: FOREIGN }, testContext())
    await rename(join(folder.path, FOREIGN, FILE), inArtifact(FILE))
    const before = await fingerprint(postgres.database, 'orders_copy')
    const error = await failureOf(restoreOrders(artifact))
    expect(error).toMatchObject({ code: 'MANIFEST_MISMATCH', retryable: false })
    expect(await fingerprint(postgres.database, 'orders_copy')).toEqual(before)
  })

  it('a file whose head is another than the manifest says', async () => {
    const artifact = await dumpOrders({ method: 'None' })
    await postgres.database.query('ALTER TABLE orders RENAME price TO costs')
    const request = {
      source: postgres.database.config,
      connections: 1,
      store,
      compression: { method: 'None' },
    } as const
    await dump({ ...request, objects: [{ table: { schema: 'public', name: 'orders' } }], path: FOREIGN }, testContext())
    await rename(join(folder.path, FOREIGN, FILE), inArtifact(FILE))
    const before = await fingerprint(postgres.database, 'orders_copy')
    expect(await failureOf(restoreOrders(artifact))).toMatchObject({ code: 'MANIFEST_MISMATCH' })
    expect(await fingerprint(postgres.database, 'orders_copy')).toEqual(before)
  })
})
