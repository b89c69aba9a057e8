import type { RunStatus } from '../../api/v1alpha1/status.ts'
import { isConflict } from '../manager/apierror.ts'
import type { Run } from '../specs/run.ts'
import { mergePatch } from './mergepatch.ts'

/** What the patcher asks of the API server. */
export interface StatusClient {
  /** The resource now, not from a cache; undefined when it is gone. */
  read(run: Run, signal: AbortSignal): Promise<Run | undefined>
  /** @throws ApiError Conflict when the resource is not at the version of `run` any more */
  patchStatus(run: Run, status: unknown, signal: AbortSignal): Promise<Run>
}

export interface StatusWrite {
  /** The resource as it is now. */
  readonly run: Run
  readonly before: RunStatus | undefined
  readonly after: RunStatus
  /** False when there was nothing to write. */
  readonly written: boolean
}

const MAX_CONFLICTS = 5

/**
 * The one place where a status is written. `change` computes the next status from the resource it is given; it is asked
 * again with the resource as it is now when somebody changed it meanwhile, so that a decision on an old state (a stale
 * cache, another operator) never replaces a newer one. Writes nothing when nothing changed.
 * @returns undefined when the resource is gone, or another one of its name has taken its place
 */
export async function writeStatus(
  client: StatusClient,
  run: Run,
  change: (run: Run) => RunStatus,
  signal: AbortSignal,
): Promise<StatusWrite | undefined> {
  let current = run
  for (let conflicts = 0; ; conflicts++) {
    const before = current.status
    const after = change(current)
    const patch = mergePatch(before ?? {}, after)
    if (patch === undefined) return { run: current, before, after, written: false }
    try {
      return { run: await client.patchStatus(current, patch, signal), before, after, written: true }
    } catch (error) {
      if (!isConflict(error) || conflicts === MAX_CONFLICTS) throw error
      const latest = await client.read(run, signal)
      if (latest === undefined || latest.metadata.uid !== run.metadata.uid) return undefined
      current = latest
    }
  }
}
