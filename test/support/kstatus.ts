/** What kstatus (sigs.k8s.io/cli-utils/pkg/kstatus) says of a resource. */
export type KStatus = 'InProgress' | 'Failed' | 'Current' | 'Terminating'

interface Resource {
  readonly metadata: { readonly generation?: number; readonly deletionTimestamp?: string }
  readonly status?: {
    readonly observedGeneration?: number
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

/** kstatus' rules for a kind that it does not know: checkGenericProperties, then checkReadyCondition. */
export function kstatusOf({ metadata, status }: Resource): KStatus {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating'
  const { observedGeneration, conditions = [] } = status ?? {}
  if (observedGeneration !== undefined && observedGeneration !== metadata.generation) return 'InProgress'
  const isTrue = (wanted: string) => conditions.some((found) => found.type === wanted && found.status === 'True')
  if (isTrue('Reconciling')) return 'InProgress'
  if (isTrue('Stalled')) return 'Failed'
  const ready = conditions.find(({ type }) => type === 'Ready')
  return ready === undefined || ready.status === 'True' ? 'Current' : 'InProgress'
}
