import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parseAllDocuments } from 'yaml'
import { operatorCommand } from '../../../../src/cli/operator.ts'
import { DUMPS } from '../../../../src/operator/controllers/kinds.ts'
import type { ClusterAccess } from '../../../../src/operator/index.ts'
import { isForbidden } from '../../../../src/operator/manager/apierror.ts'
import { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import {
  type ApiObject,
  EVENTS,
  JOBS,
  LEASES,
  type Resource,
  SECRETS,
} from '../../../../src/operator/manager/resources.ts'
import { RestClient } from '../../../../src/operator/manager/rest.ts'
import type { DumpRun } from '../../../../src/operator/specs/run.ts'
import { ensureTools } from '../../../cluster/tools.ts'
import { eventually, NAMESPACES, TestCluster } from './cluster.ts'
import { Kubelet } from './kubelet.ts'
import { dump } from './manifests.ts'

const CHART = join(import.meta.dirname, '../../../../charts/pgpack-operator')
let helmPath: string

beforeAll(async () => {
  helmPath = (await ensureTools(['helm'])).helm
}, 300_000)

async function helm(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(helmPath, args)
  return stdout
}

/** The chart's objects, as a release `pgpack` in `pgpack-system` makes them. */
async function render(...flags: string[]): Promise<Manifest[]> {
  const text = await helm('template', 'pgpack', CHART, '-n', 'pgpack-system', '--kube-version', '1.34.0', ...flags)
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((object) => object !== null)
}

interface Manifest extends ApiObject {
  readonly kind: string
  readonly metadata: { name: string; namespace?: string; annotations?: Record<string, string> }
  readonly spec?: {
    readonly template: {
      readonly spec: {
        readonly securityContext: object
        readonly containers: readonly {
          readonly args: string[]
          readonly image: string
          readonly securityContext: object
        }[]
      }
    }
  }
}

const named = (objects: readonly Manifest[]) => objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)

function containerOf(objects: readonly Manifest[]) {
  const pod = objects.find(({ kind }) => kind === 'Deployment')?.spec?.template.spec
  const container = pod?.containers[0]
  if (pod === undefined || container === undefined) throw new Error('the chart has no Deployment')
  return { pod, ...container }
}

