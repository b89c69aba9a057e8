import type { Condition, RunStatus } from '../../api/v1alpha1/status.ts'
import type { ConditionType, RemovalReason } from './reasons.ts'

export type ConditionStatus = Condition['status']

/** What a condition says, without the bookkeeping of when and for which generation. */
export interface Statement {
  readonly status: ConditionStatus
  readonly reason: RemovalReason
  readonly message: string
}

export function findCondition(status: RunStatus | undefined, type: ConditionType): Condition | undefined {
  return status?.conditions?.find((condition) => condition.type === type)
}

/** A run that has succeeded or failed stays so: nothing that is observed later changes it. */
export function isFinal(status: RunStatus | undefined): boolean {
  const succeeded = findCondition(status, 'Succeeded')?.status
  return succeeded === 'True' || succeeded === 'False'
}

/** metav1.Time has whole seconds. */
export function formatTime(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z')
}

/** Puts a condition in the place of the one of its type; lastTransitionTime moves only with the status. */
export function setCondition(
  conditions: readonly Condition[],
  type: ConditionType,
  statement: Statement,
  at: { readonly now: Date; readonly generation: number | undefined },
): Condition[] {
  const before = conditions.find((condition) => condition.type === type)
  const after: Condition = {
    type,
    ...statement,
    lastTransitionTime: before?.status === statement.status ? before.lastTransitionTime : formatTime(at.now),
    ...(at.generation === undefined ? {} : { observedGeneration: at.generation }),
  }
  if (before === undefined) return [...conditions, after]
  return conditions.map((condition) => (condition === before ? after : condition))
}
