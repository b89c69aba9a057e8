/** What a store says of an object. `size` in bytes; S3's limit of 5 TiB is below 2^53. */
export interface ObjectInfo {
  readonly key: string
  readonly size: number
}

export interface ByteRange {
  /** First byte, from 0. */
  readonly offset: number
  /** Bytes from there; to the end when not given. */
  readonly length?: number
}

export interface UploadOptions {
  readonly signal: AbortSignal
  /**
   * Bytes at the object's start that are not known before its end (a PGPack header holds the body's lengths). The
   * upload leaves room for them, and `complete(head)` fills it: on S3 by holding part 1 back, in a file by writing at 0.
   */
  readonly headLength?: number
  /** Expected bytes in all, when known: lets S3 choose a part size that fits into 10,000 parts. */
  readonly sizeHint?: number
}

/** One object on its way into a store. Nothing is visible under its key before `complete` resolves. */
export interface ObjectUpload {
  /** Bytes accepted so far, the head included. */
  readonly size: number
  /**
   * Takes the next bytes; resolves when more are welcome (backpressure). Until then the chunk belongs to the upload, which
   * has copied or stored it by then: its memory may be used again.
   * @throws PgpackError STORE_*; CANCELLED when the signal fired. Every later call throws the same.
   */
  write(chunk: Buffer): Promise<void>
  /** Makes the object visible. `head` must have exactly `headLength` bytes. */
  complete(head?: Buffer): Promise<ObjectInfo>
  /** Leaves nothing behind; safe at any time, also twice, also after a failed `complete`; a no-op after success. */
  abort(): Promise<void>
}

/**
 * A place for objects: a bucket (with a prefix) or a folder. Keys use `/`, never start with it, and hold no `.` or `..`
 * segments. Failures are PgpackError STORE_*, retried inside where a retry can help.
 */
export interface ObjectStore {
  /** For messages and status: `s3://bucket/prefix` or `file:///path`. Holds no credentials. */
  readonly location: string
  upload(key: string, options: UploadOptions): ObjectUpload
  /** The object's bytes in order, read ahead, resumed where a connection was cut. @throws STORE_NO_OBJECT */
  read(key: string, signal: AbortSignal, range?: ByteRange): AsyncIterable<Buffer>
  /** @throws STORE_NO_OBJECT */
  stat(key: string, signal: AbortSignal): Promise<ObjectInfo>
  list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectInfo>
  /** Removes the objects; one that is not there is not an error. */
  remove(keys: readonly string[], signal: AbortSignal): Promise<void>
  /**
   * Gives up the uploads below `prefix` whose writers were killed: nothing of them is visible, and they take up space
   * all the same. `wanted` is asked with the key of each (in a folder, that of its partial file). How many there were.
   */
  abortUploads(prefix: string, signal: AbortSignal, wanted?: (key: string) => boolean): Promise<number>
  /** @throws STORE_NO_BUCKET, STORE_DENIED, STORE_UNREACHABLE: what a run wants to know before it moves a row. */
  check(signal: AbortSignal): Promise<void>
  close(): void
}
