import { PgpackError } from '../errors.ts'
import type { Budget } from './budget.ts'
import { isTransient, S3Failure, storeError } from './errors.ts'
import type { RetryPolicy } from './retry.ts'
import { bodyOf, type S3Client } from './s3client.ts'
import { type BlockPool, MAX_OBJECT_SIZE, MAX_PARTS, Part, partSize, partsInFlight } from './s3parts.ts'
import { abortUpload, unfinishedUploads } from './s3uploads.ts'
import { element, encodeEntities } from './s3xml.ts'
import type { ObjectInfo, ObjectUpload, UploadOptions } from './store.ts'

/** A store may join 10,000 parts before it answers (S3 API, CompleteMultipartUpload: "can take several minutes"). */
const COMPLETE_TIMEOUT_MS = 5 * 60_000

/** What cleaning up may take: a cancelled run ends within seconds. */
const CLEANUP_TIMEOUT_MS = 10_000

/**
 * Requests that create or show something are not cut with the others: what a store makes of a request that was cut is
 * known only much later, and cleaning up before it acts would clean up nothing.
 */
const LAST_ANSWER_MS = 3_000

/**
 * One object on its way into a bucket: a single PUT when it fits into one part, else a multipart upload.
 *
 *     open --write--> parts in flight --complete--> complete
 *       \________________ failure, signal, abort() ______________> failed: requests cut, multipart upload aborted
 *
 * The first failure is kept and thrown by every later call. Cleaning up starts with it, not with `abort()`, which only
 * waits for it and tells how it went.
 */
export class S3Upload implements ObjectUpload {
  readonly #client: S3Client
  readonly #budget: Budget
  readonly #pool: BlockPool
  readonly #key: string
  readonly #options: UploadOptions
  readonly #headLength: number
  /** Ends the requests of this upload, but not those that clean up after it. */
  readonly #cut = new AbortController()
  /** Ends those whose answer is still waited for when the others are cut. */
  readonly #late = new AbortController()
  readonly #inFlight = new Set<Promise<unknown>>()
  readonly #etags = new Map<number, string>()
  #size: number
  #part: Part
  /** Part 1, full but for its head. */
  #heldBack: Part | undefined
  #uploadId: Promise<string> | undefined
  /** The request that makes the object visible may have reached the store without our knowing. */
  #maybeVisible = false
  /** An answer to CreateMultipartUpload was lost: there may be an upload whose id we never saw. */
  #maybeStray = false
  #complete = false
  #error: PgpackError | undefined
  #completing: Promise<unknown> = Promise.resolve()
  #cleanup: Promise<PgpackError | undefined> = Promise.resolve(undefined)

