import type { RunStatus } from '../../api/v1alpha1/status.ts'
import { PgpackError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { ApiError } from '../manager/apierror.ts'
import type { Clock } from '../manager/clock.ts'
import type { ReconcileContext, ReconcileOutcome } from '../manager/controller.ts'
import {
  type ApiObject,
  controllerUid,
  type Job,
  type ObjectRef,
  type Pod,
  refKey,
  splitKey,
} from '../manager/resources.ts'
import type { JobTurn } from '../specs/job.ts'
import { childName } from '../specs/names.ts'
import type { DumpRun, Run } from '../specs/run.ts'
import { isFinal } from '../status/conditions.ts'
import { writeStatus } from '../status/patcher.ts'
import { latestPod } from './attempts.ts'
import { isFinalRejection, type RunReader, type RunWriter } from './client.ts'
import { type Decision, decide } from './decide.ts'
import { eventsBetween, type RunEvent } from './events.ts'
import type { ProgressFollowers } from './followers.ts'
import { dumpRefOf, planOf, prerequisiteOf } from './kinds.ts'
import type { RunMetrics } from './metrics.ts'
import type { Observation, Rejection } from './observation.ts'

export interface RunReconcilerOptions {
  readonly cache: RunReader
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

/** A decision that can be written, and what it was taken from. */
interface Settled {
  readonly observation: Observation
  readonly decision: Decision
}

/**
 * Brings one run forward: observe, decide, act, write the status, tell. Dumps and restores share it; what differs
 * between them is in kinds.ts. All decisions are those of {@link decide}.
 */
export class RunReconciler {
  readonly #options: RunReconcilerOptions

  constructor(options: RunReconcilerOptions) {
    this.#options = options
  }

  /** @throws ApiError, and whatever else should be tried again later */
  async reconcile(key: string, { signal, log }: ReconcileContext): Promise<ReconcileOutcome> {
    const { cache, followers } = this.#options
    const run = await cache.run(splitKey(key), signal)
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
    await this.#tidy(observation, decision, signal)
    this.#follow(key, observation)
    log.debug({ uid: run.metadata.uid, phase: written.after.phase, attempt: written.after.attempt }, 'run observed')
    const { requeueAfterSeconds } = decision
    return requeueAfterSeconds === undefined ? undefined : { requeueAfterSeconds }
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
      case 'CreateJob':
        return this.#settle(await this.#create(seen, decision.action.turn, signal), signal)
      default:
        return { observation: seen.observation, decision }
    }
  }

  async #observe(reader: RunReader, run: Run, signal: AbortSignal): Promise<Seen> {
    const { namespace } = run.metadata
    const dumpName = dumpRefOf(run)
    const found = await reader.job({ namespace, name: run.status?.jobName ?? childName(run) }, signal)
    const job = found !== undefined && controllerUid(found) === run.metadata.uid ? found : undefined
    const pods = job === undefined ? [] : await reader.pods(job, signal)
    const dump = dumpName === undefined ? undefined : await reader.dump({ namespace, name: dumpName }, signal)
    const pod = latestPod(pods)
    const observation: Observation = {
      run,
      job,
      pods,
      prerequisite: prerequisiteOf(run, dump),
      live: reader === this.#options.live,
      warnings: await this.#warnings(run, job, pod, signal),
      progress: pod === undefined ? undefined : this.#options.followers.progressOf(refKey(run.metadata), refOf(pod)),
      now: this.#options.clock.date(),
    }
    return { observation, dump }
  }

  /** Events are read only for a pod that is awaited: nothing else says that a mount fails or a quota is used up. */
  async #warnings(run: Run, job: Job | undefined, pod: Pod | undefined, signal: AbortSignal) {
    const isOver = isFinal(run.status) || job?.status?.completionTime !== undefined
    if (job === undefined || isOver || run.spec.suspend === true) return []
    const phase = pod?.status?.phase
    if (phase === 'Running' || phase === 'Succeeded') return []
    return this.#options.writer.warnings(pod !== undefined && phase === 'Pending' ? pod : job, signal)
  }

  async #observeLive({ observation }: Seen, signal: AbortSignal): Promise<Seen | undefined> {
    const { live } = this.#options
    const run = await live.run(observation.run.metadata, signal)
    return run?.metadata.uid === observation.run.metadata.uid ? this.#observe(live, run, signal) : undefined
  }

  async #create({ observation, dump }: Seen, turn: JobTurn, signal: AbortSignal): Promise<Seen> {
    const { run } = observation
    try {
      const job = await this.#options.writer.createJob(run, planOf(run, dump), turn, signal)
      // Not live: a Job that another operator made a moment ago may have pods already.
      return { observation: { ...observation, job, pods: [], live: false }, dump }
    } catch (error) {
      const rejection = rejectionOf(error)
      if (rejection === undefined) throw error
      return { observation: { ...observation, rejection }, dump }
    }
  }

  /** What is done after the status was written, because it must not happen without it. */
  async #tidy({ job }: Observation, { action }: Decision, signal: AbortSignal): Promise<void> {
    const { writer } = this.#options
    if (job === undefined) return
    if (action?.type === 'SuspendJob') await writer.suspendJob(job, action.suspend, signal)
    if (action?.type === 'DeleteJob') await writer.deleteJob(job, signal)
    if (action?.type === 'ExpireJob') await writer.expireJob(job, action.ttlSecondsAfterFinished, signal)
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

function refOf(object: ApiObject): ObjectRef {
  return { namespace: object.metadata?.namespace, name: object.metadata?.name ?? '' }
}

function rejectionOf(error: unknown): Rejection | undefined {
  if (error instanceof PgpackError && error.code === 'CONFIG_INVALID') {
    return { final: false, reason: 'JobNotCreated', message: error.message }
  }
  const final = error instanceof ApiError ? isFinalRejection(error) : undefined
  if (final === undefined || !(error instanceof ApiError)) return undefined
  return { final, reason: final ? 'InvalidSpec' : 'JobNotCreated', message: error.message }
}
