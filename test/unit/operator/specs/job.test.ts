import { describe, expect, it } from '@jest/globals'
import { buildConfigMap } from '../../../../src/operator/specs/configmap.ts'
import { buildJob, buildRemovalJob } from '../../../../src/operator/specs/job.ts'
import { childName } from '../../../../src/operator/specs/names.ts'
import type { DumpRun, RestoreRun, TransferRun } from '../../../../src/operator/specs/run.ts'
import {
  dumpLocation,
  planDump,
  planRemoval,
  planRestore,
  planTransfer,
} from '../../../../src/operator/specs/runconfig.ts'
import { parseRunConfig } from '../../../../src/run/config.ts'
import { dumpRun, restoreRun, transferRun, UID } from '../controllers/fixtures.ts'

const SETTINGS = { image: 'registry.example/pgpack-operator:1.2.3', imagePullPolicy: 'IfNotPresent' } as const

function build(spec: Partial<DumpRun['spec']> = {}, turn = { incarnation: 1, attemptsBefore: 0 }) {
  const run = dumpRun(spec)
  const job = buildJob(run, planDump(run).mounts, SETTINGS, turn)
  const pod = job.spec?.template.spec
  const container = pod?.containers[0]
  if (pod === undefined || container === undefined) throw new Error('the Job has no container')
  return { job, spec: job.spec, pod, container }
}