describe('the chart', () => {
  it('passes helm lint', async () => {
    expect(await helm('lint', '--strict', CHART)).toContain('0 chart(s) failed')
  })

  it('refuses a value that is misspelled, and one of the wrong type', async () => {
    await expect(render('--set', 'leaderElection.enable=true')).rejects.toThrow(
      "additional properties 'enable' not allowed",
    )
    await expect(render('--set', 'logLevel=loud')).rejects.toThrow('logLevel')
  })

  it('refuses a Kubernetes that is too old', async () => {
    await expect(helm('template', 'x', CHART, '--kube-version', '1.28.9')).rejects.toThrow('kubeVersion')
  })

  it('keeps the CRDs on uninstall unless it is told otherwise', async () => {
    const crds = async (...flags: string[]) =>
      (await render(...flags)).filter(({ kind }) => kind === 'CustomResourceDefinition')
    expect((await crds()).map(({ metadata }) => metadata.annotations?.['helm.sh/resource-policy'])).toEqual([
      'keep',
      'keep',
    ])
    expect((await crds('--set', 'crds.keep=false')).map(({ metadata }) => metadata.annotations)).toEqual([
      undefined,
      undefined,
    ])
    expect(await crds('--set', 'crds.install=false')).toEqual([])
  })

  it('runs the operator under the restricted Pod Security Standard', async () => {
    const { pod, securityContext } = containerOf(await render())
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    expect(securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
  })

  it('passes flags that the operator knows, and its own image to the Jobs', async () => {
    const objects = await render('--set', 'watchNamespaces={a,b},image.repository=r.example/o,image.tag=v2')
    const { args, image } = containerOf(objects)
    expect(args).toEqual(expect.arrayContaining(['--job-image=r.example/o:v2', '--namespace=a', '--namespace=b']))
    expect(image).toBe('r.example/o:v2')
    const known = operatorCommand({} as Parameters<typeof operatorCommand>[0]).options.map(({ long }) => long)
    expect(args[0]).toBe('operator')
    for (const flag of args.slice(1)) expect(known).toContain(flag.split('=')[0])
  })

  it('names the image by its digest where there is one', async () => {
    const digest = `sha256:${'a'.repeat(64)}`
    expect(containerOf(await render('--set', `image.digest=${digest}`)).image).toBe(`pgpack-operator@${digest}`)
  })

  it('has a ClusterRole for all namespaces, and Roles for some', async () => {
    const roles = async (...flags: string[]) =>
      (await render(...flags, '--set', 'rbac.aggregate=false'))
        .filter(({ kind }) => kind.endsWith('Role'))
        .map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}`)
    expect(await roles()).toEqual(expect.arrayContaining(['ClusterRole ', 'Role pgpack-system']))
    expect(await roles('--set', 'watchNamespaces={a,b}')).toEqual(
      expect.arrayContaining(['Role a', 'Role b', 'Role pgpack-system']),
    )
  })

  it('leaves out what is switched off', async () => {
    const off = ['rbac.create', 'rbac.aggregate', 'serviceAccount.create', 'metrics.service.enabled', 'crds.install']
    const objects = await render(...off.flatMap((value) => ['--set', `${value}=false`]))
    expect(named(objects)).toEqual(['Deployment pgpack-pgpack-operator'])
  })
})

describe('the rights that the chart gives', () => {
  let cluster: TestCluster
  let namespace: string
  let access: ClusterAccess
  let client: KubernetesClient
  let rest: RestClient

  const RBAC: Record<string, Resource> = Object.fromEntries(
    [
      ['ClusterRole', 'clusterroles', false],
      ['ClusterRoleBinding', 'clusterrolebindings', false],
      ['Role', 'roles', true],
      ['RoleBinding', 'rolebindings', true],
    ].map(([kind, plural, namespaced]) => [
      kind,
      { group: 'rbac.authorization.k8s.io', version: 'v1', kind, plural, namespaced } as Resource,
    ]),
  )

  beforeAll(async () => {
    cluster = await TestCluster.start()
    namespace = await cluster.namespace()
    await cluster.client.create(NAMESPACES, { metadata: { name: 'pgpack-system' } })
    for (const object of await render()) {
      const resource = RBAC[object.kind]
      if (resource !== undefined) await cluster.client.create(resource, object)
    }
    // Nobody mints tokens here; an administrator may speak as the service account.
    access = {
      getCurrentCluster: () => cluster.access.getCurrentCluster(),
      async applyToHTTPSOptions(options) {
        await cluster.access.applyToHTTPSOptions(options)
        const user = 'system:serviceaccount:pgpack-system:pgpack-pgpack-operator'
        options.headers = { ...options.headers, 'Impersonate-User': user }
      },
    }
    rest = new RestClient({ access })
    client = new KubernetesClient(rest)
  }, 120_000)
  afterAll(async () => {
    rest.close()
    await cluster.stop()
  })

  it('are enough for the whole life of a run, leader election and Events included', async () => {
    const operator = cluster.startOperator(namespace, {
      access,
      namespaces: [],
      leaderElection: { namespace: 'pgpack-system', leaseName: 'pgpack-pgpack-operator', identity: 'test' },
    })
    const kubelet = new Kubelet(cluster.client)
    try {
      const run = await cluster.client.create(DUMPS, dump(namespace, 'orders') as DumpRun)
      const read = () => cluster.client.get(DUMPS, run.metadata)
      const reason = async () => (await read()).status?.conditions?.[0]?.reason
      const job = await eventually('a Job', async () => (await cluster.client.list(JOBS, { namespace })).items[0])
      const pod = await kubelet.createPod(job)
      await kubelet.warn(pod, 'FailedMount', 'secret "orders-app" not found')
      await eventually('the missing Secret is seen', async () => (await reason()) === 'SecretNotFound')
      await cluster.client.patch(DUMPS, run.metadata, { spec: { suspend: true } })
      await eventually('the run is suspended', async () => (await reason()) === 'Suspended')
      await cluster.client.delete(JOBS, { namespace, name: job.metadata?.name ?? '' })
      await cluster.client.patch(DUMPS, run.metadata, { spec: { suspend: false } })
      const next = await eventually('the next Job', async () => {
        const { items } = await cluster.client.list(JOBS, { namespace })
        return items.find(({ metadata }) => metadata?.name?.endsWith('-2'))
      })
      const attempt = await kubelet.run(await kubelet.createPod(next))
      await kubelet.finish(attempt, {
        outcome: 'Succeeded',
        attempt: 'a',
        totals: { objects: 1, rows: '1', bytes: '1', storedBytes: '1' },
        seconds: 1,
        artifact: { path: 'p', manifestSHA256: 'f'.repeat(64) },
      })
      await kubelet.completeJob(next)
      await eventually('the run has succeeded', async () => (await reason()) === 'Succeeded')
      await eventually('the Job may expire', async () => {
        const { spec } = await cluster.client.get(JOBS, { namespace, name: next.metadata?.name ?? '' })
        return spec?.ttlSecondsAfterFinished !== undefined
      })
      await eventually('the Events are there', async () => {
        const { items } = await cluster.client.list(EVENTS, { namespace })
        return items.some((event) => event.reason === 'Succeeded')
      })
      expect(
        await cluster.client.find(LEASES, { namespace: 'pgpack-system', name: 'pgpack-pgpack-operator' }),
      ).toBeDefined()
    } finally {
      await operator.stop()
    }
  }, 60_000)

  it('let it read logs of pods', async () => {
    // There is no kubelet: any other refusal than Forbidden comes from behind the authorization.
    const refusal = await client
      .logs({ namespace, name: 'no-such-pod' }, { signal: new AbortController().signal })
      .catch((error: unknown) => error)
    expect(isForbidden(refusal)).toBe(false)
  })

  it('do not let it read Secrets, change specs, or touch what is not its business', async () => {
    const run = await cluster.client.create(DUMPS, dump(namespace, 'other', { suspend: true }) as DumpRun)
    const attempts = [
      () => client.list(SECRETS, { namespace }),
      () => client.get(SECRETS, { namespace, name: 'orders-app' }),
      () => client.patch(DUMPS, run.metadata, { metadata: { labels: { a: 'b' } } }),
      () => client.delete(DUMPS, run.metadata),
      () => client.list(LEASES, { namespace: 'pgpack-system' }),
      () => client.get(LEASES, { namespace: 'pgpack-system', name: 'another' }),
    ]
    for (const attempt of attempts) {
      const refusal = await attempt().catch((error: unknown) => error)
      expect(isForbidden(refusal)).toBe(true)
    }
  })
})

describe('a release', () => {
  let cluster: TestCluster

  beforeAll(async () => {
    cluster = await TestCluster.start({ crds: false })
    await cluster.client.create(NAMESPACES, { metadata: { name: 'pgpack-system' } })
  }, 120_000)
  afterAll(() => cluster.stop())

  it('upgrades the CRDs with the chart, and leaves them behind', async () => {
    const old = await mkdtemp(join(tmpdir(), 'pgpack-chart-'))
    try {
      await cp(CHART, old, { recursive: true })
      const crd = join(old, 'templates/crds/pgpackdumps.yaml')
      await writeFile(crd, (await readFile(crd, 'utf8')).replace('- pgd\n', '- old\n'))
      const onCluster = ['pgpack', '-n', 'pgpack-system', '--kubeconfig', cluster.kubeconfig]
      const shortNames = async () => (await cluster.crd('pgpackdumps.pgpack.io')).spec?.names?.shortNames
      await helm('install', ...onCluster, old)
      expect(await shortNames()).toEqual(['old'])
      await helm('upgrade', ...onCluster, CHART)
      expect(await shortNames()).toEqual(['pgd'])
      await helm('uninstall', ...onCluster)
      expect(await shortNames()).toEqual(['pgd'])
    } finally {
      await rm(old, { recursive: true })
    }
  }, 60_000)
})
