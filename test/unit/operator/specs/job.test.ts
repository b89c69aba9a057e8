import { describe, expect, it } from '@jest/globals'
import { buildConfigMap } from '../../../../src/operator/specs/configmap.ts'
import { buildJob } from '../../../../src/operator/specs/job.ts'
import type { DumpRun, RestoreRun } from '../../../../src/operator/specs/run.ts'
import { planDump, planRestore } from '../../../../src/operator/specs/runconfig.ts'
import { parseRunConfig } from '../../../../src/run/config.ts'
import { dumpRun, restoreRun, UID } from '../controllers/fixtures.ts'

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
    return parseRunConfig(buildConfigMap(run, planDump(run).config).data?.['run.json'] ?? '')
  }

  it('is what the engine reads, defaults included', () => {
    expect(configOf({})).toEqual({
      version: 1,
      kind: 'Dump',
      namespace: 'shop',
      name: 'orders',
      uid: UID,
      source: { secretDir: '/etc/pgpack/database', tls: { mode: 'Prefer' } },
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
      source: {
        secretRef: { name: 'db' },
        host: 'h',
        port: 5433,
        database: 'd',
        tls: { mode: 'VerifyCA', caSecretRef: { name: 'ca' }, certSecretRef: { name: 'c' } },
      },
      objects: [
        { table: { schema: 's', name: 't', columns: ['a', 'b'], where: 'a > 1' } },
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
      source: {
        host: 'h',
        port: 5433,
        database: 'd',
        tls: {
          mode: 'VerifyCA',
          caFile: '/etc/pgpack/database-ca/ca.crt',
          certFile: '/etc/pgpack/database-cert/tls.crt',
          keyFile: '/etc/pgpack/database-cert/tls.key',
        },
      },
      objects: [
        { table: { schema: 's', name: 't', columns: ['a', 'b'], where: 'a > 1' } },
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
    expect(buildConfigMap(run, planDump(run).config)).toMatchObject({
      immutable: true,
      metadata: { name: 'orders-dump-1a2b3c4d', ownerReferences: [{ uid: UID, controller: true }] },
    })
  })
})

describe('the configuration of a restore', () => {
  const source = { store: dumpRun().spec.destination, path: 'shop/orders-1a2b3c4d/pod-1', manifestSHA256: 'ab' }
  const configOf = (spec: Partial<RestoreRun['spec']>, from: Parameters<typeof planRestore>[1] = source) => {
    const run = restoreRun(spec)
    return parseRunConfig(buildConfigMap(run, planRestore(run, from).config).data?.['run.json'] ?? '')
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