describe('the Job of a run', () => {
  it('is owned by its run, and says whose it is', () => {
    const { job } = build()
    expect(job.metadata).toMatchObject({
      name: 'orders-dump-1a2b3c4d',
      namespace: 'shop',
      labels: { 'app.kubernetes.io/managed-by': 'pgpack-operator', 'pgpack.io/dump': 'orders' },
      annotations: { 'pgpack.io/run': 'orders', 'pgpack.io/attempts-before': '0' },
      ownerReferences: [{ kind: 'PGPackDump', name: 'orders', uid: UID, controller: true, blockOwnerDeletion: true }],
    })
    expect(job.spec?.template.metadata).toMatchObject({
      labels: { 'pgpack.io/dump': 'orders' },
      annotations: { 'pgpack.io/run': 'orders' },
    })
  })

  it('runs one pod at a time and ends at once where a retry cannot help', () => {
    const { spec } = build()
    expect(spec).toMatchObject({ completions: 1, parallelism: 1, backoffLimit: 3, podReplacementPolicy: 'Failed' })
    expect(spec?.podFailurePolicy?.rules).toEqual([
      { action: 'FailJob', onExitCodes: { containerName: 'engine', operator: 'In', values: [42] } },
      { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
      { action: 'Ignore', onExitCodes: { containerName: 'engine', operator: 'In', values: [143] } },
    ])
  })

  it('keeps its result until that was recorded', () => {
    expect(build({ job: { ttlSecondsAfterFinished: 1 } }).spec?.ttlSecondsAfterFinished).toBeUndefined()
  })

  it('passes the restricted Pod Security Standard', () => {
    const { pod, container } = build()
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65532,
      fsGroup: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    const kinds = pod.volumes?.flatMap((volume) => Object.keys(volume).filter((key) => key !== 'name'))
    expect(new Set(kinds)).toEqual(new Set(['secret', 'configMap', 'emptyDir']))
  })

  it('has no Kubernetes credentials, and time to clean up', () => {
    const { pod } = build()
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 30,
    })
  })

  it('holds no secret in its environment or arguments, only the name of its attempt', () => {
    const { container } = build()
    expect(container.args).toEqual(['run'])
    expect(container.env).toEqual([{ name: 'PGPACK_ATTEMPT', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }])
    expect(container.command).toBeUndefined()
  })

  it('mounts Secrets as files that only its group can read', () => {
    const { pod, container } = build({
      source: {
        secretRef: { name: 'db' },
        tls: { mode: 'VerifyFull', caSecretRef: { name: 'ca', key: 'root.pem' }, certSecretRef: { name: 'client' } },
      },
    })
    expect(pod.volumes).toEqual(
      expect.arrayContaining([
        { name: 'database', secret: { secretName: 'db', defaultMode: 0o440 } },
        {
          name: 'database-ca',
          secret: { secretName: 'ca', defaultMode: 0o440, items: [{ key: 'root.pem', path: 'ca.crt' }] },
        },
        { name: 'database-cert', secret: { secretName: 'client', defaultMode: 0o440 } },
        { name: 'store', secret: { secretName: 'minio', defaultMode: 0o440 } },
        { name: 'config', configMap: { name: 'orders-dump-1a2b3c4d' } },
      ]),
    )
    const paths = Object.fromEntries((container.volumeMounts ?? []).map(({ name, mountPath }) => [name, mountPath]))
    expect(paths).toEqual({
      database: '/etc/pgpack/database',
      'database-ca': '/etc/pgpack/database-ca',
      'database-cert': '/etc/pgpack/database-cert',
      store: '/etc/pgpack/store',
      config: '/etc/pgpack/config',
      tmp: '/tmp',
    })
    expect(container.volumeMounts?.filter(({ readOnly }) => readOnly !== true).map(({ name }) => name)).toEqual(['tmp'])
  })

  it('has resources unless the user says otherwise', () => {
    expect(build().container.resources).toEqual({
      requests: { cpu: '250m', memory: '192Mi' },
      limits: { memory: '512Mi' },
    })
    const resources = { limits: { memory: '1Gi' } }
    expect(build({ job: { resources } }).container.resources).toEqual(resources)
  })

  it('takes over what the user says of it, except what tells whose it is', () => {
    const { job, spec, pod } = build({
      job: {
        labels: { team: 'shop', 'pgpack.io/dump': 'forged' },
        annotations: { note: 'n', 'pgpack.io/run': 'forged', 'pgpack.io/attempts-before': '-9' },
        serviceAccountName: 'sa',
        priorityClassName: 'low',
        nodeSelector: { disk: 'ssd' },
        tolerations: [{ key: 'batch' }],
        affinity: { nodeAffinity: {} },
        imagePullSecrets: [{ name: 'pull' }],
        backoffLimit: 0,
        activeDeadlineSeconds: 60,
      },
    })
    expect(job.metadata?.labels).toMatchObject({ team: 'shop', 'pgpack.io/dump': 'orders' })
    expect(job.metadata?.annotations).toEqual({
      note: 'n',
      'pgpack.io/run': 'orders',
      'pgpack.io/attempts-before': '0',
    })
    expect(spec).toMatchObject({ backoffLimit: 0, activeDeadlineSeconds: 60 })
    expect(pod).toMatchObject({
      serviceAccountName: 'sa',
      priorityClassName: 'low',
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ key: 'batch' }],
      affinity: { nodeAffinity: {} },
      imagePullSecrets: [{ name: 'pull' }],
    })
  })

  it.each([
    [2, 1, 2],
    [4, 3, 0],
    [5, 9, 0],
  ])('of incarnation %i after %i attempts has %i retries left', (incarnation, attemptsBefore, backoffLimit) => {
    const { job, spec } = build({}, { incarnation, attemptsBefore })
    expect(job.metadata?.name).toBe(`orders-dump-1a2b3c4d-${incarnation}`)
    expect(job.metadata?.annotations?.['pgpack.io/attempts-before']).toBe(String(attemptsBefore))
    expect(spec?.backoffLimit).toBe(backoffLimit)
  })

  it('is the same whenever it is built', () => expect(build().job).toEqual(build().job))
})

