import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'minio'
import { API_VERSION } from '../../src/api/v1alpha1/group.ts'
import type { Cluster } from '../cluster/index.ts'
import { waitFor } from '../cluster/processes.ts'
import { type ClusterApi, openApi } from '../cluster/quickstart/api.ts'
import { type Bucket, ensureBucket } from '../cluster/quickstart/bucket.ts'
import { type Databases, ensureDatabases } from '../cluster/quickstart/databases.ts'
import { ensureRestrictedNamespace } from '../cluster/quickstart/namespace.ts'
import { apply, readSecret } from '../cluster/quickstart/objects.ts'
import { installOperator } from '../cluster/quickstart/operator.ts'
import { type RunRef, RunWatch } from '../cluster/quickstart/runs.ts'
import { forwardForGood, type LastingForward } from './forward.ts'
import type { StoredManifest, TargetRows } from './verdict.ts'

/** Rows of each dump. */
export const ROWS = 1500
/** Each row takes this long on its way out, and on its way in: a run is hit in the midst of its work. */
const ROW_SECONDS = 0.002
const PREFIX = 'chaos'
const RESOURCES = { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '512Mi' } }
/** Attempts that a fault may end: more than will hit one run. */
const BACKOFF_LIMIT = 6
/** For what is asked while anything may be away. */
const PATIENCE_MS = 180_000
/** For one answer. */
const ATTEMPT_MS = 20_000

interface Parts {
  readonly cluster: Cluster
  readonly api: ClusterApi
  readonly namespace: string
  readonly databases: Databases
  readonly bucket: Bucket
  readonly ways: readonly LastingForward[]
}

/** A namespace with PostgreSQL, MinIO and runs, and the operator at work on it. */
export class Stage {
  readonly cluster: Cluster
  readonly api: ClusterApi
  readonly namespace: string
  readonly runs: RunWatch
  readonly databases: Databases
  readonly #bucket: Bucket
  readonly #ways: readonly LastingForward[]

  private constructor(parts: Parts) {
    this.cluster = parts.cluster
    this.api = parts.api
    this.namespace = parts.namespace
    this.databases = parts.databases
    this.#bucket = parts.bucket
    this.#ways = parts.ways
    this.runs = new RunWatch(parts.api, parts.namespace)
  }

  static async open(given: Cluster): Promise<Stage> {
    const ways: LastingForward[] = []
    const cluster: Cluster = {
      ...given,
      portForward: async (...target) => {
        const way = await forwardForGood(given, ...target)
        ways.push(way)
        return way
      },
    }
    const namespace = `pgpack-chaos-${randomBytes(3).toString('hex')}`
    await ensureRestrictedNamespace(cluster, namespace, { 'pgpack.io/e2e': 'true' })
    await installOperator(cluster)
    const databases = await ensureDatabases(cluster, namespace)
    const bucket = await ensureBucket(cluster, namespace)
    return new Stage({ cluster, api: await openApi(cluster), namespace, databases, bucket, ways })
  }

