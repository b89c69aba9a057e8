import { afterEach, beforeEach, expect } from '@jest/globals'
import { type ArtifactDumpRequest, dump } from '../../../src/engine/dump.ts'
import { restore } from '../../../src/engine/restore.ts'
import type { PgpackError } from '../../../src/errors.ts'
import type { ConnectionConfig } from '../../../src/postgres/types.ts'
import type { ArtifactRef } from '../../../src/run/result.ts'
import { DEFAULT_RETRIES } from '../../../src/storage/retry.ts'
import { S3Store } from '../../../src/storage/s3.ts'
import { waitFor } from '../../cluster/processes.ts'
import { backendsGone, failureOf, fingerprint, keysIn, testContext } from '../../support/engine.ts'
import {
  type HTTPFault,
  type HTTPFaultPlan,
  type HTTPProxy,
  type SeenRequest,
  startHTTPProxy,
  startTCPProxy,
  type TCPProxy,
} from '../../support/faultproxy.ts'
import { useMinio } from '../../support/minio.ts'
import { usePostgres } from '../../support/postgres.ts'

export const MIB = 1024 * 1024
/** Bytes of `load` on the wire, about: three parts of a multipart upload. */
export const LOAD_BYTES = 12 * MIB

/** `load` is more than stays in sockets' buffers and cannot be compressed away; `target` has rows of its own. */
const SETUP = `
  CREATE TABLE load (id int, filler text);
  ALTER TABLE load ALTER filler SET STORAGE EXTERNAL;
  INSERT INTO load SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 32) j) FROM generate_series(1, ${LOAD_BYTES / 1024}) i;
  CREATE TABLE target (LIKE load);
  INSERT INTO target VALUES (-1, 'what was there before'), (-2, NULL);
  CHECKPOINT;`

/** Another number gives other moments; a failure names the moment that it had. */
const SEED = 20_261_121

/** Numbers in [0, 1) that a seed decides (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const random = randomOf(SEED)

/** A moment in the middle of a COPY of `load`, in bytes that have passed. */
export function someMoment(): number {
  return Math.floor(LOAD_BYTES * (0.15 + 0.7 * random()))
}

/** What a store of these tests tries in all. */
const ATTEMPTS = 6

/** A plan that faults requests that `matches` by chance, never so many that one request could run out of attempts. */
export function byChance(matches: (request: SeenRequest) => boolean, fault: HTTPFault): HTTPFaultPlan {
  let left = ATTEMPTS - 1
  return (request) => (left > 0 && matches(request) && random() < 0.4 && left-- > 0 ? fault : undefined)
}

/** A plan that faults all requests that `matches`, from one of the first `among` on. */
export function fromSomeOn(among: number, matches: (request: SeenRequest) => boolean, fault: HTTPFault): HTTPFaultPlan {
  let left = Math.floor(among * random())
  return (request) => (matches(request) && left-- <= 0 ? fault : undefined)
}

export const isPart = ({ method, query }: SeenRequest) => method === 'PUT' && query.has('partNumber')
export const isRangedRead = ({ method, headers, path }: SeenRequest) =>
  method === 'GET' && headers.range !== undefined && !path.endsWith('manifest.json')

/** Servers for a test file, with a proxy before each, and what is to be true after a fault. */
export function useFaults() {
  const postgres = usePostgres({ setup: SETUP })
  const minio = useMinio()
  let wire: TCPProxy
  let http: HTTPProxy
  let open: S3Store[] = []

  beforeEach(async () => {
    wire = await startTCPProxy({ host: postgres.server.host, port: postgres.server.port })
    http = await startHTTPProxy(minio.server)
  })
  afterEach(async () => {
    for (const store of open) store.close()
    open = []
    await Promise.all([wire.stop(), http.stop()])
  })

  /** The bucket, through the proxy of this port or without one; what is slow is not lost, unless that is to be found out. */
  const store = (via?: { readonly port: number }, idleTimeoutMs = 20_000): S3Store => {
    const retries = { ...DEFAULT_RETRIES, attempts: ATTEMPTS, baseMs: 5, capMs: 30 }
    const options = minio.server.options(minio.bucket, via === undefined ? {} : { via })
    const opened = new S3Store(options, { retries, idleTimeoutMs })
    open.push(opened)
    return opened
  }
  const direct = () => postgres.database.config
  const proxied = (): ConnectionConfig => ({ ...direct(), port: wire.port })

  const dumpLoad = (changes: Partial<ArtifactDumpRequest> = {}, context = testContext()) =>
    dump(
      {
        source: direct(),
        objects: [{ table: { schema: 'public', name: 'load' } }],
        connections: 1,
        compression: { method: 'None' },
        store: store(),
        path: 'run/pod-1',
        ...changes,
      },
      context,
    )

  const restoreLoad = (artifact: ArtifactRef, from: S3Store, target: ConnectionConfig, context = testContext()) => {
    const objects = [{ from: 'public.load', to: { schema: 'public', name: 'target' } }]
    return restore({ store: from, ...artifact, target, mode: 'Truncate', objects }, context)
  }

  /** No object that looks whole, no unfinished upload, no session of ours. */
  const expectNothingLeft = async () => {
    await backendsGone(postgres.server)
    expect(await keysIn(store())).toEqual([])
    await waitFor('no unfinished upload', 5_000, async () => {
      const left = await minio.server.unfinishedUploads()
      return left.length === 0 || undefined
    })
  }

  return {
    postgres,
    minio,
    store,
    proxied,
    direct,
    dumpLoad,
    restoreLoad,
    expectNothingLeft,
    get wire() {
      return wire
    },
    get http() {
      return http
    },

    /** The error of a dump that leaves nothing. */
    async dumpFails(work: () => Promise<unknown>): Promise<PgpackError> {
      const error = await failureOf(work())
      await expectNothingLeft()
      return error
    },

    /** The error of a restore that leaves the target as it was. */
    async restoreFails(work: () => Promise<unknown>): Promise<PgpackError> {
      const before = await fingerprint(postgres.database, 'target')
      const error = await failureOf(work())
      await backendsGone(postgres.server)
      expect(await fingerprint(postgres.database, 'target')).toEqual(before)
      return error
    },

    /** A dump, by way of whatever is between, that restores to the rows that it was made of. */
    async expectWhole(artifact: ArtifactRef): Promise<void> {
      await restoreLoad(artifact, store(), direct())
      await this.expectRestored()
    },

    async expectRestored(): Promise<void> {
      const { database } = postgres
      expect(await fingerprint(database, 'target')).toEqual(await fingerprint(database, 'load'))
      await backendsGone(postgres.server)
      expect(await minio.server.unfinishedUploads()).toEqual([])
    },

    /** Resolves when so many bytes have passed the database's proxy; fails when `work` ends before. */
    async passed(direction: 'up' | 'down', bytes: number, work: Promise<unknown>): Promise<void> {
      const early = work.then(() => {
        throw new Error(`it ended before ${bytes} bytes had passed`)
      })
      const there = waitFor(
        `${bytes} bytes have passed`,
        45_000,
        async () => wire.passed[direction] >= bytes || undefined,
      )
      await Promise.race([there, early])
    },
  }
}
