import type { RunStatus } from '../../api/v1alpha1/status.ts'
import { PgpackError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { ApiError, isNamespaceTerminating } from '../manager/apierror.ts'
import type { Clock } from '../manager/clock.ts'
import type { ReconcileContext, ReconcileOutcome } from '../manager/controller.ts'
import { type ApiObject, controllerUid, type Job, type ObjectRef, refKey, splitKey } from '../manager/resources.ts'
import type { JobTurn } from '../specs/job.ts'
import { childName, removalName } from '../specs/names.ts'
import type { DumpRun, Run } from '../specs/run.ts'
import { planRemoval } from '../specs/runconfig.ts'
import { isFinal } from '../status/conditions.ts'
import { writeStatus } from '../status/patcher.ts'
import { refusal } from '../status/pod.ts'
import { latestPod } from './attempts.ts'
import type { CachedReader } from './caches.ts'
import { isFinalRejection, type RunReader, type RunWriter } from './client.ts'
import type { Action, Decision } from './decision.ts'
import { eventsBetween, type RunEvent } from './events.ts'
import type { ProgressFollowers } from './followers.ts'
import { nextToEnd, viewOf } from './jobs.ts'
import { dumpRefOf, planOf, prerequisiteOf } from './kinds.ts'
import { decide } from './machine.ts'
import type { RunMetrics } from './metrics.ts'
import type { JobSight, Observation, Rejection } from './observation.ts'

export interface RunReconcilerOptions {
  readonly cache: CachedReader
  readonly live: RunReader
  readonly writer: RunWriter
  readonly followers: Pick<ProgressFollowers, 'follow' | 'stop' | 'progressOf'>
  readonly record: (object: ApiObject, event: RunEvent) => void
  readonly metrics: Pick<RunMetrics, 'observe'>
  readonly clock: Pick<Clock, 'date'>
}

/** An observation, and the dump that its restore needs. */
interface Seen {
  readonly observation: Observation
  readonly dump: DumpRun | undefined
}

/** What is read around a run. */
interface Surroundings {
  readonly main: JobSight
  /** Looked for only while the run is being deleted. */
  readonly removal: JobSight
  readonly dump: DumpRun | undefined
}

const NOTHING: JobSight = { job: undefined, pods: [] }

/** A decision that can be written, and what it was taken from. */
interface Settled {
  readonly observation: Observation
  readonly decision: Decision
}

/**
 * Brings one run forward: observe, decide, act, write the status, tell. All kinds share it; what differs between them is
 * in kinds.ts. All decisions are those of {@link decide}.
 */
export class RunReconciler {
  readonly #options: RunReconcilerOptions

  constructor(options: RunReconcilerOptions) {
    this.#options = options
  }

  /** @throws ApiError, and whatever else should be tried again later */
  async reconcile(key: string, { signal, log }: ReconcileContext): Promise<ReconcileOutcome> {
    const { cache, followers } = this.#options
    const ref = splitKey(key)
    const run = await cache.run(ref, signal)
    await this.#endOrphans(ref, run, log, signal)
    if (run === undefined) {
      followers.stop(key)
      return undefined
    }
    const settled = await this.#settle(await this.#observe(cache, run, signal), signal)
    if (settled === undefined) return undefined
    const { observation, decision } = settled
    const written = await writeStatus(this.#options.writer, observation.run, statusFrom(observation), signal)
    if (written === undefined) return undefined
    if (written.written) this.#tell(written.run, written.before, written.after, log)
    await this.#tidy(written.run, observation, decision, signal)
    this.#follow(key, observation)
    const { phase, attempt } = written.after
    const { action, requeueAfterSeconds } = decision
    log.debug({ uid: run.metadata.uid, phase, attempt, written: written.written, action: action?.type }, 'run observed')
    return requeueAfterSeconds === undefined ? undefined : { requeueAfterSeconds }
  }

  /**
   * Ends Jobs whose run is gone, or has made room for another one of its name. The garbage collector would, too, but it
   * stands still for up to 30 s when a CRD comes or goes, and a query of nobody goes on all the while.
   */
  async #endOrphans(ref: ObjectRef, run: Run | undefined, log: Logger, signal: AbortSignal): Promise<void> {
    const { cache, live } = this.#options
    const foreign = cache.jobsOf(ref).filter((job) => controllerUid(job) !== run?.metadata.uid)
    if (foreign.length === 0) return
    // A cache may have seen the Job before its run.
    const owner = await live.run(ref, signal)
    for (const job of foreign.filter((candidate) => controllerUid(candidate) !== owner?.metadata.uid)) {
      const action = nextToEnd({ job, pods: await cache.pods(job, signal) })
      if (action === undefined) continue
      log.info(
        { uid: job.metadata?.ownerReferences?.[0]?.uid, jobName: job.metadata?.name, action: action.type },
        'Job of a deleted run is ended',
      )
      await this.#actOn(job, action, signal)
    }
  }

  /**
   * Acts until what is decided is a status to be written; each action leads to a decision on what it changed. Undefined
   * when the run is gone, or another one of its name is there: its cache will say so.
   */
  async #settle(seen: Seen | undefined, signal: AbortSignal): Promise<Settled | undefined> {
    if (seen === undefined) return undefined
    const decision = decide(seen.observation)
    switch (decision.action?.type) {
      case 'ObserveLive':
        return this.#settle(await this.#observeLive(seen, signal), signal)
      case 'AddFinalizer':
        return this.#settle(await this.#addFinalizer(seen, signal), signal)
      case 'CreateJob':
        return this.#settle(await this.#create(seen, decision.action.turn, signal), signal)
      case 'CreateRemovalJob':
        return this.#settle(await this.#createRemoval(seen, decision.action.deadlineSeconds, signal), signal)
      default:
        return { observation: seen.observation, decision }
    }
  }

  async #observe(reader: RunReader, run: Run, signal: AbortSignal): Promise<Seen> {
    return this.#compose(run, await this.#lookAround(reader, run, signal), reader === this.#options.live, signal)
  }

  async #lookAround(reader: RunReader, run: Run, signal: AbortSignal): Promise<Surroundings> {
    const { namespace } = run.metadata
    const dumpName = dumpRefOf(run)
    const [main, removal, dump] = await Promise.all([
      this.#sight(reader, run, mainJobOf(run), signal),
      isDeleted(run) ? this.#sight(reader, run, removalName(run), signal) : NOTHING,
      dumpName === undefined ? undefined : reader.dump({ namespace, name: dumpName }, signal),
    ])
    return { main, removal, dump }
  }

  async #compose(run: Run, { main, removal, dump }: Surroundings, live: boolean, signal: AbortSignal): Promise<Seen> {
    const pod = latestPod(main.pods)
    const observation: Observation = {
      run,
      ...main,
      removal,
      prerequisite: prerequisiteOf(run, dump),
      live,
      warnings: await this.#warnings(run, isDeleted(run) ? removal : main, signal),
      progress: pod === undefined ? undefined : this.#options.followers.progressOf(refKey(run.metadata), refOf(pod)),
      now: this.#options.clock.date(),
    }
    return { observation, dump }
  }

  /** The Job of this name, if the run controls it, and its pods. */
  async #sight(reader: RunReader, run: Run, name: string, signal: AbortSignal): Promise<JobSight> {
    const found = await reader.job({ namespace: run.metadata.namespace, name }, signal)
    if (found === undefined || controllerUid(found) !== run.metadata.uid) return NOTHING
    return { job: found, pods: await reader.pods(found, signal) }
  }

  /** Events are read only for a pod that is awaited: nothing else says that a mount fails or a quota is used up. */
  async #warnings(run: Run, { job, pods }: JobSight, signal: AbortSignal) {
    const isIdle = !isDeleted(run) && (isFinal(run.status) || run.spec.suspend === true)
    if (job === undefined || isIdle || ['Complete', 'Failed'].includes(viewOf(job))) return []
    const pod = latestPod(pods)
    const phase = pod?.status?.phase
    if (phase === 'Running' || phase === 'Succeeded') return []
    return this.#options.writer.warnings(pod !== undefined && phase === 'Pending' ? pod : job, signal)
  }

  /** All at once: what surrounds the run is asked for by what the cache knows of it, which is nearly always right. */
  async #observeLive({ observation: { run: known } }: Seen, signal: AbortSignal): Promise<Seen | undefined> {
    const { live } = this.#options
    const [run, around] = await Promise.all([live.run(known.metadata, signal), this.#lookAround(live, known, signal)])
    if (run?.metadata.uid !== known.metadata.uid) return undefined
    const isRight = mainJobOf(run) === mainJobOf(known) && isDeleted(run) === isDeleted(known)
    return isRight ? this.#compose(run, around, true, signal) : this.#observe(live, run, signal)
  }

  async #addFinalizer({ observation, dump }: Seen, signal: AbortSignal): Promise<Seen> {
    return {
      observation: { ...observation, run: await this.#options.writer.addFinalizer(observation.run, signal) },
      dump,
    }
  }

  async #create({ observation, dump }: Seen, turn: JobTurn, signal: AbortSignal): Promise<Seen> {
    const { run } = observation
    const job = await orRejection(() => this.#options.writer.createJob(run, planOf(run, dump), turn, signal))
    if ('final' in job) return { observation: { ...observation, rejection: job }, dump }
    // Not live: a Job that another operator made a moment ago may have pods already.
    return { observation: { ...observation, job, pods: [], live: false }, dump }
  }

  async #createRemoval({ observation, dump }: Seen, deadlineSeconds: number, signal: AbortSignal): Promise<Seen> {
    const { run } = observation
    if (run.kind !== 'PGPackDump') throw new Error(`a ${run.kind} has no artefact to be removed`)
    const plan = planRemoval(run)
    const job = await orRejection(() => this.#options.writer.createRemovalJob(run, plan, deadlineSeconds, signal))
    if ('final' in job) return { observation: { ...observation, rejection: job }, dump }
    return { observation: { ...observation, removal: { job, pods: [] }, live: false }, dump }
  }

  /** What is done after the status was written, because it must not happen without it. */
  async #tidy(run: Run, { job }: Observation, { action }: Decision, signal: AbortSignal): Promise<void> {
    if (action?.type === 'RemoveFinalizer') await this.#options.writer.removeFinalizer(run, signal)
    if (job !== undefined && action !== undefined) await this.#actOn(job, action, signal)
  }

  async #actOn(job: Job, action: Action, signal: AbortSignal): Promise<void> {
    const { writer } = this.#options
    if (action.type === 'SuspendJob') await writer.suspendJob(job, action.suspend, signal)
    if (action.type === 'DeleteJob') await writer.deleteJob(job, signal)
    if (action.type === 'ExpireJob') await writer.expireJob(job, action.ttlSecondsAfterFinished, signal)
  }

  #follow(key: string, { pods }: Observation): void {
    const pod = latestPod(pods)
    if (pod?.status?.phase === 'Running') this.#options.followers.follow(key, refOf(pod))
    else this.#options.followers.stop(key)
  }

  /** Events for the run's user, and the same in the log for whoever keeps the operator. */
  #tell(run: Run, before: Run['status'], after: NonNullable<Run['status']>, log: Logger): void {
    this.#options.metrics.observe(run.kind, before, after)
    const { attempt, jobName } = after
    for (const event of eventsBetween(before, after)) {
      this.#options.record(run, event)
      log.info({ uid: run.metadata.uid, jobName, attempt, reason: event.reason, detail: event.message }, 'run moved on')
    }
  }
}

