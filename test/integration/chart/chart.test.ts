import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'
import { operatorCommand } from '../../../src/cli/operator.ts'
import { run } from '../../cluster/processes.ts'
import { ensureTools } from '../../cluster/tools.ts'
import { NAMESPACES } from '../../support/api-server.ts'
import { CHART, helm, RELEASE, type Rendered, renderChart } from '../../support/release.ts'
import { TestCluster } from '../operator/controllers/cluster.ts'

interface PodSelector {
  readonly matchLabels: Readonly<Record<string, string>>
}

interface Labelled {
  readonly labels: Readonly<Record<string, string>>
}

interface NetworkPolicySpec {
  readonly podSelector: PodSelector
  readonly policyTypes: readonly string[]
  readonly ingress: readonly {
    readonly ports: readonly { readonly port: string | number }[]
    readonly from: readonly { readonly podSelector?: PodSelector }[]
  }[]
}

interface Container {
  readonly args: string[]
  readonly ports?: readonly { readonly name: string }[]
  readonly image: string
  readonly securityContext: object
}

interface PodSpec {
  readonly securityContext: object
  readonly containers: readonly Container[]
  readonly topologySpreadConstraints?: readonly unknown[]
}

/** What is looked at of the chart's kinds, together. */
interface Manifest extends Rendered {
  readonly spec?: PodSpec & {
    readonly replicas?: number
    readonly template?: { readonly metadata: object; readonly spec: PodSpec }
    readonly egress?: unknown
    readonly ingress?: unknown
  }
}

const render = (...flags: string[]): Promise<Manifest[]> => renderChart<Manifest>(...flags)
const set = (...values: string[]): string[] => values.flatMap((value) => ['--set', value])
const only = (objects: readonly Manifest[], kind: string) => objects.filter((object) => object.kind === kind)

function podOf(objects: readonly Manifest[]): PodSpec & { container: Container } {
  const pod = only(objects, 'Deployment')[0]?.spec?.template?.spec
  const [container] = pod?.containers ?? []
  if (pod === undefined || container === undefined) throw new Error('the chart has no Deployment')
  return { ...pod, container }
}

