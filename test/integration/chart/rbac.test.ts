import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { chartRules, RELEASE, type Rule } from '../../../scripts/generate/rbac.ts'
import { errorMessage } from '../../../src/errors.ts'
import type { Logger } from '../../../src/log.ts'
import { DUMPS, RESTORES, TRANSFERS } from '../../../src/operator/controllers/kinds.ts'
import { type ClusterAccess, runOperator } from '../../../src/operator/index.ts'
import { isForbidden } from '../../../src/operator/manager/apierror.ts'
import { KubernetesClient } from '../../../src/operator/manager/client.ts'
import {
  type ApiObject,
  EVENTS,
  JOBS,
  LEASES,
  type Resource,
  SECRETS,
} from '../../../src/operator/manager/resources.ts'
import { RestClient } from '../../../src/operator/manager/rest.ts'
import type { DumpRun, RestoreRun, TransferRun } from '../../../src/operator/specs/run.ts'
import { eventually, TestCluster } from '../operator/controllers/cluster.ts'
import { Kubelet } from '../operator/controllers/kubelet.ts'
import { dump, restore, transfer } from '../operator/controllers/manifests.ts'
import { conditionOf, Scenario, succeeded } from '../operator/controllers/scenario.ts'

/** One verb on one resource. */
interface Right {
  readonly group: string
  readonly resource: string
  readonly verb: string
  readonly names?: readonly string[]
}

/** Renewed often, so that it is soon seen to be refused; never lost because the machine is busy. */
const TIMING = { leaseDurationMs: 120_000, renewDeadlineMs: 90_000, retryPeriodMs: 400 }
/** Operators at work at one time. */
const AT_ONCE = 6
/** The longest that the life of a run takes: one waits for its pendingDeadlineSeconds. */
const LIFE_MS = 60_000

const RIGHTS = [...chartRules('rules'), ...chartRules('leaderElectionRules')].flatMap(rightsOf)

function rightsOf({ apiGroups, resources, verbs, resourceNames }: Rule): Right[] {
  return apiGroups.flatMap((group) =>
    resources.flatMap((resource) =>
      verbs.map((verb) => ({ group, resource, verb, ...(resourceNames && { names: resourceNames }) })),
    ),
  )
}

function rbac(kind: 'Role' | 'RoleBinding', plural: string): Resource {
  return { group: 'rbac.authorization.k8s.io', version: 'v1', kind, plural, namespaced: true }
}

interface AccessReview extends ApiObject {
  readonly spec: { readonly user: string; readonly resourceAttributes: Readonly<Record<string, string>> }
  readonly status?: { readonly allowed: boolean }
}

const REVIEWS: Resource<AccessReview> = {
  group: 'authorization.k8s.io',
  version: 'v1',
  kind: 'SubjectAccessReview',
  plural: 'subjectaccessreviews',
  namespaced: false,
}

let cluster: TestCluster

beforeAll(async () => {
  cluster = await TestCluster.shared()
}, 120_000)
afterAll(() => cluster.stop())

/** The cluster as an administrator sees it until the signal fires: what still waits then fails at its next request. */
function clusterUntil(signal: AbortSignal): { readonly client: KubernetesClient; close(): void } {
  const rest = new RestClient({
    access: {
      getCurrentCluster: () => cluster.access.getCurrentCluster(),
      async applyToHTTPSOptions(options) {
        signal.throwIfAborted()
        await cluster.access.applyToHTTPSOptions(options)
      },
    },
  })
  return { client: new KubernetesClient(rest), close: () => rest.close() }
}

/** Access as a service account that has these rights in a namespace and no others. */
async function accessWith(namespace: string, rights: readonly Right[]): Promise<ClusterAccess> {
  const user = `system:serviceaccount:${namespace}:operator`
  const rules = rights.map(({ group, resource, verb, names }) => {
    return { apiGroups: [group], resources: [resource], verbs: [verb], ...(names && { resourceNames: names }) }
  })
  const metadata = { name: 'operator', namespace }
  await cluster.client.create(rbac('Role', 'roles'), { metadata, rules } as object)
  await cluster.client.create(rbac('RoleBinding', 'rolebindings'), {
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'operator' },
    subjects: [{ kind: 'ServiceAccount', name: 'operator', namespace }],
  } as object)
  await inForce(
    user,
    namespace,
    rights.find(({ resource }) => !resource.includes('/')),
  )
  return {
    getCurrentCluster: () => cluster.access.getCurrentCluster(),
    // No controller makes service accounts here; an administrator may speak as one.
    async applyToHTTPSOptions(options) {
      await cluster.access.applyToHTTPSOptions(options)
      options.headers = { ...options.headers, 'Impersonate-User': user }
    },
  }
}

