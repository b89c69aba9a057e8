export const GROUP = 'pgpack.io'
export const VERSION = 'v1alpha1'
export const API_VERSION = `${GROUP}/${VERSION}`

/** What the CRD generator and the operator's clients need to know of a kind. */
export interface KindInfo {
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortName: string
  /** First words of `kubectl explain`. */
  readonly description: string
}

/** metav1.ObjectMeta as far as we read it. */
export interface ObjectMeta {
  name: string
  namespace: string
  uid: string
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  finalizers?: string[]
  labels?: Record<string, string>
  annotations?: Record<string, string>
}

export interface Resource<Spec, Status> {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: Spec
  status?: Status
}
