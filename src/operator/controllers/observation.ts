import type { Progress } from '../../run/progress.ts'
import type { Job, Pod } from '../manager/resources.ts'
import type { Run } from '../specs/run.ts'
import type { Cause, Warning } from '../status/pod.ts'

/** What has to be there before a run's Job can be made: a restore waits for its dump. */
export type Prerequisite =
  | { readonly ready: true }
  /** `final`: waiting cannot help, as a dump that has failed stays failed. */
  | ({ readonly ready: false; readonly final: boolean } & Cause)

/** What the API server said to the attempt to make the Job. `final`: it would always say so. */
export interface Rejection extends Cause {
  readonly final: boolean
}

/** Everything that a decision is taken from. */
export interface Observation {
  readonly run: Run
  /** The run's Job by the name in the status, or by the name that its first Job gets; only if the run controls it. */
  readonly job: Job | undefined
  /** Pods of that Job, in any order. */
  readonly pods: readonly Pod[]
  readonly prerequisite: Prerequisite
  /** Whether all of the above was read from the API server in this visit. Caches lag behind, by seconds or by minutes. */
  readonly live: boolean
  /** Set after a CreateJob that was refused in this visit. */
  readonly rejection?: Rejection
  /** Warning Events of the latest pod, or of the Job where it has none; oldest first. Read only while a pod is awaited. */
  readonly warnings: readonly Warning[]
  /** The newest progress of the running pod. */
  readonly progress: Progress | undefined
  readonly now: Date
}
