import type { Readable } from 'node:stream'
import { PgpackError } from '../../errors.ts'
import { isAlreadyExists, isConflict, isNotFound } from './apierror.ts'
import {
  type ApiObject,
  apiVersionOf,
  collectionPath,
  controllerUid,
  type ObjectRef,
  objectKey,
  objectPath,
  PODS,
  type Resource,
} from './resources.ts'
import type { CallOptions, RestClient } from './rest.ts'
import { decodeWatch, type WatchEvent } from './watch.ts'

/** How a patch is merged (the API's content types of PATCH). */
const PATCH_TYPES = {
  /** RFC 7386: null removes, lists are replaced whole. The only merge that custom resources have. */
  merge: 'application/merge-patch+json',
  /** RFC 6902. */
  json: 'application/json-patch+json',
  /** Server-side apply; wants `fieldManager`. */
  apply: 'application/apply-patch+yaml',
} as const

export interface PatchOptions extends CallOptions {
  readonly type?: keyof typeof PATCH_TYPES
  readonly subresource?: string
  readonly fieldManager?: string
  /** Server-side apply takes fields over from other managers. */
  readonly force?: boolean
}

export interface DeleteOptions extends CallOptions {
  /** What happens to what the object owns. Default Background; a Job without it would orphan its pods. */
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan'
  /** Delete this object only, not another one of its name. */
  readonly uid?: string
  readonly resourceVersion?: string
  readonly gracePeriodSeconds?: number
}

export interface ListOptions extends CallOptions {
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Page size. */
  readonly limit?: number
  /** Token of the next page. */
  readonly continue?: string | undefined
}

export interface ObjectList<T> {
  readonly items: T[]
  readonly resourceVersion: string
  /** Set when there is another page. */
  readonly continue?: string | undefined
}

export interface WatchOptions {
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  readonly resourceVersion: string
  /** After which the server ends the watch. */
  readonly timeoutSeconds: number
  readonly signal: AbortSignal
}

export interface LogOptions {
  readonly container?: string
  readonly follow?: boolean
  readonly tailLines?: number
  readonly signal: AbortSignal
}

/** The object that owns what is created, for {@link KubernetesClient.createOwned}'s messages and checks. */
export interface Owner {
  readonly kind: string
  readonly name: string
  readonly uid: string
}

/**
 * Typed access to the API, without a cache. Every call has a time-out and throws ApiError; transient failures are tried
 * again where that is safe (see RestClient).
 */
export class KubernetesClient {
  readonly rest: RestClient

  constructor(rest: RestClient) {
    this.rest = rest
  }

  async get<T extends ApiObject>(resource: Resource<T>, ref: ObjectRef, options: CallOptions = {}): Promise<T> {
    return this.rest.json<T>({ ...options, method: 'GET', path: objectPath(resource, ref) })
  }