describe('the chart', () => {
  it('passes helm lint', async () => {
    expect(await helm('lint', '--strict', CHART)).toContain('0 chart(s) failed')
  })

  it('refuses a Kubernetes that is too old', async () => {
    await expect(helm('template', 'x', CHART, '--kube-version', '1.28.9')).rejects.toThrow('kubeVersion')
  })

  it('keeps the CRDs on uninstall unless it is told otherwise', async () => {
    const policies = async (...flags: string[]) => {
      const crds = only(await render(...flags), 'CustomResourceDefinition')
      return new Set(crds.map(({ metadata }) => metadata.annotations?.['helm.sh/resource-policy']))
    }
    expect(await policies()).toEqual(new Set(['keep']))
    expect(await policies(...set('crds.keep=false'))).toEqual(new Set([undefined]))
    expect(await policies(...set('crds.install=false'))).toEqual(new Set())
  })

  it('passes flags that the operator knows, and its own image to the Jobs', async () => {
    const objects = await render(...set('watchNamespaces={a,b},image.repository=r.example/o,image.tag=v2'))
    const { args, image } = podOf(objects).container
    expect(args).toEqual(expect.arrayContaining(['--job-image=r.example/o:v2', '--namespace=a', '--namespace=b']))
    expect(image).toBe('r.example/o:v2')
    const known = operatorCommand({} as Parameters<typeof operatorCommand>[0]).options.map(({ long }) => long)
    const test = only(objects, 'Pod')[0]?.spec?.containers[0]
    for (const [first, ...flags] of [args, test?.args ?? []]) {
      expect(first).toBe('operator')
      for (const flag of flags) expect(known).toContain(flag.split('=')[0])
    }
  })

  it('names the image by its digest where there is one', async () => {
    const digest = `sha256:${'a'.repeat(64)}`
    expect(podOf(await render(...set(`image.digest=${digest}`))).container.image).toBe(`pgpack-operator@${digest}`)
  })

  it('runs two replicas, spread over the nodes, of which a drain takes one at a time', async () => {
    const objects = await render()
    expect(only(objects, 'Deployment')[0]?.spec?.replicas).toBe(2)
    expect(only(objects, 'PodDisruptionBudget')[0]?.spec).toMatchObject({ maxUnavailable: 1 })
    expect(podOf(objects).topologySpreadConstraints).toMatchObject([
      { topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' },
    ])
    expect(podOf(objects).container.args).toContain('--leader-elect')
    const own = set('topologySpreadConstraints[0].maxSkew=2', 'topologySpreadConstraints[0].topologyKey=zone')
    const spread = await render(...own, ...set('topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule'))
    expect(podOf(spread).topologySpreadConstraints).toEqual([
      { maxSkew: 2, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' },
    ])
  })

  it('has a ClusterRole for all namespaces, and a Role in each of some', async () => {
    const roles = async (...flags: string[]) =>
      (await render(...flags, ...set('rbac.aggregate=false')))
        .filter(({ kind }) => kind.endsWith('Role'))
        .map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}`)
        .sort()
    expect(await roles()).toEqual(['ClusterRole ', 'Role pgpack-system'])
    expect(await roles(...set('watchNamespaces={a,b}'))).toEqual(['Role a', 'Role b', 'Role pgpack-system'])
  })

  it('lets the operator talk to the API server alone, where a policy is asked for', async () => {
    expect(only(await render(), 'NetworkPolicy')).toEqual([])
    const flags = set('networkPolicy.enabled=true', 'networkPolicy.apiServer.cidrs={10.0.0.1/32}')
    const [policy] = only(await render(...flags), 'NetworkPolicy')
    expect(policy?.spec?.egress).toEqual([
      {
        ports: [
          { port: 443, protocol: 'TCP' },
          { port: 6443, protocol: 'TCP' },
        ],
        to: [{ ipBlock: { cidr: '10.0.0.1/32' } }],
      },
    ])
    expect(policy?.spec?.ingress).toEqual([{ ports: [{ port: 'http', protocol: 'TCP' }] }])
    const from = set('networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring')
    const [narrow] = only(await render(...flags, ...from), 'NetworkPolicy')
    expect(narrow?.spec?.ingress).toMatchObject([
      {
        from: [
          { podSelector: { matchLabels: { 'app.kubernetes.io/component': 'test' } } },
          { namespaceSelector: { matchLabels: { name: 'monitoring' } } },
        ],
      },
    ])
  })

  it('has a policy that is about the pods of the operator and no others, and names ports and pods that are there', async () => {
    const from = set('networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring')
    const objects = await render(...set('networkPolicy.enabled=true'), ...from)
    const [policy] = only(objects, 'NetworkPolicy')
    if (policy?.spec === undefined) throw new Error('there is no policy')
    const { podSelector, policyTypes, ingress } = policy.spec as unknown as NetworkPolicySpec
    const operator = only(objects, 'Deployment')[0]?.spec?.template?.metadata
    const test = only(objects, 'Pod')[0]?.metadata
    const selects = ({ matchLabels }: PodSelector, metadata: object | undefined): boolean =>
      Object.entries(matchLabels).every(([name, value]) => (metadata as Labelled).labels[name] === value)
    expect([selects(podSelector, operator), selects(podSelector, test)]).toEqual([true, false])
    expect(policyTypes).toEqual(['Ingress', 'Egress'])
    const [rule] = ingress
    const tester = rule?.from.find((peer) => peer.podSelector !== undefined)?.podSelector as PodSelector
    expect([selects(tester, operator), selects(tester, test)]).toEqual([false, true])
    const { ports = [] } = podOf(objects).container
    expect(ports.map(({ name }) => name)).toEqual(rule?.ports.map(({ port }) => port))
  })

  it('leaves out what is switched off', async () => {
    const parts = ['rbac.create', 'rbac.aggregate', 'serviceAccount.create', 'crds.install']
    const off = [...parts, 'metrics.service.enabled', 'podDisruptionBudget.enabled']
    const objects = await render(...set(...off.map((value) => `${value}=false`)))
    expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      `Deployment ${RELEASE.fullname}`,
      `Pod ${RELEASE.fullname}-test`,
    ])
  })
})

/** A JSON schema, as far as it says which keys there may be. */
interface Schema {
  readonly type?: string | string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
}

/** What other people define: a parent chart, and the API server, which refuses a typo in it by itself. */
const OPEN = ['.global', '.affinity.nodeAffinity', '.affinity.podAffinity', '.affinity.podAntiAffinity']

function openObjects(schema: Schema, path = ''): string[] {
  const { type, properties = {}, additionalProperties, items } = schema
  const open = type === 'object' && (additionalProperties === undefined || additionalProperties === true)
  const nested = Object.entries(properties).flatMap(([name, each]) => openObjects(each, `${path}.${name}`))
  const listed = items === undefined ? [] : openObjects(items, `${path}[]`)
  return [...(open ? [path] : []), ...nested, ...listed]
}

/** Every key of the values, as a path. */
function keysOf(values: unknown, path = ''): string[] {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) return [path]
  const entries = Object.entries(values)
  return entries.length === 0 ? [path] : entries.flatMap(([key, value]) => keysOf(value, `${path}.${key}`))
}

describe("the chart's values", () => {
  it('have a schema without an opening for a typo', async () => {
    const schema = JSON.parse(await readFile(join(CHART, 'values.schema.json'), 'utf8')) as Schema
    expect(openObjects(schema).sort()).toEqual([...OPEN].sort())
  })

  it.each([
    ['leaderElection.enable=true', 'enable'],
    ['replica=2', 'replica'],
    ['resources.limit.memory=1Gi', 'limit'],
    ['tolerations[0].effekt=NoSchedule', 'effekt'],
    ['affinity.nodeAffinty.x=1', 'nodeAffinty'],
    ['networkPolicy.apiServer.port=443', 'port'],
    ['logLevel=loud', 'logLevel'],
    ['replicas=two', 'replicas'],
    ['image.digest=sha256:12', 'digest'],
    ['watchNamespaces={Not_a_name}', 'watchNamespaces'],
  ])('are refused with %s, by name', async (value, named) => {
    await expect(render(...set(value))).rejects.toThrow(named)
  })

  it('are each told of in the README, and it tells of no other', async () => {
    const values = parse(await readFile(join(CHART, 'values.yaml'), 'utf8')) as object
    const readme = await readFile(join(CHART, 'README.md'), 'utf8')
    const rows = readme.split('\n').filter((line) => line.startsWith('| `'))
    const told = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, key = '']) => key))
    const known = keysOf(values).map((path) => path.slice(1))
    // `resources` is told of as a whole
    const isCovered = (key: string) => told.some((each) => key === each || key.startsWith(`${each}.`))
    expect(known.filter((key) => !isCovered(key))).toEqual([])
    expect(told.filter((each) => !known.some((key) => key === each || key.startsWith(`${each}.`)))).toEqual([])
  })
})