describe('the configuration of a dump', () => {
  const configOf = (spec: Partial<DumpRun['spec']>) => {
    const run = dumpRun(spec)
    return parseRunConfig(buildConfigMap(run, childName(run), planDump(run).config).data?.['run.json'] ?? '')
  }

  it('is what the engine reads, defaults included', () => {
    expect(configOf({})).toEqual({
      version: 1,
      kind: 'Dump',
      namespace: 'shop',
      name: 'orders',
      uid: UID,
      source: { secretDir: '/etc/pgpack/database', tls: {} },
      objects: [{ table: { schema: 'public', name: 'orders' } }],
      compression: { method: 'Zstd' },
      connections: 1,
      destination: {
        type: 'S3',
        endpoint: 'http://minio:9000',
        bucket: 'b-1',
        prefix: '',
        forcePathStyle: true,
        credentialsDir: '/etc/pgpack/store',
      },
      path: 'shop/orders-1a2b3c4d',
    })
  })

  it('takes over every part of a spec', () => {
    const config = configOf({
      runMode: 'DryRun',
      session: {
        isolation: 'Serializable',
        statementTimeoutSeconds: 5,
        settings: [{ name: 'work_mem', value: '1MB' }],
      },
      before: ['SELECT 1'],
      after: ['SELECT 2'],
      format: 'CSV',
      copyOptions: { delimiter: ';' },
      explain: 'Plan',
      verify: 'Decode',
      source: {
        secretRef: { name: 'db' },
        host: 'h',
        port: 5433,
        database: 'd',
        targetSessionAttrs: 'Standby',
        tls: { mode: 'VerifyCA', channelBinding: 'Require', caSecretRef: { name: 'ca' }, certSecretRef: { name: 'c' } },
      },
      objects: [
        { table: { schema: 's', name: 't', columns: ['a', 'b'], where: 'a > 1', descendants: 'Include' } },
        { tables: { schema: 's', include: ['a*'], exclude: ['*z'] } },
        { query: { name: 'q', sql: 'SELECT 1' } },
      ],
      compression: { method: 'Zstd', level: 9 },
      parallelism: { connections: 4 },
      destination: {
        s3: {
          endpoint: 'https://s3',
          bucket: 'b-2',
          prefix: 'p',
          region: 'r',
          forcePathStyle: false,
          credentialsSecretRef: { name: 's' },
          caSecretRef: { name: 'ca', key: 'k' },
        },
      },
    })
    expect(config).toMatchObject({
      runMode: 'DryRun',
      session: {
        isolation: 'Serializable',
        statementTimeoutSeconds: 5,
        settings: [{ name: 'work_mem', value: '1MB' }],
      },
      before: ['SELECT 1'],
      after: ['SELECT 2'],
      format: 'CSV',
      copyOptions: { delimiter: ';' },
      explain: 'Plan',
      verify: 'Decode',
      source: {
        targetSessionAttrs: 'Standby',
        host: 'h',
        port: 5433,
        database: 'd',
        tls: {
          mode: 'VerifyCA',
          channelBinding: 'Require',
          caFile: '/etc/pgpack/database-ca/ca.crt',
          certFile: '/etc/pgpack/database-cert/tls.crt',
          keyFile: '/etc/pgpack/database-cert/tls.key',
        },
      },
      objects: [
        { table: { schema: 's', name: 't', columns: ['a', 'b'], where: 'a > 1', descendants: 'Include' } },
        { tables: { schema: 's', include: ['a*'], exclude: ['*z'] } },
        { query: { name: 'q', sql: 'SELECT 1' } },
      ],
      compression: { method: 'Zstd', level: 9 },
      connections: 4,
      destination: { prefix: 'p', region: 'r', forcePathStyle: false, caFile: '/etc/pgpack/store-ca/ca.crt' },
    })
  })

  it.each([
    [undefined, '/var/lib/pgpack/volume'],
    ['a/b', '/var/lib/pgpack/volume/a/b'],
  ])('names the folder of a volume (path %s)', (path, folder) => {
    const run = dumpRun({ destination: { volume: { claimName: 'claim', ...(path === undefined ? {} : { path }) } } })
    const { config, mounts } = planDump(run)
    expect(config).toMatchObject({ destination: { type: 'Filesystem', path: folder } })
    expect(mounts).toContainEqual({
      volume: { name: 'volume', persistentVolumeClaim: { claimName: 'claim', readOnly: false } },
      mount: { name: 'volume', mountPath: '/var/lib/pgpack/volume', readOnly: false },
    })
  })

  it('cannot be changed once it is written', () => {
    const run = dumpRun()
    expect(buildConfigMap(run, childName(run), planDump(run).config)).toMatchObject({
      immutable: true,
      metadata: { name: 'orders-dump-1a2b3c4d', ownerReferences: [{ uid: UID, controller: true }] },
    })
  })
})