/** The authorizer has a cache: a role holds a while after it was made, and then as a whole. */
async function inForce(user: string, namespace: string, right: Right | undefined): Promise<void> {
  const { group = '', resource = '', verb = '', names = [] } = right ?? {}
  const [name] = names
  const resourceAttributes = { namespace, group, resource, verb, ...(name === undefined ? {} : { name }) }
  await eventually('the rights are in force', async () => {
    const { status } = await cluster.client.create(REVIEWS, { metadata: {}, spec: { user, resourceAttributes } })
    return status?.allowed === true
  })
}

/** All that the operator says, as text. */
class SaidLog implements Logger {
  readonly lines: string[] = []
  readonly #take = (fields: object, message: string): void => {
    const text = JSON.stringify(fields, (key, value: unknown) => (key === 'err' ? errorMessage(value) : value))
    this.lines.push(`${message} ${text}`)
  }
  readonly debug = this.#take
  readonly info = this.#take
  readonly warn = this.#take
  readonly error = this.#take

  child(): Logger {
    return this
  }

  /** A line in which the API server refuses something for want of a right. */
  get refusal(): string | undefined {
    return this.lines.find((line) => line.includes('forbidden'))
  }
}

const SOURCE = {
  s3: { endpoint: 'http://minio:9000', bucket: 'backups', credentialsSecretRef: { name: 'm' } },
  path: 'a/b',
}

/** Everything that can happen to runs: what a user does, and Kubernetes. */
async function live(namespace: string, client: KubernetesClient): Promise<void> {
  const kubelet = new Kubelet(client)
  const scenario = new Scenario({ client }, namespace)
  const run = await scenario.create(DUMPS, dump(namespace, 'orders', { deletionPolicy: 'Delete' }))
  const late = await scenario.create(
    RESTORES,
    restore(namespace, 'late', { source: SOURCE, job: { pendingDeadlineSeconds: 10 } }) as RestoreRun,
  )
  const moved = await scenario.create(TRANSFERS, transfer(namespace, 'move') as TransferRun)
  await scenario.jobOf(moved)
  const job = await scenario.jobOf(run)
  const first = await kubelet.createPod(job)
  await kubelet.warn(first, 'FailedMount', 'secret "orders-app" not found')
  await scenario.reaches(run, 'SecretNotFound')
  await suspendTwice(scenario, run, client)
  await client.delete(JOBS, { namespace, name: job.metadata?.name ?? '' })
  const next = await eventually('the next Job', async () => {
    return (await scenario.jobs()).find(({ metadata }) => metadata?.name === `${job.metadata?.name}-2`)
  })
  const pod = await kubelet.run(await kubelet.createPod(next))
  await scenario.reaches(run, 'Running')
  await kubelet.finish(pod, succeeded(pod))
  await kubelet.completeJob(next)
  await scenario.reaches(run, 'Succeeded')
  await scenario.told(run, 'Succeeded')
  await eventually('the Job may expire', async () => {
    const { spec } = await client.get(JOBS, { namespace, name: next.metadata?.name ?? '' })
    return spec?.ttlSecondsAfterFinished !== undefined
  })
  await scenario.reaches(late, 'PendingDeadlineExceeded', 30_000)
  await eventually('the Job of the late run is deleted', async () =>
    (await scenario.jobs()).every(({ metadata }) => metadata?.ownerReferences?.[0]?.uid !== late.metadata.uid),
  )
}

