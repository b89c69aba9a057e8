import type { Job, Pod } from '../manager/resources.ts'
import type { Run } from '../specs/run.ts'
import type { Cause, Warning } from '../status/pod.ts'
import type { MeasuredProgress } from '../status/progress.ts'

/** What has to be there before a run's Job can be made: a restore waits for its dump. */
export type Prerequisite =
  | { readonly ready: true }
  /** `final`: waiting cannot help, as a dump that has failed stays failed. */
  | ({ readonly ready: false; readonly final: boolean } & Cause)

/** What the API server said to the attempt to make the Job. `final`: it would always say so. */
export interface Rejection extends Cause {
  readonly final: boolean
}

/** A Job and its pods, in any order. */
export interface JobSight {
  readonly job: Job | undefined
  readonly pods: readonly Pod[]
}

/** Everything that a decision is taken from. */
export interface Observation extends JobSight {
  readonly run: Run
  /** The run's Job by the name in the status, or by the name that its first Job gets; only if the run controls it. */
  readonly job: Job | undefined
  /** The Job that removes the run's artefact. Looked for only while the run is being deleted. */
  readonly removal: JobSight
  readonly prerequisite: Prerequisite
  /** Whether all of the above was read from the API server in this visit. Caches lag behind, by seconds or by minutes. */
  readonly live: boolean
  /** Set after the creation of a Job was refused in this visit. */
  readonly rejection?: Rejection
  /** Warning Events of the latest pod, or of the Job where it has none; oldest first. Read only while a pod is awaited. */
  readonly warnings: readonly Warning[]
  /** The newest progress of the running pod. */
  readonly progress: MeasuredProgress | undefined
  readonly now: Date
}
