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
import { run, waitFor } from '../cluster/processes.ts'
import { ensureTools } from '../cluster/tools.ts'
import type { TestCluster } from '../integration/operator/controllers/cluster.ts'
import { Kubelet } from '../integration/operator/controllers/kubelet.ts'
import { dump } from '../integration/operator/controllers/manifests.ts'
import { succeeded } from '../integration/operator/controllers/scenario.ts'
import { Samples } from './prometheus.ts'

const NODES: Resource<ApiObject & { status?: unknown }> = {
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  namespaced: false,
}
/** Requests of ours that are under way at once. */
const CONCURRENCY = 16
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

  /** Every engine prints its progress once. */
  tick(): void {
    const done = ++this.#ticks
    const line = encodeProgress({
      objects: 1,
      objectsDone: 0,
      rows: String(done * 100_000),
      bytes: String(done * 8_388_608),
      storedBytes: String(done * 2_097_152),
      percent: Math.min(99, done),
    })
    for (const stream of this.#streams) stream.write(`${line}\n`)
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
  #created = 0

  constructor(cluster: TestCluster, namespace: string) {
    this.#cluster = cluster
    this.namespace = namespace
    this.#kubelet = new Kubelet(cluster.client)
  }

  /** Runs that have succeeded, with Job and pod, as an operator has left them that does not run now. */
  async addFinished(count: number): Promise<void> {
    await this.#each(count, async () => {
      const { client } = this.#cluster
      const created = await this.#create()
      const job = await client.create(JOBS, withTtl(buildJob(created, [], SETTINGS, FIRST_TURN)))
      const pod = await this.#kubelet.createPod(job)
      await this.#kubelet.finish(pod, succeeded(pod))
      await this.#kubelet.completeJob(job)
      await client.patchStatus(DUMPS, created.metadata, finishedStatus(created, job, pod))
    })
  }

  /** Runs that an operator serves, up to where their pods run on the node. */
  async addRunning(count: number): Promise<DumpRun[]> {
    return this.#each(count, async () => {
      const created = await this.#create()
      const job = await waitFor(`a Job of ${created.metadata.name}`, 60_000, async () => {
        const { status } = await this.#cluster.client.get(DUMPS, created.metadata)
        const name = status?.jobName
        return name === undefined ? undefined : this.#cluster.client.find(JOBS, { namespace: this.namespace, name })
      })
      const pod = await this.#kubelet.createPod(job)
      await this.#kubelet.bind(pod)
      await this.#kubelet.run(pod)
      return created
    })
  }

  /** Lets runs of {@link addRunning} succeed, and waits until the operator says so. */
  async finish(runs: readonly DumpRun[]): Promise<void> {
    await this.#eachOf(runs, async ({ metadata }) => {
      const { client } = this.#cluster
      const { status } = await client.get(DUMPS, metadata)
      const job = await client.get(JOBS, { namespace: this.namespace, name: status?.jobName ?? '' })
      const pod = { metadata: { namespace: this.namespace, name: status?.attempt ?? '' } } as Pod
      await this.#kubelet.finish(pod, succeeded(pod))
      await this.#kubelet.completeJob(job)
      await this.#reaches(metadata, 'Succeeded')
    })
  }

  async reachRunning(runs: readonly DumpRun[]): Promise<void> {
    await this.#eachOf(runs, ({ metadata }) => this.#reaches(metadata, 'Running'))
  }

  async #reaches(ref: DumpRun['metadata'], phase: string): Promise<void> {
    await waitFor(`${ref.name} is ${phase}`, 60_000, async () => {
      const { status } = await this.#cluster.client.get(DUMPS, ref)
      return status?.phase === phase || undefined
    })
  }

  #create(): Promise<DumpRun> {
    const name = `run-${String(this.#created++).padStart(4, '0')}`
    return this.#cluster.client.create(DUMPS, dump(this.namespace, name) as DumpRun)
  }

  #each<T>(count: number, work: () => Promise<T>): Promise<T[]> {
    return this.#eachOf(Array.from({ length: count }), work)
  }

  async #eachOf<A, T>(items: readonly A[], work: (item: A) => Promise<T>): Promise<T[]> {
    const results: T[] = []
    const left = items.entries()
    const worker = async (): Promise<void> => {
      for (const [index, item] of left) results[index] = await work(item)
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, worker))
    return results
  }
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

/** The resources that an operator works with; the API server asks itself about others all the time. */
const RESOURCES = new Set(['pgpackdumps', 'pgpackrestores', 'pgpacktransfers', 'jobs', 'pods', 'configmaps', 'events'])

/** What was asked of an API server, by verb and resource: its own count, whoever asked. */
export class RequestCount {
  readonly #kubeconfig: string
  #before = new Map<string, number>()

  private constructor(kubeconfig: string) {
    this.#kubeconfig = kubeconfig
  }

  /** Counts from now on. */
  static async start(kubeconfig: string): Promise<RequestCount> {
    const count = new RequestCount(kubeconfig)
    count.#before = await count.#read()
    return count
  }

  /** `LIST jobs` -> 1, since the start. */
  async sinceStart(): Promise<Map<string, number>> {
    const now = [...(await this.#read())].map(([key, value]) => [key, value - (this.#before.get(key) ?? 0)] as const)
    return new Map(now.filter(([, value]) => value > 0).sort())
  }

  async #read(): Promise<Map<string, number>> {
    const { kubectl } = await ensureTools(['kubectl'])
    const samples = new Samples(await run(kubectl, ['--kubeconfig', this.#kubeconfig, 'get', '--raw', '/metrics']))
    const sums = new Map<string, number>()
    // Watches, and logs that are followed, are counted when they end; how many there are is a gauge.
    for (const metric of ['apiserver_request_total', 'apiserver_longrunning_requests']) {
      for (const { labels, value } of samples.select(metric)) {
        const { verb = '', resource = '', subresource = '' } = labels
        if (!RESOURCES.has(resource)) continue
        const key = `${verb} ${subresource === '' ? resource : `${resource}/${subresource}`}`
        sums.set(key, (sums.get(key) ?? 0) + value)
      }
    }
    return sums
  }
}
