import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatCount } from '../../../src/cli/units.ts'
import type { Cluster } from '../client.ts'
import { HarnessError } from '../errors.ts'
import { findCommand } from '../processes.ts'
import { say, step } from '../progress.ts'
import { repositoryDirectory } from '../settings.ts'
import { type ClusterApi, openApi } from './api.ts'
import { type Bucket, ensureBucket } from './bucket.ts'
import { type Database, type Databases, ensureDatabases } from './databases.ts'
import { fingerprint } from './fingerprint.ts'
import { follow } from './follow.ts'
import { ensureRestrictedNamespace } from './namespace.ts'
import { apply } from './objects.ts'
import { installOperator } from './operator.ts'
import { ensureOrders, ORDER_ROWS, recreateEmptyOrders } from './orders.ts'
import { condition, type Run, type RunRef, RunWatch } from './runs.ts'

export const NAMESPACE = 'pgpack-quickstart'

const DUMP: RunRef = { kind: 'PGPackDump', name: 'orders' }
const RESTORE: RunRef = { kind: 'PGPackRestore', name: 'orders' }

interface Stage {
  readonly cluster: Cluster
  readonly api: ClusterApi
  readonly databases: Databases
}

/** The whole way, from an empty cluster to a compared copy of a table. What is there already is used as it is. */
export async function playQuickstart(cluster: Cluster): Promise<void> {
  say(`cluster: ${cluster.flavour}`)
  await ensureRestrictedNamespace(cluster, NAMESPACE)
  const [databases, bucket] = await Promise.all([
    prepareDatabases(cluster),
    prepareBucket(cluster),
    prepareOperator(cluster),
  ])
  const api = await openApi(cluster)
  try {
    await clearEarlierRun(cluster, databases, bucket)
    await moveOrders({ cluster, api, databases })
  } finally {
    await Promise.all([databases.close(), bucket.close(), api.close()])
  }
}

async function prepareDatabases(cluster: Cluster): Promise<Databases> {
  const databases = await step('PostgreSQL with two databases', '10 s', () => ensureDatabases(cluster, NAMESPACE))
  const rows = formatCount(BigInt(ORDER_ROWS))
  await step(`${rows} orders in database shop`, '40 s, nothing when they are there', () => ensureOrders(databases.shop))
  return databases
}

function prepareBucket(cluster: Cluster): Promise<Bucket> {
  return step('MinIO with the bucket backups', '10 s', () => ensureBucket(cluster, NAMESPACE))
}

function prepareOperator(cluster: Cluster): Promise<void> {
  return step('the operator: its image, and Helm', '1 min, 5 s when nothing has changed', () =>
    installOperator(cluster),
  )
}

/** A second run starts where the first one did: no dump, no restore, nothing in the bucket, an empty target. */
async function clearEarlierRun(cluster: Cluster, { copy }: Databases, bucket: Bucket): Promise<void> {
  const names = ['pgpackdump/orders', 'pgpackrestore/orders']
  await cluster.kubectl(['delete', ...names, '--namespace', NAMESPACE, '--ignore-not-found', '--wait', '--timeout=60s'])
  await Promise.all([bucket.clear(''), recreateEmptyOrders(copy)])
}

async function moveOrders({ cluster, api, databases }: Stage): Promise<void> {
  const runs = new RunWatch(api, NAMESPACE)
  try {
    const dumped = await runExample(cluster, api, runs, 'dump.yaml', DUMP)
    const restored = await runExample(cluster, api, runs, 'restore.yaml', RESTORE)
    const verdict = await compare(databases.shop, databases.copy)
    tell([
      '',
      `dumped    shop.public.orders: ${moved(dumped)}`,
      `restored  copy.public.orders: ${moved(restored)}`,
      verdict,
      '',
      ...nextCommands(cluster, dumped),
    ])
  } finally {
    await runs.stop()
  }
}

async function runExample(cluster: Cluster, api: ClusterApi, runs: RunWatch, file: string, ref: RunRef): Promise<Run> {
  say(`examples/${file}`)
  await apply(cluster, NAMESPACE, await readFile(join(repositoryDirectory, 'examples', file), 'utf8'))
  return follow(api, runs, NAMESPACE, ref)
}

/** `3000000 rows, 512 MiB (98 MiB stored) in 8.1 s`: as the operator says it. */
function moved(run: Run): string {
  return condition(run, 'Succeeded')?.message ?? 'nothing'
}

/** @throws HarnessError when a row is missing, doubled or different */
async function compare(shop: Database, copy: Database): Promise<string> {
  const compared = 'count(*) and sum(hashtextextended(row)) over all columns'
  const [source, target] = await step(`comparing by ${compared}`, '10 s', () =>
    Promise.all([fingerprint(shop, 'public.orders'), fingerprint(copy, 'public.orders')]),
  )
  const found = `${formatCount(source.rows)} rows, ${source.hash} in shop; ${formatCount(target.rows)} rows, ${target.hash} in copy`
  if (source.rows !== target.rows || source.hash !== target.hash) {
    throw new HarnessError('NOT_READY', `the tables are not equal by ${compared}: ${found}`)
  }
  return `compared  by ${compared}: equal\n          ${found}`
}

function nextCommands(cluster: Cluster, dump: Run): string[] {
  const kubectl =
    findCommand('kubectl') === undefined
      ? 'npm run --silent cluster -- kubectl'
      : `KUBECONFIG=${cluster.kubeconfig} kubectl`
  const look = `${kubectl} --namespace ${NAMESPACE}`
  return [
    'To look further:',
    `  ${look} get pgd,pgr`,
    `  ${look} describe pgd/orders`,
    `  ${look} logs job/${dump.status?.jobName}`,
    'To take everything away: npm run quickstart -- --down',
  ]
}

function tell(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}
