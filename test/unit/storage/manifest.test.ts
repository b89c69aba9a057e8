import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import {
  checkManifest,
  encodeManifest,
  MANIFEST_NAME,
  MAX_MANIFEST_SIZE,
  type Manifest,
  type ManifestObject,
  manifestTotals,
  readManifest,
  writeManifest,
} from '../../../src/storage/manifest.ts'
import { never, putBytes, sha256 } from '../../support/bytes.ts'

const object: ManifestObject = {
  name: 'public.orders',
  kind: 'Table',
  schema: 'public',
  relation: 'orders',
  file: 'public.orders.pgpack',
  format: 'PGPack',
  compression: { method: 'Zstd', level: 3 },
  columns: [
    {
      name: 'amount',
      type: 'numeric(8,2)',
      typeOid: 1700,
      typmod: 524294,
      notNull: true,
      pgpack: { length: 8, scale: 2, nested: 0 },
    },
  ],
  primaryKey: ['amount'],
  rows: '9007199254740993',
  rawBytes: '123456789012345678901',
  storedBytes: '1000',
  headSHA256: 'a'.repeat(64),
  bodySHA256: 'b'.repeat(64),
  bodyOffset: 120,
  frames: {
    granularity: 2,
    index: [
      [120, 10, 4096],
      [560, 7, 2000],
    ],
  },
}

function manifestOf(objects: ManifestObject[] = [object], changes: Partial<Manifest> = {}): Manifest {
  return {
    formatVersion: 1,
    createdAt: '2026-11-21T12:00:00.000Z',
    generator: { name: 'pgpack-operator', version: '0.1.0' },
    server: { version: '16.4', versionNumber: 160004, flavour: 'PostgreSQL', database: 'shop', clientEncoding: 'UTF8' },
    snapshot: '00000003-0000001B-1',
    run: { namespace: 'shop', name: 'nightly', uid: 'u-1', attempt: 'nightly-x7k2p' },
    objects,
    totals: manifestTotals(objects),
    ...changes,
  }
}

let root: string
let store: FilesystemStore
const path = 'shop/nightly/1'
const fileOf = (name: string) => join(root, path, name)

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'pgpack-manifest-'))
  store = new FilesystemStore(root)
})

afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('a manifest', () => {
  it('comes back as it was written, under the SHA-256 of its bytes', async () => {
    const manifest = manifestOf()
    const written = await writeManifest(store, path, manifest, never())
    expect(written.sha256).toBe(sha256(await readFile(fileOf(MANIFEST_NAME))))
    const expected = { manifest, sha256: written.sha256 }
    expect(await readManifest(store, path, never(), written.sha256)).toEqual(expected)
    expect(await readManifest(store, path, never(), written.sha256.toUpperCase())).toEqual(expected)
    expect(await readManifest(store, path, never())).toEqual(expected)
  })

  it('keeps what is said of formats, types, distribution, isolation and hidden rows', async () => {
    const { frames: _, ...csv } = object
    const told: ManifestObject = {
      ...csv,
      format: 'CSV',
      copyOptions: { delimiter: ';', header: 'Present' },
      distribution: { policy: 'Hash', columns: ['amount'] },
      rowSecurity: true,
    }
    const mood = {
      kind: 'enum' as const,
      oid: 16400,
      schema: 'shop',
      name: 'mood',
      arrayOid: 16399,
      labels: ['sad', ''],
    }
    const manifest = manifestOf([told], { types: [mood], isolation: 'Serializable' })
    await writeManifest(store, path, manifest, never())
    expect(await readManifest(store, path, never())).toMatchObject({ manifest })
  })

  it.each<[what: string, change: object]>([
    ['a format that is not known', { objects: [{ ...object, format: 'XML' }] }],
    ['a distribution that is not known', { objects: [{ ...object, distribution: { policy: 'Odd', columns: [] } }] }],
    ['options that are no object', { objects: [{ ...object, copyOptions: ';' }] }],
    ['a type without a kind', { types: [{ oid: 16400, schema: 'shop', name: 'mood', arrayOid: 0 }] }],
  ])('with %s is refused', (_, change) => {
    expect(() => encodeManifest({ ...manifestOf(), ...change } as Manifest)).toThrow(
      expect.objectContaining({ code: 'MANIFEST_INVALID' }),
    )
  })

  it('may be of an empty dump, and have no path', async () => {
    const { snapshot: _, run: __, ...manifest } = manifestOf([])
    await writeManifest(store, '', manifest, never())
    expect(await readManifest(store, '', never())).toMatchObject({ manifest })
  })

  it('with fields of a later minor release can be read', async () => {
    await writeManifest(store, path, { ...manifestOf(), notes: 'later' } as Manifest, never())
    expect(await readManifest(store, path, never())).toMatchObject({ manifest: manifestOf() })
  })

  it('sums its objects beyond 2^53', () => {
    const totals = manifestTotals([object, { ...object, name: 'public.b', file: 'b' }])
    expect(totals).toEqual({
      objects: 2,
      rows: '18014398509481986',
      rawBytes: '246913578024691357802',
      storedBytes: '2000',
    })
  })
})

