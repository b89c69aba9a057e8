import { posix } from 'node:path'
import { PgpackError, toPgpackError } from '../errors.ts'
import { mayReadAllColumns } from '../postgres/catalog-parts.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { CopyOptions } from '../postgres/copy-options/schema.ts'
import { copyOut } from '../postgres/copy-out.ts'
import { copyErrorLog, type SegmentTime, segmentTimes } from '../postgres/error-log.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import type { CopyOut, RelationInfo } from '../postgres/types.ts'
import type { TransferRunConfig } from '../run/config.ts'
import type { RunTotals } from '../run/result.ts'
import { escapeObjectName, joinKey } from '../storage/keys.ts'
import { putObject } from '../storage/manifest.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { RunContext } from './context.ts'
import { objectName } from './source-name.ts'

/** Where the rows that COPY refuses are kept, one CSV for each object that had some. */
export interface RejectsPlace {
  readonly store: ObjectStore
  /** Key prefix, the same for every attempt of a run; empty for the store itself. */
  readonly path: string
}

/** Beside a dump's manifest, by the run. Without a run id nobody tries again, and the time tells runs apart. */
export function rejectsBeside(store: ObjectStore, path: string, runId: string | undefined): RejectsPlace {
  const name = runId ?? new Date().toISOString().replaceAll(/[:.]/g, '-')
  return { store, path: joinKey(path, `rejects/${escapeObjectName(undefined, name)}`) }
}

/**
 * One object's refused rows on their way from Greenplum's error log into the store. The file is complete before COMMIT,
 * so that no load is committed whose refused rows are lost; the next attempt of the run writes over it or removes it.
 */
export class RejectsFile {
  readonly place: RejectsPlace
  readonly key: string
  #state: 'absent' | 'written' | 'kept' = 'absent'

  /** @param name below the place */
  constructor(place: RejectsPlace, name: string) {
    this.place = place
    this.key = joinKey(place.path, name)
  }

  /** For messages. */
  get location(): string {
    return joinKey(this.place.store.location, this.key)
  }

  /** Whether it stands for rows that were not committed. */
  get loose(): boolean {
    return this.#state === 'written'
  }