describe('the configuration of a restore', () => {
  const source = { store: dumpRun().spec.destination, path: 'shop/orders-1a2b3c4d/pod-1', manifestSHA256: 'ab' }
  const configOf = (spec: Partial<RestoreRun['spec']>, from: Parameters<typeof planRestore>[1] = source) => {
    const run = restoreRun(spec)
    return parseRunConfig(buildConfigMap(run, childName(run), planRestore(run, from).config).data?.['run.json'] ?? '')
  }

  it('reads what the dump has written, into tables of the same names', () => {
    expect(configOf({})).toMatchObject({
      kind: 'Restore',
      source: { type: 'S3', bucket: 'b-1' },
      path: 'shop/orders-1a2b3c4d/pod-1',
      manifestSHA256: 'ab',
      target: { secretDir: '/etc/pgpack/database' },
      objects: [],
      mode: 'Append',
    })
  })

  it('maps objects, and empties tables where it is told to', () => {
    const config = configOf({ mode: 'Truncate', objects: [{ from: 'public.orders', to: { name: 'copy' } }] })
    expect(config).toMatchObject({
      mode: 'Truncate',
      objects: [{ from: 'public.orders', to: { schema: 'public', name: 'copy' } }],
    })
  })

  it('knows no manifest of a path that the user names', () => {
    expect(configOf({}, { store: source.store, path: 'p' })).not.toHaveProperty('manifestSHA256')
  })

  it('only reads a volume', () => {
    const { mounts } = planRestore(restoreRun(), { store: { volume: { claimName: 'claim' } }, path: 'p' })
    expect(mounts).toContainEqual(
      expect.objectContaining({ mount: expect.objectContaining({ name: 'volume', readOnly: true }) }),
    )
  })
})

describe('a volume', () => {
  it.each([
    [{ logErrors: true, segmentRejectLimit: { count: 2 } }, false],
    [{ segmentRejectLimit: { count: 2 } }, true],
  ])('that a restore with %j reads is mounted read-only: %s', (copyOptions, readOnly) => {
    const source = { store: { volume: { claimName: 'claim' } }, path: 'p' }
    const { config, mounts } = planRestore(restoreRun({ copyOptions }), source)
    expect(config).toMatchObject({ copyOptions })
    expect(mounts).toContainEqual(
      expect.objectContaining({ mount: expect.objectContaining({ name: 'volume', readOnly }) }),
    )
  })
})

describe('what a restore and a transfer say of their target', () => {
  const loading = {
    runMode: 'DryRun',
    mode: 'CreateIfMissing',
    transaction: 'PerObject',
    before: ['SELECT 1'],
    after: ['SELECT 2'],
    session: { lockTimeoutSeconds: 3 },
    analyze: 'Never',
  } as const
  const parallelism = { connections: 4 }
  const parsed = (config: object) => parseRunConfig(JSON.stringify(config))

  it('is handed on by a restore', () => {
    const objects = [{ from: 'a', to: { name: 'b' }, columns: ['x'] }]
    const copyOptions = { header: 'Match' } as const
    const run = restoreRun({ ...loading, before: ['SELECT 1'], after: ['SELECT 2'], parallelism, objects, copyOptions })
    const { config } = planRestore(run, { store: dumpRun().spec.destination, path: 'p' })
    expect(parsed(config)).toMatchObject({
      ...loading,
      connections: 4,
      objects: [{ from: 'a', to: { schema: 'public', name: 'b' }, columns: ['x'] }],
      copyOptions,
    })
  })

  it('is handed on by a transfer', () => {
    const run = transferRun({ ...loading, before: ['SELECT 1'], after: ['SELECT 2'], parallelism })
    expect(parsed(planTransfer(run).config)).toMatchObject({ ...loading, connections: 4 })
  })

  it('is Append, and nothing else, when nothing is said', () => {
    const { config } = planRestore(restoreRun(), { store: dumpRun().spec.destination, path: 'p' })
    expect(Object.keys(config).sort()).toEqual(
      ['kind', 'mode', 'name', 'namespace', 'objects', 'path', 'source', 'target', 'uid', 'version'].sort(),
    )
  })
})

