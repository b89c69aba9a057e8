import { expect, it } from '@jest/globals'
import type { KubernetesObject } from '../cluster/quickstart/api.ts'
import { readSecret } from '../cluster/quickstart/objects.ts'
import { OPERATOR } from '../cluster/quickstart/operator.ts'
import { runsPath } from '../cluster/quickstart/runs.ts'
import type { Environment } from './e2e.ts'

interface SecurityContext {
  readonly runAsNonRoot?: boolean
  readonly readOnlyRootFilesystem?: boolean
  readonly allowPrivilegeEscalation?: boolean
  readonly capabilities?: { readonly drop?: readonly string[] }
  readonly seccompProfile?: { readonly type?: string }
}

interface Pod extends KubernetesObject {
  readonly spec: {
    readonly automountServiceAccountToken?: boolean
    readonly securityContext?: SecurityContext
    readonly volumes: readonly { readonly projected?: unknown }[]
    readonly containers: readonly { readonly securityContext?: SecurityContext }[]
  }
  readonly status: { readonly phase: string }
}

const CHECK_MS = 60_000

/** Registers what holds after every test file, whatever its tests have done. */
export function checkAtTheEnd(environment: Environment, moreSecrets: () => readonly string[] = () => []): void {
  it(
    'no password and no key is in any log, Event, status, environment literal or argument',
    async () => {
      const secrets = [...(await secretValues(environment)), ...moreSecrets()].flatMap(spellings)
      const texts = await Promise.all(
        [environment.namespace, OPERATOR.namespace].map((name) => everythingIn(environment, name)),
      )
      const all = texts.flatMap((found) => [...found])
      expect(all.map(([place]) => place)).toEqual(expect.arrayContaining(['jobs', 'pods', 'events', 'pgpackdumps']))
      const leaks = all.filter(([, text]) => secrets.some((secret) => text.includes(secret))).map(([place]) => place)
      expect(leaks).toEqual([])
    },
    CHECK_MS,
  )

  it(
    'every pod of a run is restricted and knows nothing of the API server',
    async () => {
      const pods = await environment.api.list<Pod>(`/api/v1/namespaces/${environment.namespace}/pods`)
      const engines = pods.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'engine')
      expect(engines).not.toEqual([])
      for (const { spec } of engines) {
        expect(spec).toMatchObject({
          automountServiceAccountToken: false,
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        })
        expect(spec.volumes.filter(({ projected }) => projected !== undefined)).toEqual([])
        for (const { securityContext } of spec.containers) {
          expect(securityContext).toMatchObject({
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
          })
        }
      }
    },
    CHECK_MS,
  )

  it(
    'the namespaces of the runs and of the operator admit restricted pods only',
    async () => {
      for (const name of [environment.namespace, OPERATOR.namespace]) {
        const { metadata } = await environment.api.get<KubernetesObject>(`/api/v1/namespaces/${name}`)
        expect(metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' })
      }
    },
    CHECK_MS,
  )
}

/** What must not leave the Secrets. The access key's identifier may. */
async function secretValues({ cluster, namespace, databases, bucket }: Environment): Promise<string[]> {
  const { password = '' } = await readSecret(cluster, namespace, 'postgres-app')
  return [password, databases.shop.password, bucket.secretKey]
}

/** A secret as it stands in a URI, in JSON, in a Secret. */
function spellings(secret: string): string[] {
  expect(secret.length).toBeGreaterThan(8)
  return [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    Buffer.from(secret).toString('base64'),
  ]
}

const RUN_KINDS = ['PGPackDump', 'PGPackRestore', 'PGPackTransfer'] as const
const RESOURCES = [
  ...['pods', 'events', 'configmaps', 'services', 'serviceaccounts', 'endpoints'].map((name) => `/api/v1/*/${name}`),
  ...['deployments', 'replicasets'].map((name) => `/apis/apps/v1/*/${name}`),
  '/apis/batch/v1/*/jobs',
  '/apis/coordination.k8s.io/v1/*/leases',
]

/** Every object of a namespace but its Secrets, and every log, as text by where it was found. */
export async function everythingIn({ api }: Environment, namespace: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const paths = RESOURCES.map((path) => path.replace('*', `namespaces/${namespace}`))
  for (const path of [...paths, ...RUN_KINDS.map((kind) => runsPath(namespace, kind))]) {
    found.set(path.slice(path.lastIndexOf('/') + 1), await api.text(path))
  }
  const pods = await api.list<Pod>(`/api/v1/namespaces/${namespace}/pods`)
  for (const { metadata, status } of pods.filter(({ status: { phase } }) => phase !== 'Pending')) {
    const log = await api.text(`/api/v1/namespaces/${namespace}/pods/${metadata.name}/log`)
    found.set(`log of ${metadata.name} (${status.phase})`, log)
  }
  return found
}
