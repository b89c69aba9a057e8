import { describe, expect, it } from '@jest/globals'
import { customResourceDefinitions } from '../../../../src/api/v1alpha1/crd.ts'
import { DUMPS, RESTORES, TRANSFERS } from '../../../../src/operator/controllers/kinds.ts'
import type { Resource } from '../../../../src/operator/manager/resources.ts'
import type { DumpRun, RestoreRun, Run } from '../../../../src/operator/specs/run.ts'
import { useApiServer } from '../../../support/use-api-server.ts'
import { TestCluster } from './cluster.ts'
import { dump, restore, transfer } from './manifests.ts'

let cluster: TestCluster
let namespace: string
let runs = 0

useApiServer(TestCluster.shared, (shared, fresh) => {
  cluster = shared
  namespace = fresh
})

const createDump = (spec: object) =>
  cluster.client.create(DUMPS, dump(namespace, `dump-${++runs}`, spec as Partial<DumpRun['spec']>) as DumpRun)
const createRestore = (spec: object) =>
  cluster.client.create(
    RESTORES,
    restore(namespace, `restore-${++runs}`, spec as Partial<RestoreRun['spec']>) as RestoreRun,
  )

describe('the CRDs on a real API server', () => {
  it.each(customResourceDefinitions.map(({ metadata }) => metadata.name))(
    '%s is established and structural',
    async (name) => {
      const conditions = await cluster.crdConditions(name)
      expect(conditions).toMatchObject({ Established: 'True', NamesAccepted: 'True' })
      expect(conditions).not.toHaveProperty('NonStructuralSchema')
    },
  )

  it('defaults what a user left out of a dump', async () => {
    const { spec } = await createDump({ source: { secretRef: { name: 'db' }, tls: {} } })
    expect(spec).toMatchObject({
      objects: [{ table: { schema: 'public', name: 'orders' } }],
      compression: { method: 'Zstd' },
      parallelism: { connections: 1 },
      destination: { s3: { forcePathStyle: true } },
      job: { backoffLimit: 3, pendingDeadlineSeconds: 600, ttlSecondsAfterFinished: 86400 },
    })
  })

  it('defaults what a user left out of a restore', async () => {
    const { spec } = await createRestore({ objects: [{ from: 'public.orders', to: { name: 'copy' } }] })
    expect(spec).toMatchObject({
      mode: 'Append',
      objects: [{ from: 'public.orders', to: { schema: 'public', name: 'copy' } }],
      job: { backoffLimit: 3 },
    })
  })

  it('takes a spec whose lists and strings are at their bounds', async () => {
    const columns = Array.from({ length: 100 }, (_, index) => `column ${index}`.padEnd(63, 'é'))
    const objects = Array.from({ length: 64 }, (_, index) => ({ table: { name: `t${index}`, columns } }))
    await expect(createDump({ objects })).resolves.toMatchObject({ spec: { objects } })
  })

  const s3 = { endpoint: 'https://s3.example', bucket: 'bucket', credentialsSecretRef: { name: 's3' } }
  const volume = { claimName: 'claim' }
  const query = { name: 'q', sql: 'SELECT 1' }

  it.each([
    [
      'an object that is table and query',
      { objects: [{ table: { name: 't' }, query }] },
      'exactly one of table, tables, query must be set',
    ],
    ['an object that is nothing', { objects: [{}] }, 'exactly one of table, tables, query must be set'],
    ['two destinations', { destination: { s3, volume } }, 'exactly one of s3, volume must be set'],
    ['no destination', { destination: {} }, 'exactly one of s3, volume must be set'],
    ['a level for LZ4', { compression: { method: 'LZ4', level: 3 } }, 'compression.level is for Zstd only'],
    ['a level beyond 22', { compression: { level: 23 } }, 'compression.level is a number from 1 to 22, or Auto'],
    [
      'VerifyFull without an authority',
      { source: { secretRef: { name: 'db' }, tls: { mode: 'VerifyFull' } } },
      'tls.mode VerifyCA and VerifyFull need tls.caSecretRef',
    ],
    [
      'a folder that climbs',
      { destination: { volume: { claimName: 'c', path: 'a/../../b' } } },
      "must not contain the segment '.' or '..'",
    ],
    ['a prefix from the root', { destination: { s3: { ...s3, prefix: '/a' } } }, 'prefix'],
    ['a prefix with an empty segment', { destination: { s3: { ...s3, prefix: 'a//b' } } }, 'prefix'],
    ['an endpoint that is no URL', { destination: { s3: { ...s3, endpoint: 'minio:9000' } } }, 'endpoint'],
    ['a Secret whose name cannot exist', { source: { secretRef: { name: 'No Such' } } }, 'secretRef.name'],
    ['no objects', { objects: [] }, 'should have at least 1 items'],
    ['an unknown compression', { compression: { method: 'Gzip' } }, 'Unsupported value'],
  ])('refuses a dump with %s', async (_, spec, message) => {
    await expect(createDump(spec)).rejects.toThrow(message)
  })

  it.each([
    [
      'dumpRef and s3',
      { source: { dumpRef: { name: 'd' }, s3, path: 'p' } },
      'exactly one of dumpRef, s3, volume must be set',
    ],
    ['nothing to read', { source: {} }, 'exactly one of dumpRef, s3, volume must be set'],
    ['s3 without a path', { source: { s3 } }, 'source.path goes with s3 or volume and is required there'],
    ['a path with dumpRef', { source: { dumpRef: { name: 'd' }, path: 'p' } }, 'source.path goes with s3 or volume'],
    [
      'the same object twice',
      {
        objects: [
          { from: 'a', to: { name: 'b' } },
          { from: 'a', to: { name: 'c' } },
        ],
      },
      'Duplicate',
    ],
    ['an unknown mode', { mode: 'Merge' }, 'Unsupported value'],
  ])('refuses a restore with %s', async (_, spec, message) => {
    await expect(createRestore(spec)).rejects.toThrow(message)
  })

  it.each([
    ['objects', { objects: [{ table: { name: 'other' } }] }],
    ['the destination', { destination: { s3: { ...s3, bucket: 'another' } } }],
    ['the memory limit', { job: { resources: { limits: { memory: '2Gi' } } } }],
    ['the affinity', { job: { affinity: { podAffinity: {} } } }],
    ['a toleration', { job: { tolerations: [{ key: 'b' }] } }],
    ['a node selector', { job: { nodeSelector: { a: 'c' } } }],
  ])('refuses to change %s of a dump', async (_, change) => {
    const { metadata } = await createDump({
      destination: { s3 },
      job: {
        resources: { limits: { memory: '1Gi' } },
        affinity: { nodeAffinity: {} },
        tolerations: [{ key: 'a' }],
        nodeSelector: { a: 'b' },
      },
    })
    await expect(cluster.client.patch(DUMPS, metadata, { spec: change })).rejects.toThrow(
      'spec is immutable except for suspend, deletionPolicy: create a new resource for a new run',
    )
  })

  it('refuses to remove an optional part of a spec', async () => {
    const { metadata } = await createDump({ source: { secretRef: { name: 'db' }, tls: { mode: 'Require' } } })
    await expect(cluster.client.patch(DUMPS, metadata, { spec: { source: { tls: null } } })).rejects.toThrow(
      'immutable',
    )
  })

  it('lets suspend change, and appear and vanish', async () => {
    const { metadata } = await createDump({})
    for (const suspend of [true, false, null]) {
      const { spec } = await cluster.client.patch(DUMPS, metadata, { spec: { suspend } })
      expect(spec.suspend ?? null).toBe(suspend)
    }
  })

  it('keeps a status out of what a user creates', async () => {
    const created = await cluster.client.create(DUMPS, {
      ...(dump(namespace, `dump-${++runs}`) as DumpRun),
      status: { phase: 'Succeeded' },
    })
    expect(created.status).toBeUndefined()
  })
})