  constructor(client: S3Client, budget: Budget, pool: BlockPool, key: string, options: UploadOptions) {
    this.#client = client
    this.#budget = budget
    this.#pool = pool
    this.#key = key
    this.#options = options
    this.#headLength = options.headLength ?? 0
    this.#size = this.#headLength
    this.#part = this.#newPart(1)
    if (options.signal.aborted) this.#onSignal()
    else options.signal.addEventListener('abort', this.#onSignal, { once: true })
  }

  get size(): number {
    return this.#size
  }

  async write(chunk: Buffer): Promise<void> {
    this.#checkOpen()
    if (this.#size + chunk.length > MAX_OBJECT_SIZE) throw this.#fail(this.#tooLarge())
    this.#size += chunk.length
    try {
      for (let rest = chunk; rest.length > 0; ) {
        // A full part waits for the next byte: an object of exactly one part goes as one PUT.
        if (this.#part.room === 0) await this.#next()
        const piece = rest.subarray(0, this.#part.room)
        this.#part.push(piece)
        rest = rest.subarray(piece.length)
      }
    } catch (error) {
      throw this.#fail(error)
    }
  }

  async complete(head?: Buffer): Promise<ObjectInfo> {
    this.#checkOpen()
    if ((head?.length ?? 0) !== this.#headLength) {
      const found = `${head?.length ?? 0} bytes`
      throw this.#fail(new PgpackError('INTERNAL', `the head of ${this.#key} has ${found}, not ${this.#headLength}`))
    }
    try {
      const finishing = this.#uploadId === undefined ? this.#putWhole(head) : this.#finishParts(head)
      this.#completing = finishing
      await finishing
    } catch (error) {
      throw this.#fail(error)
    }
    this.#complete = true
    this.#options.signal.removeEventListener('abort', this.#onSignal)
    return { key: this.#key, size: this.#size }
  }

  async abort(): Promise<void> {
    if (this.#complete) return
    this.#fail(new PgpackError('CANCELLED', `the upload of ${this.#key} was given up`))
    const fault = await this.#cleanup
    if (fault !== undefined) throw fault
  }

  #onSignal = (): void => {
    this.#fail(this.#options.signal.reason)
  }

  #checkOpen(): void {
    if (this.#error !== undefined) throw this.#error
    if (this.#complete) throw new PgpackError('INTERNAL', `the upload of ${this.#key} is complete already`)
  }

  #tooLarge(): PgpackError {
    const advice = 'dump it in parts, by a query or a where clause'
    return new PgpackError('STORE_FAILED', `${this.#key} is larger than the 5 TiB that S3 can hold; ${advice}`)
  }

  /** Keeps the first error, starts cleaning up, and gives the error that is kept. */
  #fail(error: unknown): PgpackError {
    if (this.#complete) return storeError(error, this.#client.context(`write ${this.#key}`))
    if (this.#error !== undefined) return this.#error
    this.#error = storeError(error, this.#client.context(`write ${this.#key}`, this.#options.signal))
    this.#options.signal.removeEventListener('abort', this.#onSignal)
    this.#heldBack = undefined
    this.#part = this.#newPart(1)
    this.#cut.abort(this.#error)
    this.#cleanup = this.#leaveNothing()
    return this.#error
  }

  /** Sends the full part away and starts the next; waits while the store's uploads have enough in flight. */
  async #next(): Promise<void> {
    const part = this.#part
    if (part.number === MAX_PARTS) throw this.#tooLarge()
    if (this.#uploadId === undefined) {
      this.#uploadId = this.#create()
      this.#track(this.#uploadId)
    }
    if (part.number === 1 && this.#headLength > 0) this.#heldBack = part
    else await this.#send(part)
    this.#part = this.#newPart(part.number + 1)
  }

  #newPart(number: number): Part {
    const headLength = number === 1 ? this.#headLength : 0
    const size = Math.max(partSize(number, this.#options.sizeHint), headLength)
    return new Part(number, this.#pool, size, headLength)
  }

  async #create(): Promise<string> {
    const query = { uploads: '' }
    const headers = { 'content-type': 'application/octet-stream' }
    let answersLost = false
    this.#maybeStray = true
    try {
      const request = { method: 'POST', key: this.#key, query, headers, signal: this.#late.signal } as const
      const xml = await this.#client.text(request, { onRetry: () => (answersLost = true) }, this.#untilCut())
      // It is often the first answer at all, and parts wait already.
      this.#fitBudget()
      const uploadId = element(xml, 'UploadId')
      if (uploadId !== undefined) return uploadId
      throw new PgpackError(
        'STORE_FAILED',
        `the store began an upload of ${this.#key} without giving its id; check that the endpoint is that of an S3 server`,
      )
    } catch (error) {
      answersLost ||= isTransient(error) || this.#late.signal.aborted
      throw error
    } finally {
      this.#maybeStray = answersLost
    }
  }

  /** Resolves when the part is in flight; a failure of its request fails the upload. */
  async #send(part: Part, head?: Buffer): Promise<void> {
    this.#fitBudget()
    const release = await this.#budget.acquire(part.size, this.#cut.signal)
    this.#track(this.#put(part, head).finally(release))
  }

  /** As many parts in flight as the store's distance asks for, so far as it is known. */
  #fitBudget(): void {
    this.#budget.count = partsInFlight(this.#client.latencyMs)
  }

  /** Work whose failure fails the upload, and that is waited for before anything is cleaned up. */
  #track(work: Promise<unknown>): void {
    const tracked: Promise<unknown> = work.then(
      () => this.#inFlight.delete(tracked),
      (error: unknown) => {
        this.#inFlight.delete(tracked)
        this.#fail(error)
      },
    )
    this.#inFlight.add(tracked)
  }

  async #put(part: Part, head: Buffer | undefined): Promise<void> {
    const body = part.seal(head)
    const uploadId = await this.#uploadId
    const query = { partNumber: String(part.number), uploadId: uploadId ?? '' }
    const request = { method: 'PUT', key: this.#key, query, body, signal: this.#cut.signal } as const
    const etag = await this.#client.call(request, async (response) => {
      for await (const _ of response);
      return response.headers.etag
    })
    if (etag === undefined)
      throw new PgpackError(
        'STORE_FAILED',
        `the store gave no ETag for part ${part.number} of ${this.#key}; a proxy before it must pass that header`,
      )
    this.#etags.set(part.number, etag)
    part.free()
  }

  async #putWhole(head: Buffer | undefined): Promise<void> {
    const headers = { 'content-type': 'application/octet-stream' }
    const body = this.#part.seal(head)
    const release = await this.#budget.acquire(body.size, this.#cut.signal)
    this.#maybeVisible = true
    try {
      const request = { method: 'PUT', key: this.#key, headers, body, signal: this.#late.signal } as const
      await this.#client.text(request, {}, this.#untilCut())
      this.#part.free()
    } catch (error) {
      this.#maybeVisible = isTransient(error) || this.#late.signal.aborted
      throw error
    } finally {
      release()
    }
  }

  async #finishParts(head: Buffer | undefined): Promise<void> {
    if (this.#part.size > 0) await this.#send(this.#part)
    if (this.#heldBack !== undefined) await this.#send(this.#heldBack, head)
    this.#heldBack = undefined
    await Promise.all(this.#inFlight)
    if (this.#error !== undefined) throw this.#error
    const uploadId = await this.#uploadId
    if (uploadId === undefined) throw new PgpackError('INTERNAL', `the upload of ${this.#key} was never begun`)
    await this.#join(uploadId)
    if (this.#maybeStray) await this.#tell(this.#removeStrays(AbortSignal.timeout(CLEANUP_TIMEOUT_MS)))
  }

  /** CompleteMultipartUpload: the moment from which the object is visible. */
  async #join(uploadId: string): Promise<void> {
    const body = bodyOf(Buffer.from(completionXml(this.#etags)))
    const signal = this.#late.signal
    const idleTimeoutMs = COMPLETE_TIMEOUT_MS
    let answersLost = false
    this.#maybeVisible = true
    try {
      const request = { method: 'POST', key: this.#key, query: { uploadId }, body, signal, idleTimeoutMs } as const
      await this.#client.text(request, { onRetry: () => (answersLost = true) }, this.#untilCut())
    } catch (error) {
      const gone = error instanceof S3Failure && error.code === 'NoSuchUpload'
      // The first answer was lost and the upload is gone: it was joined, if the object is there with our size.
      if (gone && answersLost && (await this.#client.head(this.#key, signal)).size === this.#size) return
      this.#maybeVisible = isTransient(error) || signal.aborted || (gone && answersLost)
      throw error
    }
  }

  /** For requests that outlive the cut: the one in flight is waited for, but none is sent again. */
  #untilCut(): RetryPolicy {
    const { sleep, ...policy } = this.#client.retries
    return { ...policy, sleep: (ms) => sleep(ms, this.#cut.signal) }
  }

  /** Ends what the store knows of this upload; never rejects, gives what went wrong. */
  async #leaveNothing(): Promise<PgpackError | undefined> {
    const signal = AbortSignal.timeout(CLEANUP_TIMEOUT_MS)
    const timer = setTimeout(() => this.#late.abort(), LAST_ANSWER_MS)
    try {
      const [begun] = await Promise.allSettled([this.#uploadId, this.#completing, ...this.#inFlight])
      if (begun.status === 'fulfilled' && begun.value !== undefined) {
        await abortUpload(this.#client, this.#key, begun.value, signal)
      }
      if (this.#maybeStray) await this.#removeStrays(signal)
      if (this.#maybeVisible) await this.#removeIfOurs(signal)
      return undefined
    } catch (error) {
      const fault = storeError(error, this.#client.context(`remove what was uploaded of ${this.#key}`))
      this.#client.log.warn({ key: this.#key, err: fault }, 'an unfinished upload may remain in the store')
      return fault
    } finally {
      clearTimeout(timer)
    }
  }

  /** Aborts every unfinished upload of this very key: keys name the attempt, so nobody else writes them. */
  async #removeStrays(signal: AbortSignal): Promise<void> {
    const fullKey = this.#client.fullKey(this.#key)
    for await (const { key, uploadId } of unfinishedUploads(this.#client, fullKey, signal)) {
      if (key === fullKey) await abortUpload(this.#client, this.#key, uploadId, signal)
    }
  }

  async #removeIfOurs(signal: AbortSignal): Promise<void> {
    try {
      const { size } = await this.#client.head(this.#key, signal)
      if (size === this.#size) await this.#client.text({ method: 'DELETE', key: this.#key, signal })
    } catch (error) {
      if (!(error instanceof PgpackError) || error.code !== 'STORE_NO_OBJECT') throw error
    }
  }

  /** The object is whole; that an unfinished upload may remain is for the log only. */
  async #tell(work: Promise<void>): Promise<void> {
    const [outcome] = await Promise.allSettled([work])
    if (outcome.status === 'fulfilled') return
    this.#client.log.warn({ key: this.#key, err: outcome.reason }, 'an unfinished upload may remain in the store')
  }
}

function completionXml(etags: ReadonlyMap<number, string>): string {
  const parts = [...etags]
    .sort(([a], [b]) => a - b)
    .map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${encodeEntities(etag)}</ETag></Part>`)
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</CompleteMultipartUpload>`
}
