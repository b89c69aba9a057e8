import type { RunStatus } from '../../api/v1alpha1/status.ts'
import { findCondition } from '../status/conditions.ts'
import { EVENT_REASONS, type EventReason, OPERATOR_REASONS, type Reason } from '../status/reasons.ts'

export interface RunEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: EventReason
  readonly message: string
}

/** Waits that nobody has to act on. */
const QUIET = new Set<Reason>(['Pending', 'Running', 'Retrying', 'Suspended'])
const CALM = new Set<Reason>(['DumpNotFound', 'DumpNotSucceeded'])

/**
 * The steps between two statuses, for `kubectl describe`. They follow from the status alone, so a step is told once: when
 * the write that made it succeeded.
 */
export function eventsBetween(before: RunStatus | undefined, after: RunStatus): RunEvent[] {
  const was = findCondition(before, 'Succeeded')
  const is = findCondition(after, 'Succeeded')
  const events = removalEvents(before, after)
  if (is === undefined) return events
  const tell = (reason: keyof typeof EVENT_REASONS, message: string): void => {
    events.push({ type: EVENT_REASONS[reason].type, reason, message })
  }
  if (after.jobName !== undefined && after.jobName !== before?.jobName)
    tell('RunStarted', `created Job ${after.jobName}`)
  const { lastFailure } = after
  if (lastFailure !== undefined && lastFailure.attempt !== before?.lastFailure?.attempt) {
    tell('AttemptFailed', `attempt ${lastFailure.attempt} failed: ${lastFailure.reason}: ${lastFailure.message}`)
  }
  if (is.status !== 'Unknown' && is.status === was?.status) return events
  if (is.status === 'True') tell('Succeeded', is.message)
  else if (is.status === 'False') tell('Failed', `${is.reason}: ${is.message}`)
  else if (is.reason !== was?.reason)
    events.push(...turn(was?.reason as Reason | undefined, is.reason as Reason, is.message))
  return events
}

/** A deleted dump is on its way out: that its artefact is removed, what stands in the way, and how it ended. */
function removalEvents(before: RunStatus | undefined, after: RunStatus): RunEvent[] {
  const was = findCondition(before, 'ArtifactRemoved')
  const is = findCondition(after, 'ArtifactRemoved')
  if (is === undefined || (is.status === was?.status && is.reason === was.reason)) return []
  const { message } = is
  if (is.status === 'True') return [{ type: 'Normal', reason: 'ArtifactRemoved', message }]
  if (is.status === 'False') return [{ type: 'Warning', reason: 'ArtifactNotRemoved', message }]
  if (is.reason !== 'Removing') return [{ type: 'Warning', reason: is.reason as Reason, message }]
  return was === undefined ? [{ type: 'Normal', reason: 'RemovingArtifact', message }] : []
}

/** An active run has another reason than before. */
function turn(was: Reason | undefined, is: Reason, message: string): RunEvent[] {
  if (is === 'Suspended') return [{ type: 'Normal', reason: 'Suspended', message }]
  const resumed: RunEvent[] =
    was === 'Suspended' ? [{ type: 'Normal', reason: 'Resumed', message: 'spec.suspend is false' }] : []
  // What an attempt failed with is told by AttemptFailed.
  if (QUIET.has(is) || !(is in OPERATOR_REASONS)) return resumed
  return [...resumed, { type: CALM.has(is) ? 'Normal' : 'Warning', reason: is, message }]
}