  /** Its load is committed. */
  keep(): void {
    if (this.#state === 'written') this.#state = 'kept'
  }

  /** Writes what a COPY gives; resolves with the number of rows. Nothing is visible under the key after a failure. */
  async fill(copy: Pick<CopyOut, 'rowCount' | typeof Symbol.asyncIterator>, signal: AbortSignal): Promise<bigint> {
    const upload = this.place.store.upload(this.key, { signal })
    try {
      for await (const { data, release } of copy) {
        await upload.write(data)
        release()
      }
      await upload.complete()
      this.#state = 'written'
      return copy.rowCount ?? 0n
    } catch (error) {
      // The store logs what it could not clean up; why it had to is what the caller must know.
      await Promise.allSettled([upload.abort()])
      throw error
    }
  }

  async remove(signal: AbortSignal): Promise<void> {
    await this.place.store.remove([this.key], signal)
    this.#state = 'absent'
  }
}

/** A file to load that has no manifest. */
interface LooseFile {
  readonly store: ObjectStore
  readonly key: string
  readonly copyOptions?: CopyOptions | undefined
  readonly rejects?: RejectsPlace | undefined
}

/** Where it goes what is refused of a file: to the place that is named, or beside it. Undefined where nothing is brought back. */
export function rejectsOf({ store, key, copyOptions, rejects }: LooseFile): RejectsFile | undefined {
  if (!logsErrors(copyOptions)) return undefined
  const folder = posix.dirname(key)
  const place = rejects ?? { store, path: folder === '.' ? '' : folder }
  return new RejectsFile(place, `${posix.basename(key)}.rejects.csv`)
}

/** A COPY that has ended, and what it refused. */
export interface Refusals {
  /** The object's name, for messages and for the column `filename`. */
  readonly name: string
  /** The table that the rows are for, and the one that COPY wrote to: the same but under Replace. */
  readonly table: QualifiedName
  readonly into: QualifiedName
  /** Of every segment, before the COPY began. */
  readonly since: readonly SegmentTime[]
  readonly rows: bigint
  /** On how many segments each row is refused. */
  readonly copies: number
}

/** Brings the refused rows of a COPY out of the error log, within the transaction that ran it. */
export async function bringBack(
  session: PostgresConnection,
  file: RejectsFile,
  refusals: Refusals,
  { signal, log }: RunContext,
): Promise<void> {
  const { name, into, table, since, rows, copies } = refusals
  if (rows === 0n) return file.remove(signal)
  const until = new Map((await segmentTimes(session)).map(({ segment, at }) => [segment, at]))
  const windows = since.map(({ segment, at }) => ({ segment, from: at, to: until.get(segment) ?? at }))
  // Every segment has refused the same rows of a replicated table.
  const read = copies > 1 ? windows.slice(0, 1) : windows
  const sql = copyErrorLog({ table: into, windows: read, file: name, relname: table.name })
  const found = await file.fill(await copyOut(session, sql, { signal }), signal)
  if (found === rows) return
  const why =
    found > rows
      ? 'the file holds rows of other loads into the same table at the same time: their cmdtime tells them apart'
      : 'the error log of the server lacks some of the refused rows'
  const counts = { refused: String(rows), found: String(found) }
  log.warn({ object: name, table: objectName(table), ...counts, file: file.location }, why)
}

/** Something to load with a file for what it refuses. */
interface RejectingLoad {
  readonly rejects?: RejectsFile | undefined
}

/**
 * COMMIT of these loads: their files stay, also where a session that ended without an answer leaves it open whether the
 * server has committed.
 */
export async function commitRejects(
  session: Pick<PostgresConnection, 'closed'>,
  loads: readonly RejectingLoad[],
  commit: () => Promise<void>,
): Promise<void> {
  let committed = false
  try {
    await commit()
    committed = true
  } finally {
    if (committed || session.closed) for (const { rejects } of loads) rejects?.keep()
  }
}

/** Time for removing what a failed attempt wrote; well within the pod's grace period of 30 s. */
const CLEANUP_MS = 8000

/** Removes the files of loads that were rolled back. The run's own error is what matters. */
export async function discardRejects(loads: readonly RejectingLoad[], { log }: RunContext): Promise<void> {
  const signal = AbortSignal.timeout(CLEANUP_MS)
  for (const { rejects } of loads) {
    if (rejects?.loose !== true) continue
    try {
      await rejects.remove(signal)
    } catch (err) {
      log.warn({ err, file: rejects.location }, 'refused rows of a load that was rolled back could not be removed')
    }
  }
}

/** Whether refused rows are to be brought back. */
export function logsErrors(options: CopyOptions | undefined): boolean {
  return options?.logErrors === true
}

/**
 * Writes an object to the place and removes it: refused rows have nowhere to go otherwise, and that is better known
 * before the first row.
 * @throws PgpackError with the store's own code
 */
export async function checkRejectsPlace({ store, path }: RejectsPlace, signal: AbortSignal): Promise<void> {
  const key = joinKey(path, 'write-check')
  try {
    await putObject(store, key, Buffer.from('pgpack\n'), signal)
    await store.remove([key], signal)
  } catch (error) {
    const cause = toPgpackError(error)
    const message = `copyOptions.logErrors brings refused rows back to ${joinKey(store.location, path)}, which cannot be written: ${cause.message}; allow it, name another place (pgpack restore --rejects), or leave logErrors out: refused rows are then only counted`
    throw new PgpackError(cause.code, message, { cause, retryable: cause.retryable })
  }
}

/** @throws PgpackError POSTGRES_PRIVILEGE for a table whose error log this user may not read */
export async function checkErrorLog(session: PostgresConnection, relation: RelationInfo | undefined): Promise<void> {
  if (relation === undefined || (await mayReadAllColumns(session, relation))) return
  const message = `${objectName(relation)}: copyOptions.logErrors reads the table's error log, for which this user lacks SELECT on the table: grant it, or leave logErrors out`
  throw new PgpackError('POSTGRES_PRIVILEGE', message, { expected: 'SELECT', found: 'no SELECT' })
}

/** Both, for a file's load; a DryRun writes nothing. @throws PgpackError */
export async function checkRejects(
  session: PostgresConnection,
  file: RejectsFile | undefined,
  relation: RelationInfo | undefined,
  { runMode, signal }: { readonly runMode?: TransferRunConfig['runMode']; readonly signal: AbortSignal },
): Promise<void> {
  if (file === undefined) return
  await checkErrorLog(session, relation)
  if (runMode !== 'DryRun') await checkRejectsPlace(file.place, signal)
}

/**
 * What the run's result says of refused rows that were brought back.
 * @param rejects the file, or the place of all files; undefined where nothing is brought back
 */
export function rejectsOutcome(
  rejects: RejectsFile | RejectsPlace | undefined,
  { rejectedRows = '0' }: RunTotals,
  { log }: RunContext,
): { readonly rejects?: string } {
  if (rejects === undefined || rejectedRows === '0') return {}
  const { store, path } = rejects instanceof RejectsFile ? { ...rejects.place, path: rejects.key } : rejects
  log.warn(
    { rejectedRows, rejects: joinKey(store.location, path) },
    'rows were refused; they lie there with the reasons',
  )
  return { rejects: path }
}
