import type { Job, Pod } from '../manager/resources.ts'
import type { Action } from './decision.ts'
import type { JobSight } from './observation.ts'

/** What the Job's own status says of it. */
export type JobView = 'None' | 'Active' | 'Complete' | 'Failed' | 'Deleting'

export function viewOf(job: Job | undefined): JobView {
  if (job === undefined) return 'None'
  if (jobCondition(job, 'Complete')) return 'Complete'
  if (jobCondition(job, 'Failed')) return 'Failed'
  return job.metadata?.deletionTimestamp === undefined ? 'Active' : 'Deleting'
}

/** @throws Error for a sight of no Job: a fault of ours */
export function jobIn({ job }: JobSight): Job {
  if (job === undefined) throw new Error('a step for a Job was taken where there is none')
  return job
}

/** The Job's condition of this type, if it is True. */
export function jobCondition(job: Job, type: string) {
  return job.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True')
}

/** Whether the pod may still hold a connection or an upload. */
export function isAlive(pod: Pod): boolean {
  const phase = pod.status?.phase
  return phase !== 'Succeeded' && phase !== 'Failed'
}

/**
 * The next step to the end of a Job that nobody needs any more; undefined until its pods are told to end, or when it is
 * gone.
 *
 * A deleted Job leaves its pods to the garbage collector, which stands still for up to 30 s whenever a CRD comes or
 * goes, or for as long as a webhook of one fails. The Job controller itself ends the pods of a suspended Job at once.
 */
export function nextToEnd({ job, pods }: JobSight): Extract<Action, { type: 'SuspendJob' | 'DeleteJob' }> | undefined {
  if (job === undefined || job.metadata?.deletionTimestamp !== undefined) return undefined
  if (pods.some((pod) => isAlive(pod) && pod.metadata?.deletionTimestamp === undefined)) {
    return job.spec?.suspend === true ? undefined : { type: 'SuspendJob', suspend: true }
  }
  return { type: 'DeleteJob' }
}