  async close(): Promise<void> {
    await this.runs.stop()
    await Promise.all([this.databases.close(), this.#bucket.close(), this.api.close()])
    await this.cluster.kubectl(['delete', 'namespace', this.namespace, '--wait=false'])
  }

  kubectl(...args: string[]): Promise<string> {
    return this.cluster.kubectl(['--namespace', this.namespace, ...args])
  }

  /** Tries until it works: whatever is asked for may just be down. */
  async insist<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const answer = await waitFor(what, PATIENCE_MS, async () => ({ value: await this.#inTime(ask()) }))
    return answer.value
  }

  /** What does not answer may wait for a way that stands still. */
  async #inTime<T>(answer: Promise<T>): Promise<T> {
    const timer = new AbortController()
    const late = pause(ATTEMPT_MS, undefined, { signal: timer.signal }).then(async () => {
      await Promise.allSettled(this.#ways.map((way) => way.renew()))
      throw new Error(`no answer within ${ATTEMPT_MS} ms`)
    })
    try {
      return await Promise.race([answer, late])
    } finally {
      timer.abort()
      // Whichever was too late has nobody to tell.
      void Promise.allSettled([answer, late])
    }
  }

  /** Makes a dump of rows that nobody else has, or the restore that reads it. */
  async create({ kind, name }: RunRef): Promise<void> {
    const number = Number(name.slice(name.indexOf('-') + 1))
    const spec = kind === 'PGPackDump' ? this.#dump(number) : this.#restore(number)
    const manifest = { apiVersion: API_VERSION, kind, metadata: { name }, spec }
    await this.insist(`${name} is made`, () => apply(this.cluster, this.namespace, manifest))
  }

  #dump(number: number): object {
    const payload = `md5('${number}-' || n) as payload`
    const sql = `select n as id, ${payload}, pg_sleep(${ROW_SECONDS})::text as pause from generate_series(1, ${ROWS}) as n`
    return {
      source: { secretRef: { name: this.databases.shop.secretName } },
      objects: [{ query: { name: `target_${number}`, sql } }],
      destination: this.#store(),
      job: { resources: RESOURCES, backoffLimit: BACKOFF_LIMIT },
    }
  }

  #restore(number: number): object {
    return {
      source: { dumpRef: { name: `dump-${number}` } },
      target: { secretRef: { name: this.databases.copy.secretName } },
      objects: [{ from: `target_${number}`, to: { schema: 'public', name: `target_${number}` } }],
      mode: modeOf(number),
      job: { resources: RESOURCES, backoffLimit: BACKOFF_LIMIT },
    }
  }

  #store(): object {
    const { name: bucket, secretName } = this.#bucket
    const endpoint = `http://minio.${this.namespace}.svc:9000`
    return { s3: { endpoint, bucket, prefix: PREFIX, credentialsSecretRef: { name: secretName } } }
  }

  /** A table that takes its time with each row. */
  async createTarget(number: number): Promise<void> {
    await this.insist(`target_${number} is made`, () =>
      this.databases.copy.query(`
        create or replace function take_time() returns trigger language plpgsql as
          $$ begin perform pg_sleep(${ROW_SECONDS}); return new; end $$;
        create table if not exists target_${number} (id integer, payload text, pause text);
        create or replace trigger take_time before insert on target_${number}
          for each row execute function take_time()`),
    )
  }

  targetRows(number: number): Promise<TargetRows> {
    const wrong = `count(*) filter (where payload is distinct from md5('${number}-' || id))`
    const counts = `count(*)::int as rows, count(distinct id)::int as distinct, ${wrong}::int as wrong`
    return this.insist(`target_${number} is read`, async () => {
      const [found] = await this.databases.copy.query<{ rows: number; distinct: number; wrong: number }>(
        `select ${counts} from target_${number}`,
      )
      return found ?? { rows: 0, distinct: 0, wrong: 0 }
    })
  }

  /** Every manifest of the store, compared with its files byte by byte. */
  async storedManifests(): Promise<StoredManifest[]> {
    const { AWS_ACCESS_KEY_ID: accessKey = '', AWS_SECRET_ACCESS_KEY: secretKey = '' } = await readSecret(
      this.cluster,
      this.namespace,
      this.#bucket.secretName,
    )
    const way = await this.cluster.portForward(this.namespace, 'svc/minio', 9000)
    try {
      const client = new Client({ endPoint: '127.0.0.1', port: way.port, useSSL: false, accessKey, secretKey })
      const read = async (key: string) =>
        Buffer.concat(await (await client.getObject(this.#bucket.name, key)).toArray())
      const keys = await this.insist('the keys are listed', () => this.#bucket.keys(`${PREFIX}/`))
      const manifests: StoredManifest[] = []
      for (const key of keys.filter((each) => each.endsWith('/manifest.json'))) {
        manifests.push(await readManifest(key, keys, read))
      }
      return manifests
    } finally {
      await way.close()
    }
  }
}

/** Append must not be done twice; Truncate may. */
export function modeOf(number: number): 'Append' | 'Truncate' {
  return number % 2 === 1 ? 'Append' : 'Truncate'
}

/** What of a manifest is compared. */
interface Manifest {
  readonly objects: readonly {
    readonly file: string
    readonly storedBytes: string
    readonly headSHA256: string
    readonly bodySHA256: string
    readonly bodyOffset: number
  }[]
}

async function readManifest(
  key: string,
  keys: readonly string[],
  read: (key: string) => Promise<Buffer>,
): Promise<StoredManifest> {
  const text = await read(key)
  const folder = key.slice(0, key.lastIndexOf('/'))
  const flaws: string[] = []
  for (const object of (JSON.parse(text.toString()) as Manifest).objects) {
    const file = `${folder}/${object.file}`
    const bytes = keys.includes(file) ? await read(file) : undefined
    if (bytes === undefined) flaws.push(`${object.file} is missing`)
    else if (bytes.length !== Number(object.storedBytes)) flaws.push(`${object.file} has ${bytes.length} bytes`)
    else if (sha256(bytes.subarray(0, object.bodyOffset)) !== object.headSHA256) flaws.push(`head of ${object.file}`)
    else if (sha256(bytes.subarray(object.bodyOffset)) !== object.bodySHA256) flaws.push(`body of ${object.file}`)
  }
  return { path: folder.slice(PREFIX.length + 1), sha256: sha256(text), flaws }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