/** The same Event twice is one Event that is counted up. */
async function suspendTwice(scenario: Scenario, run: DumpRun, client: KubernetesClient): Promise<void> {
  const { namespace } = scenario
  for (const count of [1, 2]) {
    await client.patch(DUMPS, run.metadata, { spec: { suspend: true } })
    await scenario.reaches(run, 'Suspended')
    await eventually(`${count} times told that it is suspended`, async () => {
      const { items } = await client.list(EVENTS, { namespace })
      return items.some((event) => event.reason === 'Suspended' && event.count === count)
    })
    await client.patch(DUMPS, run.metadata, { spec: { suspend: false } })
    await eventually('it goes on', async () => {
      const now = await scenario.read(run)
      return conditionOf(now)?.reason !== 'Suspended'
    })
  }
}

function startOperator(namespace: string, access: ClusterAccess, log: Logger) {
  const leaderElection = { namespace, leaseName: RELEASE, identity: 'test', ...TIMING }
  const abort = new AbortController()
  const ended = runOperator(
    {
      access,
      log,
      leaderElection,
      namespaces: [namespace],
      job: { image: 'pgpack-operator:test', imagePullPolicy: 'IfNotPresent' },
      health: { host: '127.0.0.1', port: 0 },
    },
    abort.signal,
  )
  return { ended, abort: () => abort.abort(new Error('the test stops the operator')) }
}

/**
 * What an operator with these rights is first refused while runs live; undefined when they are enough.
 * @throws what keeps the runs from living when it is no refusal
 */
async function firstRefusal(rights: readonly Right[]): Promise<string | undefined> {
  const namespace = await cluster.namespace()
  const log = new SaidLog()
  const operator = startOperator(namespace, await accessWith(namespace, rights), log)
  const ended = operator.ended.catch((error: unknown) => log.error({ err: error }, 'the operator ended with an error'))
  let isOver = false
  const end = new AbortController()
  const { client, close } = clusterUntil(end.signal)
  const lived = live(namespace, client).finally(() => {
    isOver = true
  })
  const refused = eventually('a refusal, or the end', async () => log.refusal ?? isOver, LIFE_MS)
  try {
    await Promise.race([lived, refused])
  } catch (error) {
    if (log.refusal === undefined) throw new Error(log.lines.slice(-15).join('\n'), { cause: error })
  } finally {
    operator.abort()
    await ended
    end.abort()
    await Promise.allSettled([lived])
    close()
  }
  return log.refusal
}

/** As the API server names a right that is missing. */
function refusalOf({ resource, verb }: Right): string {
  if (resource.endsWith('/finalizers')) return 'cannot set blockOwnerDeletion'
  return `cannot ${verb} resource \\"${resource}\\"`
}

describe('the rights of the operator', () => {
  it('are enough for everything that can happen to runs', async () => {
    expect(await firstRefusal(RIGHTS)).toBeUndefined()
  }, 120_000)

  it('hold nothing that could be left out: without any one of them something fails, and the log names it', async () => {
    const left = RIGHTS.entries()
    const needless: string[] = []
    const worker = async (): Promise<void> => {
      for (const [index, right] of left) {
        const refusal = await firstRefusal(RIGHTS.filter((_, other) => other !== index)).catch(errorMessage)
        if (refusal?.includes(refusalOf(right)) !== true) {
          needless.push(`${right.verb} ${right.resource}: ${refusal ?? 'nothing fails'}`)
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    expect(needless).toEqual([])
  }, 600_000)

  it('do not reach Secrets, specs, and what is not its business', async () => {
    const namespace = await cluster.namespace()
    const rest = new RestClient({ access: await accessWith(namespace, RIGHTS) })
    const client = new KubernetesClient(rest)
    const run = await cluster.client.create(RESTORES, restore(namespace, 'other', { suspend: true }) as RestoreRun)
    const attempts = [
      () => client.list(SECRETS, { namespace }),
      () => client.get(SECRETS, { namespace, name: 'orders-app' }),
      () => client.patch(RESTORES, run.metadata, { metadata: { labels: { a: 'b' } } }),
      () => client.delete(RESTORES, run.metadata),
      () => client.list(LEASES, { namespace }),
      () => client.get(LEASES, { namespace, name: 'another' }),
    ]
    for (const attempt of attempts) {
      const refusal = await attempt().catch((error: unknown) => error)
      expect(isForbidden(refusal)).toBe(true)
    }
    rest.close()
  })
})
