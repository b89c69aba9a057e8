import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { PgpackError } from '../../../src/errors.ts'
import { type DumpRunConfig, parseRunConfig, type RestoreRunConfig } from '../../../src/run/config.ts'

const run = { version: 1, namespace: 'app', name: 'nightly', uid: '0b9c' } as const
const database = { secretDir: '/etc/pgpack/database', tls: { mode: 'Require' } } as const
const s3 = {
  type: 'S3',
  endpoint: 'https://minio:9000',
  bucket: 'dumps',
  prefix: '',
  forcePathStyle: true,
  credentialsDir: '/etc/pgpack/store',
} as const

const dump: DumpRunConfig = {
  ...run,
  kind: 'Dump',
  source: database,
  objects: [{ table: { schema: 'public', name: 'orders' } }],
  compression: { method: 'Zstd', level: 3 },
  connections: 2,
  destination: s3,
  path: 'app/nightly-0b9c',
}

const restore: RestoreRunConfig = {
  ...run,
  kind: 'Restore',
  source: { type: 'Filesystem', path: '/var/lib/pgpack/volume' },
  path: 'app/nightly-0b9c/pod-1',
  target: { ...database, host: 'db', port: 5432, database: 'copy' },
  objects: [{ from: 'public.orders', to: { schema: 'public', name: 'orders_copy' } }],
  mode: 'Append',
}

function refusal(config: unknown): PgpackError {
  try {
    parseRunConfig(typeof config === 'string' ? config : JSON.stringify(config))
  } catch (error) {
    if (error instanceof PgpackError) return error
    throw error
  }
  throw new Error('the configuration was accepted')
}

describe('a run configuration that fits', () => {
  it.each([
    ['a dump', dump],
    [
      'a dump of queries, with a level and all of TLS',
      {
        ...dump,
        source: { ...database, tls: { mode: 'VerifyFull', caFile: '/ca', certFile: '/cert', keyFile: '/key' } },
        objects: [
          { query: { name: 'recent', sql: 'select 1' } },
          { table: { schema: 'S c', name: 't"', columns: ['a', 'Ü'], where: 'a > 1' } },
        ],
        destination: { ...s3, region: 'eu-central-1', caFile: '/ca' },
      },
    ],
    ['a restore', restore],
    ['a restore of everything, with what the manifest should be', { ...restore, objects: [], manifestSHA256: 'ab' }],
  ])('%s is read as it was written', (_, config) => {
    expect(parseRunConfig(JSON.stringify(config))).toEqual(config)
  })
})

describe('a run configuration that does not fit', () => {
  it.each<[path: string, config: unknown]>([
    ['/connections', { ...dump, connections: 0 }],
    ['/connections', { ...dump, connections: 1.5 }],
    ['/objects', { ...dump, objects: [] }],
    ['/objects/0/table', { ...dump, objects: [{ table: { schema: 'public' } }] }],
    ['/objects/0/table/columns', { ...dump, objects: [{ table: { schema: 'public', name: 't', columns: [] } }] }],
    ['/objects/1', { ...dump, objects: [...dump.objects, { query: { name: 'q', sql: 'select 1' }, table: {} }] }],
    ['/compression/method', { ...dump, compression: { method: 'Gzip' } }],
    ['/compression/level', { ...dump, compression: { method: 'Zstd', level: 23 } }],
    ['/compression/level', { ...dump, compression: { method: 'Zstd', level: 'auto' } }],
    ['/source/tls/mode', { ...dump, source: { ...database, tls: { mode: 'require' } } }],
    ['/source/port', { ...dump, source: { ...database, port: 65536 } }],
    ['/destination', { ...dump, destination: { type: 'S3', endpoint: 'https://minio:9000' } }],
    ['/mode', { ...restore, mode: 'Merge' }],
    ['/target/port', { ...restore, target: { ...restore.target, port: 0 } }],
    ['/objects/0/to', { ...restore, objects: [{ from: 'public.orders', to: { schema: 'public' } }] }],
    ['/uid', { ...restore, uid: '' }],
    ['/kind', { ...dump, kind: 'Copy' }],
    ['/version', { ...dump, version: 2 }],
  ])('is refused with the path %s', (path, config) => {
    const error = refusal(config)
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
    expect(error.message).toContain(`${path} `)
  })

  it('is not blamed for what only the other kind of run needs', () => {
    expect(refusal({ ...restore, mode: 'Merge' }).message).not.toMatch(/compression|connections|destination|\/kind/)
    expect(refusal({ ...dump, connections: 0 }).message).not.toMatch(/mode|target|destination/)
  })

  it.each([
    ['a field that nobody knows', { ...dump, parallelism: 3 }],
    ["a restore with a dump's fields", { ...restore, destination: dump.destination }],
    ['no kind', { ...dump, kind: undefined }],
  ])('is refused for %s', (_, config) => {
    expect(refusal(config)).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
  })

  it.each(['', 'null', '[]', '42', '"text"', '{', 'not json'])('is refused when it is %j', (text) => {
    expect(refusal(text)).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
  })
})

describe('a secret that strayed into a run configuration', () => {
  const secret = 'hunter2-s3cret'

  it.each<[where: string, config: unknown]>([
    ['beside secretDir', { ...dump, source: { ...database, password: secret } }],
    ['as the TLS mode', { ...dump, source: { ...database, tls: { mode: secret } } }],
    ['as a port', { ...restore, target: { ...database, port: secret } }],
    ['in the store', { ...dump, destination: { ...s3, secretAccessKey: secret } }],
    ['as the whole store', { ...dump, destination: secret }],
    ['as the kind', { ...dump, kind: secret }],
    ['as the whole text', secret],
    ['in text that is no JSON', `{"source": {"password": "${secret}" oops}`],
    ['at the place where JSON ends too early', `{"password": ${secret}`],
  ])('is not echoed: %s', (_, config) => {
    expect(refusal(config).message).not.toContain(secret)
  })

  it('is not echoed wherever it stands', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(dump)),
        fc.constantFrom(secret, [secret], { secret }),
        (field, value) => {
          const config = { ...dump, [field]: value }
          let message = ''
          try {
            parseRunConfig(JSON.stringify(config))
          } catch (error) {
            message = String(error)
          }
          expect(message).not.toContain(secret)
        },
      ),
    )
  })
})
