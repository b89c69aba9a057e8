import { setTimeout as delay } from 'node:timers/promises'
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
import type { DumpRun, RestoreRun, Run, TransferRun } from '../../../src/operator/specs/run.ts'
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
/** An operator that is refused again and again waits longer and longer. */
const START_MS = 60_000
/** Between two looks at what it was refused. */
const LOOK_MS = 200

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

/** A service account whose rights are those of one Role. */
class Account {
  readonly #namespace: string
  readonly #user: string

  private constructor(namespace: string) {
    this.#namespace = namespace
    this.#user = `system:serviceaccount:${namespace}:operator`
  }

  /** An account that has these rights in a namespace and no others. */
  static async create(namespace: string, rights: readonly Right[]): Promise<Account> {
    const account = new Account(namespace)
    const metadata = { name: 'operator', namespace }
    await cluster.client.create(rbac('Role', 'roles'), { metadata, rules: rights.map(ruleOf) } as object)
    await cluster.client.create(rbac('RoleBinding', 'rolebindings'), {
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'operator' },
      subjects: [{ kind: 'ServiceAccount', name: 'operator', namespace }],
    } as object)
    const right = rights.find(({ resource }) => !resource.includes('/'))
    if (right !== undefined) await account.#has(right)
    return account
  }

  /** These rights and no others, from soon on. */
  async grant(rights: readonly Right[]): Promise<void> {
    const rules = rights.map(ruleOf)
    await cluster.client.patch(rbac('Role', 'roles'), { name: 'operator', namespace: this.#namespace }, { rules })
  }

  /** The authorizer has a cache: a role holds a while after it was made, and then as a whole. */
  async #has({ group, resource, verb, names = [] }: Right): Promise<void> {
    const [name] = names
    const namespace = this.#namespace
    const resourceAttributes = { namespace, group, resource, verb, ...(name === undefined ? {} : { name }) }
    const spec = { user: this.#user, resourceAttributes }
    await eventually('the rights are in force', async () => {
      const { status } = await cluster.client.create(REVIEWS, { metadata: {}, spec })
      return status?.allowed === true
    })
  }

  get access(): ClusterAccess {
    return {
      getCurrentCluster: () => cluster.access.getCurrentCluster(),
      // No controller makes service accounts here; an administrator may speak as one.
      applyToHTTPSOptions: async (options) => {
        await cluster.access.applyToHTTPSOptions(options)
        options.headers = { ...options.headers, 'Impersonate-User': this.#user }
      },
    }
  }
}

function ruleOf({ group, resource, verb, names }: Right) {
  return { apiGroups: [group], resources: [resource], verbs: [verb], ...(names && { resourceNames: names }) }
}

/** All that the operator says, and what its conditions do, as text. */
class SaidLog implements Logger {
  readonly lines: string[]
  readonly #fields: object

  constructor(fields: object = {}, lines: string[] = []) {
    this.#fields = fields
    this.lines = lines
  }

  readonly #take = (fields: object, message: string): void => {
    const said = { ...this.#fields, ...fields }
    const text = JSON.stringify(said, (key, value: unknown) => (key === 'err' ? errorMessage(value) : value))
    this.lines.push(`${message} ${text}`)
  }
  readonly debug = this.#take
  readonly info = this.#take
  readonly warn = this.#take
  readonly error = this.#take

  child(fields: object): Logger {
    return new SaidLog({ ...this.#fields, ...fields }, this.lines)
  }

  /** Lines in which the API server refuses something for want of a right. */
  get refusals(): string[] {
    return this.lines.filter((line) => line.includes('forbidden'))
  }
}

const SOURCE = {
  s3: { endpoint: 'http://minio:9000', bucket: 'backups', credentialsSecretRef: { name: 'm' } },
  path: 'a/b',
}

/** Everything that can happen to runs: what a user does, and Kubernetes. */
async function live(namespace: string): Promise<void> {
  const { client } = cluster
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
  await suspendUntilCounted(scenario, run)
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

/** The same Event twice is one Event that is counted up; one that is refused is not told again. */
async function suspendUntilCounted(scenario: Scenario, run: DumpRun): Promise<void> {
  const { client } = cluster
  await eventually('an Event is counted up', async () => {
    await client.patch(DUMPS, run.metadata, { spec: { suspend: true } })
    await scenario.reaches(run, 'Suspended')
    await client.patch(DUMPS, run.metadata, { spec: { suspend: false } })
    await eventually('it goes on', async () => conditionOf(await scenario.read(run))?.reason !== 'Suspended')
    const { items } = await client.list(EVENTS, { namespace: scenario.namespace })
    return items.some(({ reason, count = 0 }) => reason === 'Suspended' && count > 1)
  })
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
 * Runs live, with an operator that has these rights.
 * @param meanwhile is asked again and again for what else it gets, by what it has said
 */
async function liveWith(rights: readonly Right[], meanwhile: (log: SaidLog) => readonly Right[] = () => rights) {
  const namespace = await cluster.namespace()
  const account = await Account.create(namespace, rights)
  const log = new SaidLog()
  const operator = startOperator(namespace, account.access, log)
  const ended = operator.ended.catch((error: unknown) => log.error({ err: error }, 'the operator ended with an error'))
  const isStarted = async () => log.lines.some((line) => line.startsWith('informers synced'))
  const lived = eventually('the operator starts', isStarted, START_MS).then(() => live(namespace))
  const over = lived.then(
    () => true,
    () => true,
  )
  let granted = rights
  try {
    while (!(await Promise.race([over, delay(LOOK_MS)]))) {
      const wanted = meanwhile(log)
      if (wanted.length > granted.length) await account.grant(wanted)
      granted = wanted
      if (granted.length < RIGHTS.length) await visitRuns(namespace, log)
    }
    await lived
  } catch (cause) {
    throw new Error(log.lines.slice(-15).join('\n'), { cause })
  } finally {
    operator.abort()
    await ended
    await over
  }
  return log
}

/**
 * Notes what the runs' conditions say: the log tells when the reason changes, and the condition when the message does.
 * Has the operator visit the runs now, as it waits long before it tries again what it was refused.
 */
async function visitRuns(namespace: string, log: Logger): Promise<void> {
  for (const resource of [DUMPS, RESTORES, TRANSFERS] as Resource<Run>[]) {
    const { items } = await cluster.client.list(resource, { namespace })
    for (const run of items) {
      log.info({ controller: resource.plural, message: conditionOf(run)?.message }, 'condition')
      const annotations = { 'test/visited': String(Date.now()) }
      await cluster.client.patch(resource, run.metadata, { metadata: { annotations } })
    }
  }
}

/** Whether a line is of the API server's refusal for want of this right. */
function isRefusalOf({ resource, verb }: Right, line: string): boolean {
  const [plural, part] = resource.split('/')
  if (part !== 'finalizers') return line.includes(`cannot ${verb} resource \\"${resource}\\"`)
  return line.includes('cannot set blockOwnerDeletion') && line.includes(`"controller":"${plural}"`)
}

describe('the rights of the operator', () => {
  it('are enough for everything that can happen to runs', async () => {
    expect((await liveWith(RIGHTS)).refusals).toEqual([])
  }, 120_000)

  it('hold nothing that could be left out: one that has none is refused each, and says so', async () => {
    const named = (log: SaidLog) => RIGHTS.filter((right) => log.refusals.some((line) => isRefusalOf(right, line)))
    const log = await liveWith([], named)
    expect(RIGHTS.filter((right) => !named(log).includes(right))).toEqual([])
  }, 240_000)

  it('do not reach Secrets, specs, and what is not its business', async () => {
    const namespace = await cluster.namespace()
    const rest = new RestClient({ access: (await Account.create(namespace, RIGHTS)).access })
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
