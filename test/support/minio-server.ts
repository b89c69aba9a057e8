import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'minio'
import type { S3Options } from '../../src/storage/location.ts'
import { createAuthority, issue } from '../cluster/certificates.ts'
import { FEWER_COLLECTIONS, hasEnded, stop, waitFor } from '../cluster/processes.ts'
import { ensureTools } from '../cluster/tools.ts'
import { freePort } from './ports.ts'

export interface MinioOptions {
  /** Serve https with a certificate for 127.0.0.1 by an authority of its own. */
  readonly tls?: boolean
  /** Address of this machine that it listens on; 127.0.0.1 when not given. */
  readonly host?: string
  /** The only region that the server accepts in signatures; any when not given. */
  readonly region?: string
}

/** A MinIO of the test's own on 127.0.0.1. */
export interface MinioServer {
  readonly host: string
  readonly port: number
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** The authority's certificate in PEM, with `tls`. */
  readonly ca: string | undefined
  /** As root, for what a test arranges and looks at. */
  readonly client: Client
  createBucket(): Promise<string>
  /** Options of a store on a bucket, as root; through a proxy where its address is given. */
  options(bucket: string, changes?: Partial<S3Options> & { readonly via?: { readonly port: number } }): S3Options
  /**
   * Multipart uploads that the server keeps, over all buckets, as they lie on its disk: asked over S3, MinIO lists
   * those of an exact key only.
   */
  unfinishedUploads(): Promise<string[]>
  /** What the server has written so far. */
  log(): Promise<string>
  stop(): Promise<void>
}

/** A port that was free may be taken when the server gets to it; a server that never listened was seen, too. */
const STARTS = 3
const START_MS = 20_000

/** Starts a server, on a free port, with its data in a temporary folder and random credentials. */
export async function startMinio(options: MinioOptions = {}): Promise<MinioServer> {
  const { minio } = await ensureTools(['minio'])
  for (let attempt = 1; ; attempt++) {
    const home = await mkdtemp(join(tmpdir(), 'pgpack-minio-'))
    const server = new LocalMinio(home, await freePort(options.host), options)
    try {
      await server.start(minio)
      return server
    } catch (cause) {
      const log = await server.log().catch(() => 'nothing')
      await server.stop()
      if (attempt === STARTS)
        throw new Error(`MinIO did not start ${STARTS} times; the last one said: ${log}`, { cause })
    }
  }
}

class LocalMinio implements MinioServer {
  readonly host: string
  readonly port: number
  readonly accessKeyId = `user${randomBytes(6).toString('hex')}`
  readonly secretAccessKey = randomBytes(16).toString('hex')
  readonly #home: string
  readonly #options: MinioOptions
  #process: ChildProcess | undefined
  #client: Client | undefined
  ca: string | undefined

  constructor(home: string, port: number, options: MinioOptions) {
    this.#home = home
    this.host = options.host ?? '127.0.0.1'
    this.port = port
    this.#options = options
  }

  get endpoint(): string {
    return `${this.#options.tls === true ? 'https' : 'http'}://${this.host}:${this.port}`
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error('MinIO is not running')
    return this.#client
  }

  async start(minio: string): Promise<void> {
    const certificates = join(this.#home, 'certs')
    await mkdir(certificates)
    if (this.#options.tls === true) await this.#certify(certificates)
    const args = ['server', '--quiet', '--address', `${this.host}:${this.port}`, '--certs-dir', certificates]
    const settings = {
      MINIO_ROOT_USER: this.accessKeyId,
      MINIO_ROOT_PASSWORD: this.secretAccessKey,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      GOGC: FEWER_COLLECTIONS,
      ...(this.#options.region === undefined ? {} : { MINIO_SITE_REGION: this.#options.region }),
    }
    const environment = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
    // env(1) carries the settings: they are this server's alone.
    this.#process = await this.#spawn([...environment, minio, ...args, this.#data])
    this.#client = this.#connect()
    const outcome = await waitFor('MinIO', START_MS, () => this.#outcome())
    if (outcome === 'ended') throw new Error('MinIO ended')
  }

  async createBucket(): Promise<string> {
    const bucket = `test-${randomBytes(6).toString('hex')}`
    await this.client.makeBucket(bucket, this.#options.region ?? 'us-east-1')
    return bucket
  }

  options(bucket: string, changes: Partial<S3Options> & { readonly via?: { readonly port: number } } = {}): S3Options {
    const { via, ...rest } = changes
    const { accessKeyId, secretAccessKey, ca } = this
    const endpoint = via === undefined ? this.endpoint : this.endpoint.replace(/\d+$/, String(via.port))
    const trust = ca === undefined ? {} : { caPem: ca }
    return { endpoint, bucket, prefix: '', forcePathStyle: true, accessKeyId, secretAccessKey, ...trust, ...rest }
  }

  async unfinishedUploads(): Promise<string[]> {
    const folder = join(this.#data, '.minio.sys', 'multipart')
    const found = await readdir(folder, { recursive: true })
    // <hash of bucket and key>/<upload>; the folders of keys stay when their uploads are gone.
    return found.filter((path) => path.split('/').length === 2)
  }

  log(): Promise<string> {
    return readFile(this.#logFile, 'utf8')
  }

  async stop(): Promise<void> {
    if (this.#process !== undefined) await stop(this.#process, 10_000)
    await rm(this.#home, { recursive: true, force: true })
  }

  get #data(): string {
    return join(this.#home, 'data')
  }

  get #logFile(): string {
    return join(this.#home, 'log')
  }

  /** The kernel ends the server with this process, however that happens. */
  async #spawn(command: readonly string[]): Promise<ChildProcess> {
    const bound = process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'KILL', '--', 'env'] : ['env']
    const [first = '', ...args] = [...bound, ...command]
    const log = await open(this.#logFile, 'a')
    try {
      return spawn(first, args, { stdio: ['ignore', log.fd, log.fd] })
    } finally {
      await log.close()
    }
  }

  async #certify(directory: string): Promise<void> {
    const authority = await createAuthority(this.#home)
    const pair = await issue(authority, this.#home, 'server', { commonName: 'minio', addresses: [this.host] })
    await copyFile(pair.certificate, join(directory, 'public.crt'))
    await copyFile(pair.key, join(directory, 'private.key'))
    this.ca = await readFile(authority.certificate, 'utf8')
  }

  #connect(): Client {
    const client = new Client({
      endPoint: this.host,
      port: this.port,
      useSSL: this.#options.tls === true,
      accessKey: this.accessKeyId,
      secretKey: this.secretAccessKey,
      region: this.#options.region ?? 'us-east-1',
      // It would write its retries to the console; `waitFor` does them here.
      retryOptions: { disableRetry: true },
    })
    if (this.ca !== undefined) client.setRequestOptions({ ca: this.ca })
    return client
  }

  async #outcome(): Promise<'ready' | 'ended'> {
    if (this.#process !== undefined && hasEnded(this.#process)) return 'ended'
    await this.client.listBuckets()
    return 'ready'
  }
}
