import { setTimeout as pause } from 'node:timers/promises'
import { waitFor } from '../cluster/processes.ts'
import type { KubernetesObject } from '../cluster/quickstart/api.ts'
import type { Row } from '../cluster/quickstart/databases.ts'
import { OPERATOR } from '../cluster/quickstart/operator.ts'
import { isFinal, type Run, type RunRef, shortName } from '../cluster/quickstart/runs.ts'
import { type FaultName, infoOf } from './faults.ts'
import type { Node, NodeProcess } from './node.ts'
import { pickOne, type Step } from './schedule.ts'
import { modeOf, type Stage } from './stage.ts'

interface Pod extends KubernetesObject {
  readonly status: { readonly phase: string }
}

const NOW = ['--grace-period=0', '--force', '--wait=false', '--ignore-not-found']
const RECOVERY_MS = 120_000

/** A run that can be hit. */
interface Aim {
  readonly ref: RunRef
  readonly run: Run
}

/** What a fault has hit; undefined when there was nothing to hit. */
export type Hit = string | undefined

/** What a fault has hit, and names of the runs that may fail of it. */
export interface Injection {
  readonly hit: Hit
  readonly runs: readonly string[]
}

/** Does to the cluster what the schedule says. */
export class Injector {
  readonly #stage: Stage
  readonly #node: Node | undefined
  readonly #refs: () => readonly RunRef[]

  /** @param refs the runs that have been made so far */
  constructor(stage: Stage, node: Node | undefined, refs: () => readonly RunRef[]) {
    this.#stage = stage
    this.#node = node
    this.#refs = refs
  }

