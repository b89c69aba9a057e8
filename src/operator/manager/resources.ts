import type { CoreV1Event, V1ConfigMap, V1Job, V1Lease, V1ObjectMeta, V1Pod, V1Secret } from '@kubernetes/client-node'

/**
 * client-node's type as the JSON on the wire has it: times are RFC 3339 strings. client-node's lists return Date
 * and its watches strings; here every read and write, list and watch, uses the wire's one representation. Properties
 * that client-node renames because they are reserved words (`_from`, `_continue`) have their own names again.
 */
export type Wire<T> = T extends Date
  ? string
  : T extends (infer Item)[]
    ? Wire<Item>[]
    : T extends object
      ? { [Key in keyof T as Key extends `_${infer Name}` ? Name : Key]: Wire<T[Key]> }
      : T

export type ObjectMeta = Wire<V1ObjectMeta>

/** Any object of the API. */
export interface ApiObject {
  apiVersion?: string
  kind?: string
  metadata?: ObjectMeta
}

/** A kind and where it is served; `T` is the type of its objects. */
export interface Resource<T extends ApiObject = ApiObject> {
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  readonly kind: string
  /** Lower-case plural, as in the path. */
  readonly plural: string
  readonly namespaced: boolean
  /** Carries `T` for the compiler; never set. */
  readonly objectType?: T
}

/** Which object of a resource; `namespace` is left out for cluster-scoped kinds. */
export interface ObjectRef {
  readonly namespace?: string | undefined
  readonly name: string
}

export type Job = Wire<V1Job>
export type ConfigMap = Wire<V1ConfigMap>
export type Pod = Wire<V1Pod>
export type Secret = Wire<V1Secret>
export type Lease = Wire<V1Lease>
export type Event = Wire<CoreV1Event>

export const JOBS: Resource<Job> = { group: 'batch', version: 'v1', kind: 'Job', plural: 'jobs', namespaced: true }
export const CONFIG_MAPS: Resource<ConfigMap> = core('ConfigMap', 'configmaps')
export const PODS: Resource<Pod> = core('Pod', 'pods')
export const SECRETS: Resource<Secret> = core('Secret', 'secrets')
export const EVENTS: Resource<Event> = core('Event', 'events')
export const LEASES: Resource<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
}

function core<T extends ApiObject>(kind: string, plural: string): Resource<T> {
  return { group: '', version: 'v1', kind, plural, namespaced: true }
}

/** `batch/v1`, or `v1` for the core group. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
}

/** The collection's path, in one namespace or in all. */
export function collectionPath(resource: Resource, namespace?: string): string {
  const root = resource.group === '' ? '/api' : '/apis'
  const within = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  return `${root}/${apiVersionOf(resource)}${within}/${resource.plural}`
}

/** The object's path, or that of one of its subresources. */
export function objectPath(resource: Resource, ref: ObjectRef, subresource?: string): string {
  const path = `${collectionPath(resource, ref.namespace)}/${encodeURIComponent(ref.name)}`
  return subresource === undefined ? path : `${path}/${subresource}`
}

/** `namespace/name`, or `name` for a cluster-scoped object: the key of stores and queues, as in client-go. */
export function objectKey(object: ApiObject): string {
  return refKey({ namespace: object.metadata?.namespace, name: object.metadata?.name ?? '' })
}

export function refKey(ref: ObjectRef): string {
  return ref.namespace ? `${ref.namespace}/${ref.name}` : ref.name
}

/** The inverse of {@link refKey}. */
export function splitKey(key: string): ObjectRef {
  const slash = key.indexOf('/')
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}

/** The uid of the owner whose `controller` flag is set (at most one), which is who may act on the object. */
export function controllerUid(object: ApiObject): string | undefined {
  return object.metadata?.ownerReferences?.find((owner) => owner.controller === true)?.uid
}