describe('what is no such resource', () => {
  const create = (resource: Resource<Run>, manifest: object) =>
    cluster.client.rest.json({
      method: 'POST',
      path: `/apis/pgpack.io/v1alpha1/namespaces/${namespace}/${resource.plural}`,
      query: { fieldValidation: 'Strict' },
      body: manifest,
    })
  const broken = (spec: object) => create(DUMPS, dump(namespace, 'broken', spec as Partial<DumpRun['spec']>))

  it.each([
    ['an unknown field', { nonsense: true }, 'unknown field "spec.nonsense"'],
    ['a misspelt field far down', { source: { secretRef: { name: 'a' }, tls: { mod: 'Require' } } }, 'unknown field'],
    ['a string for a list', { objects: 'orders' }, 'spec.objects'],
    ['a number that is none', { parallelism: { connections: 'many' } }, 'spec.parallelism.connections'],
    ['connections beyond the bound', { parallelism: { connections: 65 } }, 'less than or equal to 64'],
    ['a name of 64 characters', { objects: [{ table: { name: 'é'.repeat(64) } }] }, 'may not be more than 63'],
    ['65 objects', { objects: Array(65).fill({ table: { name: 't' } }) }, 'must have at most 64 items'],
    ['a deletion policy of its own', { deletionPolicy: 'Shred' }, 'supported values: "Retain", "Delete"'],
    ['options of COPY for PGPack', { copyOptions: { delimiter: ';' } }, 'a PGPack file has none'],
    ['null for an object', { source: null }, 'spec.source'],
  ])('is %s, and the message says so', async (_, spec, message) => {
    await expect(broken(spec)).rejects.toThrow(message)
  })

  it('is a run mode, a connection count and a mapping that cannot be, of a transfer', async () => {
    const refused = (spec: object, message: string) =>
      expect(create(TRANSFERS, transfer(namespace, 'broken', spec))).rejects.toThrow(message)
    await refused({ runMode: 'Sleepwalk' }, 'supported values')
    await refused({ transaction: 'All', parallelism: { connections: 2 } }, 'transaction All goes with one connection')
    await refused({ objects: [{ query: { name: 'q', sql: 'SELECT 1' } }] }, 'a query has no table of its own')
    await refused({ objects: [{ table: { name: 't' }, toSchema: 's' }] }, 'toSchema goes with tables')
  })
})