  /** The object, or undefined when there is none. */
  async find<T extends ApiObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    return this.get(resource, ref, options).catch(unlessNotFound)
  }

  /** One page. Items get the apiVersion and kind that the server leaves out of lists. */
  async list<T extends ApiObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ObjectList<T>> {
    const { namespace, labelSelector, fieldSelector, limit, continue: token, ...call } = options
    const answer = await this.rest.json<{
      items: T[] | null
      metadata?: { resourceVersion?: string; continue?: string }
    }>({
      ...call,
      method: 'GET',
      path: collectionPath(resource, namespace),
      query: { labelSelector, fieldSelector, limit, continue: token },
    })
    const typed = { apiVersion: apiVersionOf(resource), kind: resource.kind }
    const items = (answer.items ?? []).map((item) => Object.assign(item, typed))
    return {
      items,
      resourceVersion: answer.metadata?.resourceVersion ?? '',
      continue: answer.metadata?.continue || undefined,
    }
  }

  /**
   * Changes since a version, bookmarks included. Ends when the server ends the watch.
   * @throws ApiError, also for an error inside the stream; the signal's reason when it is aborted
   */
  async *watch<T extends ApiObject>(
    resource: Resource<T>,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>, void, undefined> {
    const { namespace, signal, ...query } = options
    const path = collectionPath(resource, namespace)
    const response = await this.rest.stream({
      method: 'GET',
      path,
      query: { ...query, watch: true, allowWatchBookmarks: true },
      signal,
      // The informer has its own backoff
      retry: false,
    })
    try {
      yield* decodeWatch<T>(response, `WATCH ${path}`)
    } catch (error) {
      signal.throwIfAborted()
      throw error
    } finally {
      response.destroy()
    }
  }

  async create<T extends ApiObject>(resource: Resource<T>, object: T, options: CallOptions = {}): Promise<T> {
    const path = collectionPath(resource, object.metadata?.namespace)
    return this.rest.json<T>({ ...options, method: 'POST', path, body: withType(resource, object) })
  }

  /**
   * Creates a child, or takes the one that is there if this owner controls it: a repeated reconcile, or one from a
   * stale cache, finds its own work. The child may be another than the one asked for; the caller reads what it got.
   * @throws PgpackError CONFIG_INVALID (retryable: its owner may remove it) when somebody else has the name
   */
  async createOwned<T extends ApiObject>(
    resource: Resource<T>,
    object: T,
    owner: Owner,
    options: CallOptions = {},
  ): Promise<{ object: T; created: boolean }> {
    try {
      return { object: await this.create(resource, object, options), created: true }
    } catch (error) {
      if (!isAlreadyExists(error)) throw error
      const { namespace, name = '' } = object.metadata ?? {}
      const found = await this.find(resource, { namespace, name }, options)
      if (found === undefined) throw error
      if (controllerUid(found) === owner.uid) return { object: found, created: false }
      throw new PgpackError(
        'CONFIG_INVALID',
        `${resource.kind} ${objectKey(object)} exists and is not controlled by ${owner.kind} ${owner.name}: ` +
          `delete it, or rename the ${owner.kind}`,
        { expected: owner.uid, found: controllerUid(found) ?? 'no controller', retryable: true, cause: error },
      )
    }
  }

  /** Replaces an object; its resourceVersion makes a write on an old version a Conflict. */
  async replace<T extends ApiObject>(resource: Resource<T>, object: T, options: CallOptions = {}): Promise<T> {
    const { namespace, name = '' } = object.metadata ?? {}
    const path = objectPath(resource, { namespace, name })
    return this.rest.json<T>({ ...options, method: 'PUT', path, body: withType(resource, object) })
  }

  async patch<T extends ApiObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    body: unknown,
    options: PatchOptions = {},
  ): Promise<T> {
    const { type = 'merge', subresource, fieldManager, force, ...call } = options
    return this.rest.json<T>({
      ...call,
      method: 'PATCH',
      path: objectPath(resource, ref, subresource),
      query: { fieldManager, force },
      contentType: PATCH_TYPES[type],
      body,
    })
  }

  /**
   * Merges `status` into the status subresource. With `resourceVersion` the patch is refused as a Conflict when the
   * object has changed since that version.
   */
  async patchStatus<T extends ApiObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    status: unknown,
    options: CallOptions & { readonly resourceVersion?: string | undefined } = {},
  ): Promise<T> {
    const { resourceVersion, ...call } = options
    const body = resourceVersion === undefined ? { status } : { metadata: { resourceVersion }, status }
    return this.patch(resource, ref, body, { ...call, subresource: 'status' })
  }

  /**
   * Whether something was deleted: false when the object is not there, or, with `uid`, when its name belongs to another
   * object by now.
   */
  async delete(resource: Resource, ref: ObjectRef, options: DeleteOptions = {}): Promise<boolean> {
    const { propagationPolicy = 'Background', uid, resourceVersion, gracePeriodSeconds, ...call } = options
    const body = { propagationPolicy, gracePeriodSeconds, preconditions: { uid, resourceVersion } }
    try {
      await this.rest.json({ ...call, method: 'DELETE', path: objectPath(resource, ref), body })
      return true
    } catch (error) {
      if (isNotFound(error)) return false
      if (isConflict(error) && uid !== undefined && resourceVersion === undefined) return false
      throw error
    }
  }

  /**
   * Adds a finalizer unless it is there.
   * @throws ApiError Conflict when the object has changed since it was read: finalizers are a list that is replaced
   */
  async addFinalizer<T extends ApiObject>(
    resource: Resource<T>,
    object: T,
    finalizer: string,
    options: CallOptions = {},
  ): Promise<T> {
    const finalizers = object.metadata?.finalizers ?? []
    if (finalizers.includes(finalizer)) return object
    return this.#setFinalizers(resource, object, [...finalizers, finalizer], options)
  }

  /**
   * Removes a finalizer; nothing to do when it, or the object, is gone.
   * @throws ApiError Conflict, as {@link addFinalizer}
   */
  async removeFinalizer<T extends ApiObject>(
    resource: Resource<T>,
    object: T,
    finalizer: string,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    const finalizers = object.metadata?.finalizers ?? []
    if (!finalizers.includes(finalizer)) return object
    const left = finalizers.filter((other) => other !== finalizer)
    return this.#setFinalizers(resource, object, left, options).catch(unlessNotFound)
  }

  /** A pod's log. The stream ends with the container, or without `follow` at the log's present end. */
  async logs(ref: ObjectRef, options: LogOptions): Promise<Readable> {
    const { signal, ...query } = options
    return this.rest.stream({ method: 'GET', path: objectPath(PODS, ref, 'log'), query, signal })
  }

  #setFinalizers<T extends ApiObject>(
    resource: Resource<T>,
    object: T,
    finalizers: string[],
    options: CallOptions,
  ): Promise<T> {
    const { namespace, name = '', resourceVersion } = object.metadata ?? {}
    return this.patch(resource, { namespace, name }, { metadata: { resourceVersion, finalizers } }, options)
  }
}

function withType<T extends ApiObject>(resource: Resource<T>, object: T): T {
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind }
}

function unlessNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error
}
