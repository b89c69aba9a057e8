import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DUMPS } from '../../src/operator/controllers/kinds.ts'
import type { KubernetesClient } from '../../src/operator/manager/client.ts'
import { type ApiObject, JOBS, type Job, type Pod, type Resource } from '../../src/operator/manager/resources.ts'
import { buildJob } from '../../src/operator/specs/job.ts'
import type { DumpRun } from '../../src/operator/specs/run.ts'
import { encodeProgress } from '../../src/run/progress.ts'
import { createAuthority, issue } from '../cluster/certificates.ts'
import type { TestCluster } from '../integration/operator/controllers/cluster.ts'
import { Kubelet } from '../integration/operator/controllers/kubelet.ts'
import { dump } from '../integration/operator/controllers/manifests.ts'
import { succeeded } from '../integration/operator/controllers/scenario.ts'
import { RunWatch } from './run-watch.ts'

const NODES: Resource<ApiObject & { status?: unknown }> = {
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  namespaced: false,
}
/** Requests under way at once of whoever makes runs. */
const CONCURRENCY = 16
/** As many as the Job controller has workers (`--concurrent-job-syncs`): pods come and end no faster than that. */
const CLUSTER_CONCURRENCY = 5
const SETTINGS = { image: 'pgpack-operator:test', imagePullPolicy: 'IfNotPresent' } as const
const FIRST_TURN = { incarnation: 1, attemptsBefore: 0 }

/** A node whose pods are played by hand, and whose kubelet serves nothing but their logs. */
export class LogNode {
  readonly #server: Server
  readonly #directory: string
  readonly #streams = new Set<ServerResponse>()
  #ticks = 0

  private constructor(server: Server, directory: string) {
    this.#server = server
    this.#directory = directory
  }

