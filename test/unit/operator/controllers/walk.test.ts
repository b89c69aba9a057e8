import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { silentLogger } from '../../../../src/log.ts'
import { stateOf } from '../../../../src/operator/controllers/machine.ts'
import { RunReconciler } from '../../../../src/operator/controllers/reconciler.ts'
import type { Run } from '../../../../src/operator/specs/run.ts'
import { findCondition, isFinal } from '../../../../src/operator/status/conditions.ts'
import { dumpRun, restoreRun, transferRun } from './fixtures.ts'
import { Cache, type Ending, PATH, View, World, writerOf } from './model.ts'

/** An operator with caches of its own, which is woken as its queue would wake it. */
class Operator {
  readonly #world: World
  readonly #cache: Cache
  readonly #reconciler: RunReconciler
  #isDirty = true
  #requeueAt = Number.POSITIVE_INFINITY
  reconciles = 0

  constructor(world: World) {
    this.#world = world
    this.#cache = new Cache(world)
    this.#reconciler = new RunReconciler({
      cache: new View(world, () => this.#cache.objects),
      live: new View(world, () => world.objects),
      writer: writerOf(world),
      followers: { follow: () => undefined, stop: () => undefined, progressOf: () => undefined },
      record: () => undefined,
      metrics: { observe: () => undefined },
      clock: { date: () => world.now },
    })
  }

  sync(...parts: readonly ('run' | 'jobs' | 'pods')[]): void {
    for (const part of parts) if (this.#cache.sync(part)) this.#isDirty = true
  }

  async reconcile(): Promise<void> {
    this.reconciles += 1
    this.#isDirty = false
    this.#requeueAt = Number.POSITIVE_INFINITY
    try {
      const context = { signal: new AbortController().signal, log: silentLogger }
      const outcome = await this.#reconciler.reconcile('shop/orders', context)
      if (outcome?.requeueAfterSeconds !== undefined) {
        this.#requeueAt = this.#world.seconds + outcome.requeueAfterSeconds
      }
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ApiError') throw error
      this.#requeueAt = this.#world.seconds + 1
    }
  }

  /** Only if something wakes it; whether it has, or will without anything new. */
  async work(): Promise<boolean> {
    if (this.#isDirty || this.#requeueAt <= this.#world.seconds) await this.reconcile()
    else return this.#requeueAt < Number.POSITIVE_INFINITY
    return true
  }
}

type Step = (world: World, operators: readonly Operator[]) => Promise<void> | void

const operatorStep = fc
  .record({ which: fc.nat(1), parts: fc.subarray(['run', 'jobs', 'pods'] as const), acts: fc.boolean() })
  .map(({ which, parts, acts }): [string, Step] => [
    `operator ${which} sees ${parts}${acts ? ' and acts' : ''}`,
    async (_, operators) => {
      operators[which]?.sync(...parts)
      if (acts) await operators[which]?.reconcile()
    },
  ])

const endings: readonly Ending[] = ['succeeded', 'transient', 'permanent', 'killed']
const named = (name: string, step: Step): [string, Step] => [name, step]
const worldStep = fc.constantFrom(
  named('the Job controller', (world) => world.runJobController()),
  named('the garbage collector', (world) => world.collectGarbage()),
  ...endings.map((ending) => named(`pods: ${ending}`, (world) => world.movePods(ending))),
  named('a Job is deleted', (world) => world.deleteJob([...world.objects.jobs.keys()].at(-1) ?? '')),
  named('a pod is deleted', (world) => void world.objects.pods.delete([...world.objects.pods.keys()].at(-1) ?? '')),
  named('suspended', (world) => world.changeRun(({ spec }) => void Object.assign(spec, { suspend: true }))),
  named('resumed', (world) => world.changeRun(({ spec }) => void Object.assign(spec, { suspend: false }))),
  named('policy Delete', (world) =>
    world.changeRun((run) => {
      if (run.kind === 'PGPackDump') run.spec.deletionPolicy = 'Delete'
    }),
  ),
  named('deleted', (world) => world.delete()),
  named('a minute passes', (world) => world.pass(60)),
  named('a write is refused', (world) => world.meet('refused')),
  named('an answer is lost', (world) => world.meet('lost')),
)

const walk = fc.array(fc.oneof({ arbitrary: operatorStep, weight: 2 }, { arbitrary: worldStep, weight: 3 }), {
  minLength: 5,
  maxLength: 60,
})
const anyRun = fc.constantFrom<Run>(
  dumpRun(),
  dumpRun({ deletionPolicy: 'Delete', job: { backoffLimit: 1 } }),
  restoreRun({
    source: { s3: { endpoint: 'http://s3', bucket: 'b-3', credentialsSecretRef: { name: 's' } }, path: 'p' },
  }),
  transferRun(),
  transferRun({ mode: 'Replace' }),
)

/** What must hold at every moment. */
function check(world: World, before: Run | undefined): void {
  const { run } = world.objects
  if (run !== undefined && isFinal(before?.status)) {
    expect(findCondition(run.status, 'Succeeded')).toEqual(findCondition(before?.status, 'Succeeded'))
    expect(run.status?.artifact).toEqual(before?.status?.artifact)
  }
  if (run?.kind === 'PGPackDump' && run.status?.phase === 'Succeeded' && run.metadata.deletionTimestamp === undefined) {
    expect([...world.store]).toContain(`${run.status.artifact?.path}/manifest.json`)
  }
  // A failure for want of a result is one only when the result is not there.
  if (!isFinal(before?.status) && findCondition(run?.status, 'Succeeded')?.reason === 'ResultUnknown') {
    expect([...world.objects.pods.values()].filter(({ status }) => status?.phase === 'Succeeded')).toEqual([])
  }
  for (const { name, run: at } of world.created) {
    if (name.includes('-remove-')) expect(stateOf(at as Run)).toBe('Removing')
    else expect(['New', 'Started']).toContain(stateOf(at as Run))
  }
  const active = [...world.objects.jobs.values()].filter(
    ({ metadata, status }) => !metadata?.name?.includes('-remove-') && status?.conditions === undefined,
  )
  expect(active.length).toBeLessThanOrEqual(1)
}

/** Of two operators: a pod takes two rounds to its end, and its Job one more. */
const QUIET_ROUNDS = 12

/** Everything works as it should from now on, and nobody is woken without a reason. */
async function settle(world: World, operators: readonly Operator[]): Promise<void> {
  world.meet('none')
  world.changeRun(({ spec }) => void Object.assign(spec, { suspend: false }))
  for (let round = 0, quiet = 0; round < 60 && quiet < QUIET_ROUNDS; round++) {
    world.runJobController()
    world.movePods('succeeded')
    for (const operator of operators) {
      operator.sync('run', 'jobs', 'pods')
      quiet = (await operator.work()) ? 0 : quiet + 1
    }
    world.pass(10)
  }
}

describe('whatever happens in whatever order, to two operators with caches that lag', () => {
  const walked = async (run: Run, steps: readonly [string, Step][]): Promise<World> => {
    const world = new World(structuredClone(run))
    const operators = [new Operator(world), new Operator(world)]
    for (const [, step] of steps) {
      const before = structuredClone(world.objects.run)
      await step(world, operators)
      check(world, before)
    }
    await settle(world, operators)
    check(world, undefined)
    return world
  }

  it('a run ends: no second Job for a finished one, no success without a manifest, no state without a way out', async () => {
    await fc.assert(
      fc.asyncProperty(anyRun, walk, async (run, steps) => {
        const { objects, store } = await walked(run, steps)
        const unfinished = [...objects.jobs.values()].filter(({ status }) => status?.conditions === undefined)
        expect(unfinished).toEqual([])
        if (objects.run === undefined) expect([...objects.jobs.keys()]).toEqual([])
        else expect(isFinal(objects.run.status)).toBe(true)
        if (objects.run !== undefined && run.kind === 'PGPackDump' && objects.run.status?.phase === 'Succeeded') {
          expect([...store].filter((key) => key.endsWith('manifest.json'))).not.toEqual([])
        }
      }),
      { numRuns: 250, seed: 20_261_121 },
    )
  }, 120_000)

  it('nothing of a dump that was to go with its resource is left', async () => {
    const deleteAll = named('deleted', (world) => world.delete())
    const run = dumpRun({ deletionPolicy: 'Delete' })
    // The Job of a removal that somebody deletes, and time that passes, may let the resource go with its artefact.
    const calm = walk.map((steps) => steps.filter(([name]) => !/minute|deleted$/.test(name)))
    await fc.assert(
      fc.asyncProperty(calm, async (steps) => {
        const seen = named('operator 0 sees all', async (_, [operator]) => {
          operator?.sync('run')
          await operator?.reconcile()
        })
        const { objects, store } = await walked(run, [seen, ...steps, deleteAll])
        expect(objects.run).toBeUndefined()
        expect([...store].filter((key) => key.startsWith(`${PATH}/`))).toEqual([])
      }),
      { numRuns: 100, seed: 7 },
    )
  }, 120_000)

  it('an operator that has nothing to do rests', async () => {
    const world = new World(dumpRun())
    const operator = new Operator(world)
    await settle(world, [operator])
    expect(world.objects.run?.status?.phase).toBe('Succeeded')
    expect(operator.reconciles).toBeLessThan(15)
  })
})