  /** Waits for something to hit, and hits it; returns when what was stopped goes on. */
  async inject(step: Step, patienceMs: number): Promise<Injection> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      const injection = await this.#faults[step.fault](step)
      if (injection.hit !== undefined || performance.now() > deadline) return injection
      await pause(250)
    }
  }

  /** Names of all runs that have not ended. */
  alive(): string[] {
    const { runs } = this.#stage
    const active = this.#refs().filter((ref) => {
      const run = runs.latest(ref)
      return run === undefined || !isFinal(run)
    })
    return active.map(({ name }) => name)
  }

  /** Hits one of the runs that can be hit. */
  async #aimed({ fault, pick }: Step, strike: (aim: Aim) => Promise<Hit>): Promise<Injection> {
    const aim = pickOne(this.#candidates(fault), pick)
    if (aim === undefined) return { hit: undefined, runs: [] }
    return { hit: await strike(aim), runs: [aim.ref.name] }
  }

  /** Hits what all runs share: those that are there at its beginning, or at its end. */
  async #shared(strike: () => Promise<Hit>): Promise<Injection> {
    const before = this.alive()
    const hit = await strike()
    return { hit, runs: hit === undefined ? [] : [...new Set([...before, ...this.alive()])] }
  }

  /** Runs that a fault can hit now. An Append that is made again is asked for twice: two times its rows would be right. */
  #candidates(fault: FaultName): Aim[] {
    const { runs } = this.#stage
    return this.#refs().flatMap((ref) => {
      const run = runs.latest(ref)
      if (run === undefined || isFinal(run)) return []
      const isReady = infoOf(fault).target === 'Attempt' ? run.status?.phase === 'Running' : run.status?.jobName
      const isTwice = fault === 'Recreate' && ref.kind === 'PGPackRestore' && modeOf(numberOf(ref)) === 'Append'
      return isReady && !isTwice ? [{ ref, run }] : []
    })
  }

  readonly #faults: Readonly<Record<FaultName, (step: Step) => Promise<Injection>>> = {
    DeletePod: (step) => this.#aimed(step, ({ run }) => this.#deletePod(run.status?.attempt)),
    KillEngine: (step) =>
      this.#aimed(step, async ({ run }) => {
        const { attempt } = run.status ?? {}
        const uid = await this.#podUid(attempt)
        const killed = await this.#signal('SIGKILL', (each) => isOf(each, uid) && each.command.includes('main.js run'))
        return killed > 0 ? attempt : undefined
      }),
    KillBoth: (step) =>
      this.#aimed(step, async ({ run }) => {
        const [pod, leader] = await Promise.all([this.#deletePod(run.status?.attempt), this.#deleteLeader()])
        return pod && `${pod}, ${leader}`
      }),
    DeleteJob: (step) =>
      this.#aimed(step, async ({ run }) => {
        const name = run.status?.jobName
        if (name === undefined) return undefined
        await this.#stage.kubectl('delete', 'job', name, '--wait=false', '--ignore-not-found')
        return name
      }),
    Recreate: (step) =>
      this.#aimed(step, async ({ ref }) => {
        await this.#stage.kubectl('delete', shortName(ref), '--ignore-not-found', '--timeout=60s')
        await this.#stage.create(ref)
        return shortName(ref)
      }),
    TerminateBackend: ({ pick }) =>
      this.#shared(async () => {
        const own = "usename = current_user and backend_type = 'client backend' and client_addr <> '127.0.0.1'"
        const rows = await this.#ask<{ pid: number }>(`select pid from pg_stat_activity where ${own} order by pid`)
        const pid = pickOne(rows, pick)?.pid
        if (pid === undefined) return undefined
        await this.#ask(`select pg_terminate_backend(${pid})`)
        return `backend ${pid}`
      }),
    KillOperator: () => this.#shared(() => this.#deleteLeader()),
    CrashPostgres: () =>
      this.#shared(async () => {
        const uid = await this.#serverUid('postgres')
        const hit = await this.#signal('SIGKILL', (each) => isOf(each, uid) && each.command.includes('checkpointer'))
        if (hit === 0) return undefined
        await this.#ask('select 1')
        return 'PostgreSQL'
      }),
    StopStore: ({ lastsMs }) =>
      this.#shared(async () => {
        const uid = await this.#serverUid('minio')
        return this.#standStill('MinIO', lastsMs, (each) => isOf(each, uid) && each.command.includes('minio server'))
      }),
    StopApiServer: ({ lastsMs }) =>
      this.#shared(async () => {
        const hit = await this.#standStill('API server', lastsMs, ({ command }) => /^\S*kube-apiserver /.test(command))
        await waitFor('the API server answers again', RECOVERY_MS, () => this.#stage.kubectl('get', 'pods'))
        return hit
      }),
    FillQuota: ({ lastsMs }) => this.#shared(() => this.#fillQuota(lastsMs)),
  }

  async #fillQuota(lastsMs: number): Promise<Hit> {
    await this.#stage.kubectl('create', 'quota', 'chaos', '--hard=pods=1')
    try {
      await pause(lastsMs)
    } finally {
      await this.#stage.insist('the quota is gone', () =>
        this.#stage.kubectl('delete', 'quota', 'chaos', '--ignore-not-found'),
      )
    }
    return `${lastsMs} ms`
  }

  /** Of a database that may just be down. */
  #ask<R extends Row>(sql: string): Promise<R[]> {
    return this.#stage.insist('PostgreSQL answers', () => this.#stage.databases.shop.query<R>(sql))
  }

  async #standStill(name: string, ms: number, matches: (process: NodeProcess) => boolean): Promise<Hit> {
    const stopped = await this.#signal('SIGSTOP', matches)
    try {
      await pause(ms)
    } finally {
      await this.#signal('SIGCONT', matches)
    }
    return stopped > 0 ? `${name}, ${ms} ms` : undefined
  }

  async #signal(signal: NodeJS.Signals, matches: (process: NodeProcess) => boolean): Promise<number> {
    return (await this.#node?.signal(signal, matches)) ?? 0
  }

  async #deletePod(name: string | undefined): Promise<Hit> {
    if (name === undefined) return undefined
    await this.#stage.kubectl('delete', 'pod', name, ...NOW)
    return name
  }

  async #deleteLeader(): Promise<Hit> {
    const lease = [
      'get',
      'lease',
      '--namespace',
      OPERATOR.namespace,
      '--output',
      'jsonpath={.items[*].spec.holderIdentity}',
    ]
    const leader = (await this.#stage.cluster.kubectl(lease)).trim().split(' ')[0]
    if (!leader) return undefined
    await this.#stage.cluster.kubectl(['delete', 'pod', leader, '--namespace', OPERATOR.namespace, ...NOW])
    return leader
  }

  /** Of the one pod of a server of the stage. */
  async #serverUid(name: string): Promise<string> {
    const selector = `labelSelector=app.kubernetes.io/instance=${name}`
    const pods = await this.#stage.api.list<Pod>(`/api/v1/namespaces/${this.#stage.namespace}/pods?${selector}`)
    return pods.find(({ status }) => status.phase === 'Running')?.metadata.uid ?? ''
  }

  async #podUid(name: string | undefined): Promise<string> {
    if (name === undefined) return ''
    const output = ['--ignore-not-found', '--output', 'jsonpath={.metadata.uid}']
    return this.#stage.kubectl('get', 'pod', name, ...output)
  }
}

function isOf({ groups }: NodeProcess, podUid: string): boolean {
  return podUid !== '' && groups.includes(podUid)
}

export function numberOf({ name }: RunRef): number {
  return Number(name.slice(name.indexOf('-') + 1))
}