  /** Registers node `node`, which {@link Kubelet.bind} binds pods to. */
  static async start(client: KubernetesClient): Promise<LogNode> {
    const directory = await mkdtemp(join(tmpdir(), 'pgpack-kubelet-'))
    const pair = await issue(await createAuthority(directory), directory, 'kubelet', {
      commonName: 'kubelet',
      addresses: ['127.0.0.1'],
    })
    const [cert, key] = await Promise.all([readFile(pair.certificate), readFile(pair.key)])
    const server = createServer({ cert, key })
    const node = new LogNode(server, directory)
    server.on('request', (request: IncomingMessage, response: ServerResponse) => node.#answer(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await client.create(NODES, { metadata: { name: 'node' } })
    await client.patchStatus(
      NODES,
      { name: 'node' },
      {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
      },
    )
    return node
  }

  /** Logs that are followed now. */
  get followers(): number {
    return this.#streams.size
  }

  /** One of `shares` groups of engines prints its progress, the next one at the next call: they keep no common time. */
  tick(shares = 1): void {
    const share = this.#ticks % shares
    const done = Math.floor(this.#ticks++ / shares) + 1
    const line = encodeProgress({
      objects: 1,
      objectsDone: 0,
      rows: String(done * 100_000),
      bytes: String(done * 8_388_608),
      storedBytes: String(done * 2_097_152),
      percent: Math.min(99, done),
    })
    for (const [index, stream] of [...this.#streams].entries()) {
      if (index % shares === share) stream.write(`${line}\n`)
    }
  }

  async stop(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await rm(this.#directory, { recursive: true, force: true })
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (!request.url?.startsWith('/containerLogs/')) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.flushHeaders()
    this.#streams.add(response)
    response.on('close', () => this.#streams.delete(response))
  }
}

/** Dumps of one namespace in numbers, and the Jobs and pods that belong to them. */
export class Population {
  readonly namespace: string
  readonly #cluster: TestCluster
  readonly #kubelet: Kubelet
  readonly #watch: RunWatch
  #created = 0

  private constructor(cluster: TestCluster, namespace: string, watch: RunWatch) {
    this.#cluster = cluster
    this.namespace = namespace
    this.#kubelet = new Kubelet(cluster.client)
    this.#watch = watch
  }

  static async start(cluster: TestCluster): Promise<Population> {
    const namespace = await cluster.namespace()
    return new Population(cluster, namespace, await RunWatch.start(cluster.client, namespace))
  }

  stop(): Promise<void> {
    return this.#watch.stop()
  }

  /** Runs that have succeeded, with Job and pod, as an operator has left them that does not run now. */
  async addFinished(count: number): Promise<void> {
    await each(await this.#createAll(count), CONCURRENCY, async (created) => {
      const { client } = this.#cluster
      const job = await client.create(JOBS, withTtl(buildJob(created, [], SETTINGS, FIRST_TURN)))
      const pod = await this.#kubelet.createPod(job)
      await this.#kubelet.finish(pod, succeeded(pod))
      await this.#kubelet.completeJob(job)
      await client.patchStatus(DUMPS, created.metadata, finishedStatus(created, job, pod))
    })
  }

  /** Runs that an operator serves, all made at once, up to where it says that they run. */
  async addRunning(count: number): Promise<DumpRun[]> {
    const runs = await this.#createAll(count)
    await each(runs, CLUSTER_CONCURRENCY, async ({ metadata: { name } }) => {
      const jobName = await this.#watch.until(name, 'has a Job', ({ status }) => status?.jobName)
      const job = await this.#cluster.client.get(JOBS, { namespace: this.namespace, name: jobName })
      const pod = await this.#kubelet.createPod(job)
      await this.#kubelet.bind(pod)
      await this.#kubelet.run(pod)
    })
    await this.#allReach(runs, 'Running')
    return runs
  }

  /** Lets runs of {@link addRunning} succeed, and waits until the operator says so. */
  async finish(runs: readonly DumpRun[]): Promise<void> {
    await each(runs, CLUSTER_CONCURRENCY, async ({ metadata: { name } }) => {
      const { jobName = '', attempt = '' } = this.#watch.get(name)?.status ?? {}
      const job = await this.#cluster.client.get(JOBS, { namespace: this.namespace, name: jobName })
      const pod = { metadata: { namespace: this.namespace, name: attempt } } as Pod
      await this.#kubelet.finish(pod, succeeded(pod))
      await this.#kubelet.completeJob(job)
    })
    await this.#allReach(runs, 'Succeeded')
  }

  async #allReach(runs: readonly DumpRun[], phase: string): Promise<void> {
    const is = ({ status }: DumpRun) => status?.phase === phase || undefined
    await Promise.all(runs.map(({ metadata }) => this.#watch.until(metadata.name, `is ${phase}`, is)))
  }

  #createAll(count: number): Promise<DumpRun[]> {
    const names = Array.from({ length: count }, () => `run-${String(this.#created++).padStart(4, '0')}`)
    return each(names, CONCURRENCY, (name) => this.#cluster.client.create(DUMPS, dump(this.namespace, name) as DumpRun))
  }
}

/** What the work makes of each item, so many at once. */
async function each<A, T>(items: readonly A[], atOnce: number, work: (item: A) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  const left = items.entries()
  const worker = async (): Promise<void> => {
    for (const [index, item] of left) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}

function withTtl(job: Job): Job {
  return { ...job, spec: { ...job.spec, ttlSecondsAfterFinished: 86_400 } as NonNullable<Job['spec']> }
}

function finishedStatus({ metadata }: DumpRun, job: Job, pod: Pod): object {
  const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
  const condition = (type: string, status: string, reason: string, message: string) => {
    return { type, status, reason, message, lastTransitionTime: now, observedGeneration: metadata.generation }
  }
  return {
    phase: 'Succeeded',
    observedGeneration: metadata.generation,
    jobName: job.metadata?.name,
    attempt: pod.metadata?.name,
    attempts: 1,
    startTime: now,
    completionTime: now,
    artifact: {
      path: 'test/orders/attempt',
      manifestSHA256: 'a'.repeat(64),
      rows: 5_000_000,
      storedBytes: 314_572_800,
    },
    conditions: [
      condition('Succeeded', 'True', 'Succeeded', '5000000 rows, 1 GiB (300 MiB stored) in 14.2 s'),
      condition('Reconciling', 'False', 'Succeeded', ''),
      condition('Stalled', 'False', 'Succeeded', ''),
    ],
  }
}