describe('a manifest that was tampered with', () => {
  const code = (expected: string, text: string) => ({
    code: expected,
    retryable: false,
    message: expect.stringContaining(text),
  })

  it('is told by its SHA-256, whichever byte it is', async () => {
    const { sha256: expected } = await writeManifest(store, path, manifestOf(), never())
    const bytes = await readFile(fileOf(MANIFEST_NAME))
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const changed = Buffer.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ change
        await writeFile(fileOf(MANIFEST_NAME), changed)
        await expect(readManifest(store, path, never(), expected)).rejects.toMatchObject(
          code('MANIFEST_MISMATCH', expected),
        )
      }),
      { numRuns: 50 },
    )
  })

  it('or cut off anywhere is refused, also when its SHA-256 is not known', async () => {
    await writeManifest(store, path, manifestOf(), never())
    const { length } = await readFile(fileOf(MANIFEST_NAME))
    for (const size of [0, 1, 100, length - 2]) {
      await truncate(fileOf(MANIFEST_NAME), size)
      await expect(readManifest(store, path, never())).rejects.toMatchObject(code('MANIFEST_INVALID', 'not JSON'))
    }
  })

  it('that is missing means an attempt that did not finish', async () => {
    await putBytes(store, `${path}/public.orders.pgpack`, Buffer.from('x'))
    await expect(readManifest(store, path, never())).rejects.toMatchObject(code('MANIFEST_MISSING', 'did not finish'))
  })

  it('that is far too large is not read', async () => {
    await writeManifest(store, path, manifestOf(), never())
    await truncate(fileOf(MANIFEST_NAME), MAX_MANIFEST_SIZE + 1)
    await expect(readManifest(store, path, never())).rejects.toMatchObject(code('MANIFEST_INVALID', 'larger than'))
  })

  const wrong: [string, unknown, string][] = [
    ['nothing', null, 'schema'],
    ['a list', [], 'schema'],
    ['a later version', { ...manifestOf(), formatVersion: 2 }, 'later release'],
    ['no version', { ...manifestOf(), formatVersion: undefined }, 'formatVersion'],
    [
      'an unknown method',
      manifestOf([{ ...object, compression: { method: 'Brotli' as 'Zstd' } }]),
      '/objects/0/compression',
    ],
    ['a count that is a number', { ...manifestOf(), objects: [{ ...object, rows: 5 }] }, '/objects/0/rows'],
    ['a negative count', { ...manifestOf(), objects: [{ ...object, rows: '-5' }] }, '/objects/0/rows'],
    ['a hash that is none', manifestOf([{ ...object, bodySHA256: 'B'.repeat(64) }]), '/objects/0/bodySHA256'],
    ['another encoding', { ...manifestOf(), server: { ...manifestOf().server, clientEncoding: 'LATIN1' } }, '/server'],
    ['wrong totals', manifestOf([object], { totals: { ...manifestTotals([object]), rows: '1' } }), 'totals.rows is 1'],
    [
      'a wrong number of objects',
      manifestOf([object], { totals: { ...manifestTotals([object]), objects: 2 } }),
      'totals',
    ],
    ['two objects of one name', manifestOf([object, { ...object, file: 'b' }]), 'two objects are named public.orders'],
    ['two objects in one file', manifestOf([object, { ...object, name: 'b' }]), "another's"],
    ['an object in the manifest itself', manifestOf([{ ...object, file: MANIFEST_NAME }]), "another's"],
    ['a file elsewhere', manifestOf([{ ...object, file: '../../secret' }]), 'not a plain file name'],
    ['a file that is the folder', manifestOf([{ ...object, file: '..' }]), 'not a plain file name'],
    ['a file with an absolute path', manifestOf([{ ...object, file: '/etc/passwd' }]), 'not a plain file name'],
    ['a body beyond the file', manifestOf([{ ...object, bodyOffset: 1001 }]), 'frames of public.orders'],
    [
      'frames beyond the file',
      manifestOf([{ ...object, frames: { granularity: 1, index: [[1000, 1, 1]] } }]),
      'frames of public.orders',
    ],
    [
      'frames out of order',
      manifestOf([
        {
          ...object,
          frames: {
            granularity: 1,
            index: [
              [500, 1, 1],
              [500, 1, 1],
            ],
          },
        },
      ]),
      'frames of public.orders',
    ],
  ]

  it.each(wrong)('that says %s is MANIFEST_INVALID, and is never written', async (_what, value, text) => {
    await putBytes(store, `${path}/${MANIFEST_NAME}`, Buffer.from(JSON.stringify(value)))
    await expect(readManifest(store, path, never())).rejects.toMatchObject(code('MANIFEST_INVALID', text))
    expect(() => encodeManifest(value as Manifest)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }))
  })
})

