import { setTimeout as pause } from 'node:timers/promises'
import type { Cluster } from '../cluster/index.ts'
import { condition, isFinal, type Run, type RunKind, type RunRef } from '../cluster/quickstart/runs.ts'
import { FAULT_NAMES, type FaultName, infoOf } from './faults.ts'
import { type Injection, Injector } from './injector.ts'
import { findNode } from './node.ts'
import { type Step, schedule } from './schedule.ts'
import { modeOf, ROWS, Stage } from './stage.ts'
import { type Outcome, problemsOf, type RunOutcome, type StoredManifest } from './verdict.ts'

export interface ChaosOptions {
  readonly seed: number
  readonly faults: number
  /** Dumps and their restores that are under way at once. */
  readonly lanes?: number
  readonly tell?: (line: string) => void
}

/** A fault, and what it has hit. */
export interface Injected extends Injection {
  readonly step: Step
  /** Why it could not be done, where something of the harness failed. */
  readonly error?: unknown
}

export interface ChaosReport {
  readonly seed: number
  readonly injected: readonly Injected[]
  readonly outcomes: readonly Outcome[]
  readonly manifests: readonly StoredManifest[]
  /** Runs with the attempts that they took. */
  readonly attempts: ReadonlyMap<string, number>
  /** Empty when every end is true. */
  readonly problems: readonly string[]
  readonly seconds: number
}

const LANES = 4
/** After the last fault; a Job waits up to six minutes between two attempts. */
const SETTLE_MS = 480_000
/** For something to be there that a fault could hit. */
const TARGET_MS = 30_000

/** Makes runs and breaks what they need, as the seed says, until the faults are used up; then waits, and judges. */
export async function playChaos(cluster: Cluster, options: ChaosOptions): Promise<ChaosReport> {
  const startedAt = performance.now()
  const stage = await Stage.open(cluster)
  try {
    const { injected, numbers } = await play(stage, options)
    const { outcomes, attempts } = await observe(stage, numbers, injected)
    const manifests = await stage.storedManifests()
    return {
      seed: options.seed,
      injected,
      outcomes,
      manifests,
      attempts,
      problems: [...problemsOf(outcomes, manifests, ROWS), ...(await strayJobs(stage))],
      seconds: (performance.now() - startedAt) / 1000,
    }
  } finally {
    await stage.close()
  }
}

async function play(stage: Stage, { seed, faults, lanes = LANES, tell = () => undefined }: ChaosOptions) {
  const node = await findNode()
  const names = FAULT_NAMES.filter((name) => node !== undefined || infoOf(name).onNode !== true)
  const refs: RunRef[] = []
  const numbers: number[] = []
  let isOver = false
  const lane = async (): Promise<void> => {
    while (!isOver) {
      const number = numbers.push(numbers.length + 1)
      await stage.createTarget(number)
      for (const ref of refsOf(number)) {
        refs.push(ref)
        await stage.create(ref)
        await untilFinal(stage, ref)
      }
    }
  }
  const lived = Promise.all(Array.from({ length: lanes }, lane))
  const injector = new Injector(stage, node, () => refs)
  const injected: Injected[] = []
  for (const step of schedule(seed, faults, names)) {
    await pause(step.pauseMs)
    injected.push(await injectOne(injector, step))
    tell(describe(injected.at(-1)))
  }
  isOver = true
  await lived
  return { injected, numbers }
}

async function injectOne(injector: Injector, step: Step): Promise<Injected> {
  try {
    return { step, ...(await injector.inject(step, TARGET_MS)) }
  } catch (error) {
    // It may have been done by half, to whatever was there.
    return { step, hit: undefined, runs: injector.alive(), error }
  }
}

function describe(injected: Injected | undefined): string {
  if (injected === undefined) return ''
  const { step, hit, error } = injected
  return `${step.number} ${step.fault}: ${hit ?? (error === undefined ? 'nothing to hit' : String(error))}`
}

function refsOf(number: number): RunRef[] {
  const kinds: readonly (readonly [RunKind, string])[] = [
    ['PGPackDump', 'dump'],
    ['PGPackRestore', 'restore'],
  ]
  return kinds.map(([kind, name]) => ({ kind, name: `${name}-${number}` }))
}

/** A run that does not end is not waited for any longer, and stands in the report as stuck. */
async function untilFinal(stage: Stage, ref: RunRef): Promise<void> {
  const deadline = performance.now() + SETTLE_MS
  while (performance.now() < deadline) {
    const run = stage.runs.latest(ref)
    if (run !== undefined && isFinal(run)) return
    await pause(250)
  }
}

/** A resource that was made again at the very end may still be at work. */
async function observe(stage: Stage, numbers: readonly number[], injected: readonly Injected[]) {
  const outcomes: Outcome[] = []
  const attempts = new Map<string, number>()
  for (const number of numbers) {
    const [dump, restore] = await Promise.all(
      refsOf(number).map(async (ref) => {
        await untilFinal(stage, ref)
        const run = stage.runs.latest(ref)
        attempts.set(ref.name, run?.status?.attempts ?? 0)
        return outcomeOf(run, faultsOf(injected, ref))
      }),
    )
    if (dump === undefined || restore === undefined) continue
    outcomes.push({ number, mode: modeOf(number), dump, restore, target: await stage.targetRows(number) })
  }
  return { outcomes, attempts }
}

function faultsOf(injected: readonly Injected[], { name }: RunRef): FaultName[] {
  return injected.filter(({ runs }) => runs.includes(name)).map(({ step }) => step.fault)
}

function outcomeOf(run: Run | undefined, faults: readonly FaultName[]): RunOutcome {
  if (run === undefined) return { status: undefined, reason: '', faults }
  const { status = 'Unknown', reason = '' } = condition(run, 'Succeeded') ?? {}
  const { path, manifestSHA256, rows } = run.status?.artifact ?? {}
  return {
    status,
    reason,
    faults,
    ...(path === undefined ? {} : { path }),
    ...(manifestSHA256 === undefined ? {} : { manifestSHA256 }),
    ...(rows === undefined ? {} : { rows: Number(rows) }),
  }
}

interface Job {
  readonly metadata: { readonly name: string; readonly ownerReferences?: readonly { readonly name: string }[] }
  readonly status?: { readonly active?: number }
}

/** When all runs have ended, no Job is at work any more. */
async function strayJobs(stage: Stage): Promise<string[]> {
  const deadline = performance.now() + 60_000
  for (;;) {
    const jobs = await stage.insist('the Jobs are listed', () =>
      stage.api.list<Job>(`/apis/batch/v1/namespaces/${stage.namespace}/jobs`),
    )
    const active = jobs.filter(({ status }) => (status?.active ?? 0) > 0)
    if (active.length === 0) return []
    if (performance.now() > deadline) return active.map(({ metadata }) => `Job ${metadata.name} works for no run`)
    await pause(1_000)
  }
}

export function countHits(injected: readonly Injected[], fault: FaultName): { hit: number; missed: number } {
  const ofFault = injected.filter(({ step }) => step.fault === fault)
  const hit = ofFault.filter((each) => each.hit !== undefined).length
  return { hit, missed: ofFault.length - hit }
}
