import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll } from '@jest/globals'
import { type Cluster, ensureCluster } from '../cluster/index.ts'
import { type ClusterApi, type KubernetesObject, openApi } from '../cluster/quickstart/api.ts'
import { type Bucket, ensureBucket } from '../cluster/quickstart/bucket.ts'
import { type Databases, ensureDatabases } from '../cluster/quickstart/databases.ts'
import { ensureRestrictedNamespace } from '../cluster/quickstart/namespace.ts'
import { installOperator } from '../cluster/quickstart/operator.ts'
import { RunWatch } from '../cluster/quickstart/runs.ts'

/** A namespace of a test file's own, with PostgreSQL, MinIO and the operator at work on it. */
export interface Environment {
  readonly cluster: Cluster
  readonly api: ClusterApi
  readonly namespace: string
  /** Every version of every dump and restore in the namespace. */
  readonly runs: RunWatch
  readonly databases: Databases
  readonly bucket: Bucket
  kubectl(...args: string[]): Promise<string>
}

const LABEL = 'pgpack.io/e2e'
/** A namespace older than that is of a run that was killed. */
const STALE_MS = 30 * 60_000
/** The first time, images and tools are built. */
const SETUP_MS = 25 * 60_000

/**
 * Registers the environment of a test file. The cluster, and the operator in it, stay for the next file and the next
 * run; the namespace goes.
 */
export function useEnvironment(): Environment {
  let current: Environment | undefined
  beforeAll(async () => {
    current = await createEnvironment()
  }, SETUP_MS)
  afterAll(async () => {
    if (current !== undefined) await removeEnvironment(current)
  }, 60_000)
  const get = (): Environment => {
    if (current === undefined) throw new Error('the environment is there only inside a test')
    return current
  }
  return {
    get cluster() {
      return get().cluster
    },
    get api() {
      return get().api
    },
    get namespace() {
      return get().namespace
    },
    get runs() {
      return get().runs
    },
    get databases() {
      return get().databases
    },
    get bucket() {
      return get().bucket
    },
    kubectl: (...args) => get().kubectl(...args),
  }
}

async function createEnvironment(): Promise<Environment> {
  const cluster = await ensureCluster()
  const namespace = `pgpack-e2e-${randomBytes(3).toString('hex')}`
  await removeStale(cluster)
  await ensureRestrictedNamespace(cluster, namespace, { [LABEL]: 'true' })
  const [databases, bucket] = await allOrNone(
    ensureDatabases(cluster, namespace),
    ensureBucket(cluster, namespace),
    installOperator(cluster),
  )
  const api = await openApi(cluster)
  const runs = new RunWatch(api, namespace)
  const kubectl = (...args: string[]) => cluster.kubectl(['--namespace', namespace, ...args])
  return { cluster, api, namespace, runs, databases, bucket, kubectl }
}

/** What is open keeps Jest from ending: when one of the parts cannot be had, the others are closed again. */
async function allOrNone<A extends Closable, B extends Closable>(
  ...parts: readonly [Promise<A>, Promise<B>, Promise<void>]
): Promise<readonly [A, B]> {
  const [first, second, third] = await Promise.allSettled(parts)
  if (first.status === 'fulfilled' && second.status === 'fulfilled' && third.status === 'fulfilled') {
    return [first.value, second.value]
  }
  for (const part of [first, second]) if (part.status === 'fulfilled') await part.value.close()
  throw [first, second, third].find((part) => part.status === 'rejected')?.reason
}

interface Closable {
  close(): Promise<void>
}

async function removeEnvironment({ cluster, api, namespace, runs, databases, bucket }: Environment): Promise<void> {
  await runs.stop()
  await Promise.all([databases.close(), bucket.close(), api.close()])
  await removeNamespaces(cluster, [namespace])
}

async function removeStale(cluster: Cluster): Promise<void> {
  const json = await cluster.kubectl(['get', 'namespaces', '--selector', LABEL, '--output', 'json'])
  const { items } = JSON.parse(json) as { items: readonly KubernetesObject[] }
  const stale = items.filter(({ metadata }) => Date.now() - Date.parse(metadata.creationTimestamp) > STALE_MS)
  await removeNamespaces(
    cluster,
    stale.map(({ metadata }) => metadata.name),
  )
}

/** Nothing waits for it: the next file has a namespace of its own. */
async function removeNamespaces(cluster: Cluster, names: readonly string[]): Promise<void> {
  if (names.length > 0) await cluster.kubectl(['delete', 'namespace', '--wait=false', '--ignore-not-found', ...names])
}