describe('the configuration of a transfer', () => {
  const planOf = (spec: Partial<TransferRun['spec']>) => planTransfer(transferRun(spec))
  const tls = { mode: 'VerifyCA', caSecretRef: { name: 'ca' }, certSecretRef: { name: 'c' } } as const

  it('has two databases that do not hide one another', () => {
    const { config, mounts } = planOf({
      source: { secretRef: { name: 'a' }, tls },
      target: { secretRef: { name: 'b' }, tls },
    })
    expect(parseRunConfig(JSON.stringify(config))).toMatchObject({
      kind: 'Transfer',
      source: { secretDir: '/etc/pgpack/source', tls: { caFile: '/etc/pgpack/source-ca/ca.crt' } },
      target: { secretDir: '/etc/pgpack/target', tls: { certFile: '/etc/pgpack/target-cert/tls.crt' } },
    })
    expect(mounts.map(({ mount }) => `${mount.name} ${mount.mountPath}`)).toEqual([
      'source /etc/pgpack/source',
      'source-ca /etc/pgpack/source-ca',
      'source-cert /etc/pgpack/source-cert',
      'target /etc/pgpack/target',
      'target-ca /etc/pgpack/target-ca',
      'target-cert /etc/pgpack/target-cert',
    ])
  })

  it('says what goes where', () => {
    const { config } = planOf({
      objects: [
        { table: { name: 'a' } },
        { table: { schema: 's', name: 'a' }, to: { name: 'b' } },
        { tables: { schema: 's' }, toSchema: 't' },
        { query: { name: 'q', sql: 'SELECT 1' }, to: { schema: 't', name: 'c' } },
      ],
    })
    expect(config).toMatchObject({
      objects: [
        { table: { schema: 'public', name: 'a' } },
        { table: { schema: 's', name: 'a' }, to: { schema: 'public', name: 'b' } },
        { tables: { schema: 's', include: ['*'], exclude: [] }, toSchema: 't' },
        { query: { name: 'q', sql: 'SELECT 1' }, to: { schema: 't', name: 'c' } },
      ],
    })
  })

  it('takes over what is said of the source', () => {
    const source = { sourceBefore: ['A'], sourceAfter: ['B'], sourceSession: { isolation: 'ReadCommitted' } } as const
    const spec = { ...source, sourceBefore: ['A'], sourceAfter: ['B'], explain: 'Plan' } as const
    expect(planOf({ ...spec, sourceBefore: ['A'], sourceAfter: ['B'] }).config).toMatchObject(spec)
  })
})

describe('the removal of an artefact', () => {
  it('names the dump with all its attempts, and needs the store alone', () => {
    const { config, mounts } = planRemoval(dumpRun())
    expect(parseRunConfig(JSON.stringify(config))).toEqual({
      version: 1,
      kind: 'Remove',
      namespace: 'shop',
      name: 'orders',
      uid: UID,
      destination: expect.objectContaining({ type: 'S3', bucket: 'b-1' }),
      path: 'shop/orders-1a2b3c4d',
    })
    expect(mounts.map(({ volume }) => volume.secret?.secretName)).toEqual(['minio'])
  })

  it('is tried again whatever the cause, until its time is over', () => {
    const run = dumpRun({ job: { activeDeadlineSeconds: 5, backoffLimit: 0 } })
    const { metadata, spec } = buildRemovalJob(run, planRemoval(run).mounts, SETTINGS, 540)
    expect(metadata).toMatchObject({ name: 'orders-remove-1a2b3c4d', labels: { 'pgpack.io/dump': 'orders' } })
    expect(spec).toMatchObject({ activeDeadlineSeconds: 540, backoffLimit: 20 })
    expect(spec?.podFailurePolicy?.rules.map(({ action }) => action)).toEqual(['Ignore', 'Ignore'])
    expect(spec?.template.spec?.volumes).toContainEqual({
      name: 'config',
      configMap: { name: 'orders-remove-1a2b3c4d' },
    })
  })

  it.each([
    [dumpRun(), 's3://b-1/shop/orders-1a2b3c4d'],
    [
      dumpRun({
        destination: { s3: { endpoint: 'http://x', bucket: 'b-2', prefix: 'p', credentialsSecretRef: { name: 's' } } },
      }),
      's3://b-2/p/shop/orders-1a2b3c4d',
    ],
    [dumpRun({ destination: { volume: { claimName: 'claim', path: 'f' } } }), 'claim/f/shop/orders-1a2b3c4d'],
  ])('says where it is (%#)', (run, place) => expect(dumpLocation(run)).toBe(place))
})