describe('the commit point', () => {
  /** A store that keeps other bytes than it was given. */
  class ForgetfulStore extends FilesystemStore {
    readonly change: (bytes: Buffer) => Buffer

    constructor(folder: string, change: (bytes: Buffer) => Buffer) {
      super(folder)
      this.change = change
    }

    override upload(...args: Parameters<FilesystemStore['upload']>) {
      const upload = super.upload(...args)
      const write = upload.write.bind(upload)
      upload.write = (chunk) => write(this.change(chunk))
      return upload
    }
  }

  it.each([
    ['other bytes', (bytes: Buffer) => Buffer.from(bytes).fill('x', 10, 11)],
    ['fewer bytes', (bytes: Buffer) => bytes.subarray(0, -1)],
    ['more bytes', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from(' ')])],
  ])('is not passed when the store keeps %s: the manifest goes', async (_what, change) => {
    const forgetful = new ForgetfulStore(root, change)
    await expect(writeManifest(forgetful, path, manifestOf(), never())).rejects.toMatchObject({
      code: 'MANIFEST_MISMATCH',
    })
    await expect(readManifest(store, path, never())).rejects.toMatchObject({ code: 'MANIFEST_MISSING' })
  })

  it('is not passed after the signal', async () => {
    await expect(writeManifest(store, path, manifestOf(), AbortSignal.abort())).rejects.toMatchObject({
      code: 'CANCELLED',
    })
    await expect(readManifest(store, path, never())).rejects.toMatchObject({ code: 'MANIFEST_MISSING' })
  })
})

describe('checking the files', () => {
  const { frames: _, ...withoutFrames } = object
  const roundtrip = async (manifest: Manifest) => {
    await writeManifest(store, path, manifest, never())
    return readManifest(store, path, never())
  }
  const files = Array.from({ length: 30 }, (_, n) => ({ ...object, name: `public.t${n}`, file: `public.t${n}.pgpack` }))

  beforeEach(async () => {
    for (const { file } of files) await putBytes(store, `${path}/${file}`, Buffer.alloc(1000))
  })

  it('passes when all are there with their sizes', async () => {
    await checkManifest(store, path, manifestOf(files), never())
    await checkManifest(store, path, manifestOf([]), never())
  })

  it.each([999, 1001, 0])('names the file that has %i bytes', async (size) => {
    await truncate(fileOf('public.t17.pgpack'), size)
    await expect(checkManifest(store, path, manifestOf(files), never())).rejects.toMatchObject({
      code: 'MANIFEST_MISMATCH',
      message: expect.stringContaining(`public.t17.pgpack, the file of public.t17, has ${size} bytes`),
      details: { expected: '1000 bytes', found: `${size} bytes` },
    })
  })

  it('asks for none that the segments of a Greenplum hold', async () => {
    const segments = {
      path: '/data/<SEGID>.csv',
      files: [
        { segment: 0, host: 'sdw1', path: '/data/0.csv', bytes: '9007199254740993' },
        { segment: 1, host: 'sdw2', path: '/data/1.csv' },
      ],
    }
    const away = {
      ...withoutFrames,
      name: 'public.far',
      file: 'public.far.csv',
      storedBytes: '0',
      bodyOffset: 0,
      segments,
    }
    const { manifest } = await roundtrip(manifestOf([...files, away]))
    expect(manifest.objects.at(-1)?.segments).toEqual(segments)
    await checkManifest(store, path, manifest, never())
  })

  it('names the file that is missing', async () => {
    await rm(fileOf('public.t29.pgpack'))
    await expect(checkManifest(store, path, manifestOf(files), never())).rejects.toMatchObject({
      code: 'MANIFEST_MISMATCH',
      message: expect.stringContaining('public.t29, is missing'),
    })
  })
})