/**
 * What {@link decide} makes of an observation, for the run as it is when the status is written. Where the run has got
 * another Job meanwhile, the observation is of the wrong one: nothing is written, and the change itself wakes us again.
 */
function statusFrom(observation: Observation): (latest: Run) => RunStatus {
  return (latest) => {
    if (latest.status?.jobName !== observation.run.status?.jobName) return latest.status ?? {}
    return decide({ ...observation, run: latest }).status
  }
}

/** Name of the Job that the run has, or that its first Job gets. */
function mainJobOf(run: Run): string {
  return run.status?.jobName ?? childName(run)
}

function isDeleted({ metadata }: Run): boolean {
  return metadata.deletionTimestamp !== undefined
}

function refOf(object: ApiObject): ObjectRef {
  return { namespace: object.metadata?.namespace, name: object.metadata?.name ?? '' }
}

/** What the API server gives, or why it refuses it. */
async function orRejection(create: () => Promise<Job>): Promise<Job | Rejection> {
  try {
    return await create()
  } catch (error) {
    const rejection = rejectionOf(error)
    if (rejection === undefined) throw error
    return rejection
  }
}

function rejectionOf(error: unknown): Rejection | undefined {
  if (error instanceof PgpackError && error.code === 'CONFIG_INVALID') {
    return { final: false, reason: 'JobNotCreated', message: error.message }
  }
  if (!(error instanceof ApiError)) return undefined
  const { message } = error
  if (isNamespaceTerminating(error)) return { final: false, reason: 'NamespaceTerminating', message }
  const final = isFinalRejection(error)
  if (final === undefined) return undefined
  return final ? { final, reason: 'InvalidSpec', message } : { final, ...refusal('JobNotCreated', message) }
}