describe("the chart's objects, shown to a real API server", () => {
  let cluster: TestCluster

  beforeAll(async () => {
    cluster = await TestCluster.start({ crds: false })
    const enforce = { 'pod-security.kubernetes.io/enforce': 'restricted' }
    for (const name of [RELEASE.namespace, 'a', 'b']) {
      await cluster.client.create(NAMESPACES, { metadata: { name, labels: enforce } })
    }
  }, 120_000)
  afterAll(() => cluster.stop())

  /** As it would be written, every field known; nothing is kept. */
  async function show(objects: readonly object[]): Promise<string> {
    const { kubectl } = await ensureTools(['kubectl'])
    const list = { apiVersion: 'v1', kind: 'List', items: objects }
    const dryRun = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '--filename', '-']
    return run(kubectl, ['--kubeconfig', cluster.kubeconfig, ...dryRun], { input: JSON.stringify(list) })
  }

  it.each([
    ['as it is', []],
    ['for some namespaces', set('watchNamespaces={a,b}')],
    [
      'with all that is optional',
      set(
        'networkPolicy.enabled=true',
        'networkPolicy.metricsFrom[0].podSelector.matchLabels.a=b',
        'networkPolicy.apiServer.cidrs={10.0.0.1/32}',
        'priorityClassName=system-cluster-critical',
        'imagePullSecrets[0].name=r',
        'tolerations[0].operator=Exists',
        'podAnnotations.a=b',
        'podLabels.c=d',
        'leaderElection.enabled=false',
        'replicas=1',
      ),
    ],
  ])(
    'are taken %s',
    async (_, flags) => {
      const objects = await render(...flags)
      const answer = await show(objects)
      expect(answer.trim().split('\n')).toHaveLength(objects.length)
    },
    60_000,
  )

  it('have pods that the restricted Pod Security Standard admits', async () => {
    const objects = await render()
    const template = only(objects, 'Deployment')[0]?.spec?.template
    const metadata = { ...template?.metadata, name: 'operator', namespace: RELEASE.namespace }
    const pods = [{ apiVersion: 'v1', kind: 'Pod', ...template, metadata }, ...only(objects, 'Pod')]
    expect((await show(pods)).trim().split('\n')).toHaveLength(2)
    const rooted = JSON.parse(
      JSON.stringify(pods).replaceAll('"runAsNonRoot":true', '"runAsNonRoot":false'),
    ) as object[]
    await expect(show(rooted)).rejects.toThrow('violates PodSecurity "restricted')
  }, 60_000)
})
