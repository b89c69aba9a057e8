import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { appendFile, chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { ConnectionConfig, TLSConfig } from '../../src/postgres/types.ts'
import { cached, digest, digestFiles } from '../cluster/cache.ts'
import { createAuthority, issue, type KeyPair } from '../cluster/certificates.ts'
import { hasEnded, run, tailOf, waitFor } from '../cluster/processes.ts'
import { freePort } from './ports.ts'
import { asUnprivileged, isRoot, postgresBinaries, unprivilegedId } from './postgres-binaries.ts'
import { testedMajor } from './postgres-versions.ts'

export interface PostgresOptions {
  /** Serve TLS with a certificate for localhost and 127.0.0.1 by an authority of its own. Plain TCP stays possible. */
  readonly tls?: boolean
  /** How clients over TCP prove who they are; `cert` needs `tls`. The Unix socket trusts everyone. */
  readonly authentication?: 'trust' | 'scram-sha-256' | 'md5' | 'password' | 'cert'
  /** Settings beside or instead of the ones below. */
  readonly settings?: Readonly<Record<string, string | number>>
  /** Major version; by default the one under test. */
  readonly major?: number
  /** Where the server's own folder is made; by default among the temporary files. */
  readonly parent?: string
}

export type Row = Record<string, unknown>

/** A database of a test: every helper connects as the server's superuser over the Unix socket. */
export interface TestDatabase {
  readonly name: string
  /** A connection string for TCP, with the password. */
  readonly dsn: string
  /** For TCP: VerifyFull where the server has TLS, Disable otherwise. */
  readonly config: ConnectionConfig
  /** Runs one or several statements; the rows of the last. */
  query<R extends Row = Row>(sql: string, params?: unknown[]): Promise<R[]>
  /** Ends the connections of `query`: a template must have none. */
  close(): Promise<void>
  drop(): Promise<void>
}

export interface DatabaseOptions {
  readonly encoding?: string
  readonly template?: string
}

/** A PostgreSQL of the test's own on 127.0.0.1. */
export interface PostgresServer {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** Folder of the Unix socket. */
  readonly socketDirectory: string
  /** The authority's certificate and a client's for `user`, where the server has TLS. */
  readonly certificates: Certificates | undefined
  dsn(database: string): string
  config(database: string): ConnectionConfig
  /** Runs SQL in the database `postgres` as the superuser, over the Unix socket, on any of some connections. */
  query<R extends Row = Row>(sql: string, params?: unknown[]): Promise<R[]>
  createDatabase(options?: DatabaseOptions): Promise<TestDatabase>
  /** What the server has logged so far. */
  log(): Promise<string>
  /** Ends the server and removes what it kept. */
  stop(): Promise<void>
  /** A fast shutdown and a new start on the same port, with the same data. */
  restart(): Promise<void>
  /** A hot standby that streams from this server, which is down for a moment; it has a port of its own. */
  startStandby(): Promise<PostgresServer>
  /** Makes a primary of a standby. */
  promote(): Promise<void>
}

export interface Certificates {
  /** PEM. */
  readonly ca: string
  readonly clientCert: string
  readonly clientKey: string
}

/** Of a server's own folder; the number of the process that has made it follows. */
export const HOME_PREFIX = 'pgpack-postgres-'

const user = 'postgres'
/** Holds what a URL must escape, so that every test of a DSN is one of escaping too. */
const password = 'p@ss/w:rd?#%20'

const settings = {
  listen_addresses: '127.0.0.1',
  max_connections: 100,
  max_prepared_transactions: 20,
  shared_buffers: '64MB',
  // The data need not outlive the test.
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  // Vacuums of their own accord would disturb what a test sees in pg_stat_activity and pg_class.
  autovacuum: 'off',
  log_line_prefix: '%m [%p] %q%a ',
}

/** Starts a PostgreSQL; under a second. Whoever starts one stops it. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const binaries = await postgresBinaries(options.major)
  const home = await makeHome(options)
  try {
    const server = new EmbeddedServer(binaries, home, await freePort(), options)
    await server.initialise()
    await server.start()
    return server
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
}

/** The process in its name: what a killed one has left can be told from what is in use. */
function makeHome({ parent = tmpdir() }: PostgresOptions): Promise<string> {
  return mkdtemp(join(parent, `${HOME_PREFIX}${process.pid}-`))
}

class EmbeddedServer implements PostgresServer {
  readonly host = '127.0.0.1'
  readonly user = user
  readonly password = password
  readonly port: number
  readonly socketDirectory: string
  certificates: Certificates | undefined
  readonly #binaries: string
  readonly #data: string
  readonly #logFile: string
  readonly #options: PostgresOptions
  #process: ChildProcess | undefined
  /** To the database `postgres`: a backend for each statement would cost as much as the statement. */
  readonly #administrator: Connections

  constructor(binaries: string, home: string, port: number, options: PostgresOptions) {
    this.port = port
    this.socketDirectory = home
    this.#binaries = binaries
    this.#data = join(home, 'data')
    this.#logFile = join(home, 'log')
    this.#options = options
    this.#administrator = new Connections(this.#place('postgres'))
  }

  async initialise(): Promise<void> {
    const { authentication = 'trust' } = this.#options
    await giveAway(this.socketDirectory)
    await run('cp', ['--archive', await initialisedData(this.#binaries, authentication), this.#data])
    const host = `${authentication === 'cert' ? 'hostssl' : 'host'} all all 127.0.0.1/32 ${authentication}`
    const lines = ['local all all trust', host, 'host replication all 127.0.0.1/32 trust']
    await writeFile(join(this.#data, 'pg_hba.conf'), `${lines.join('\n')}\n`)
    if (this.#options.tls === true) this.certificates = await this.#makeCertificates()
  }

  async #makeCertificates(): Promise<Certificates> {
    const authority = await createAuthority(this.#data)
    const localhost = { commonName: 'localhost', dnsNames: ['localhost'], addresses: [this.host] }
    const server = await issue(authority, this.#data, 'server', localhost)
    const client = await issue(authority, this.#data, 'client', { commonName: user })
    await giveAway(...keyFiles(authority), ...keyFiles(server))
    await chmod(server.key, 0o600)
    const [ca, clientCert, clientKey] = await Promise.all([
      readFile(authority.certificate, 'utf8'),
      readFile(client.certificate, 'utf8'),
      readFile(client.key, 'utf8'),
    ])
    return { ca, clientCert, clientKey }
  }

  async start(): Promise<void> {
    const all: Record<string, string | number> = {
      ...settings,
      // The processes that PostgreSQL 18 has for reads of files would be three more for each of many servers.
      ...((this.#options.major ?? testedMajor) >= 18 && { io_method: 'sync' }),
      ...(this.certificates && {
        ssl: 'on',
        ssl_cert_file: 'server.crt',
        ssl_key_file: 'server.key',
        ssl_ca_file: 'ca.crt',
      }),
      ...this.#options.settings,
      port: this.port,
      unix_socket_directories: this.socketDirectory,
    }
    const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const [command, args] = asUnprivileged(join(this.#binaries, 'postgres'), ['-D', this.#data, ...flags])
    const log = openSync(this.#logFile, 'a')
    const child = spawn(command, args, { cwd: this.socketDirectory, stdio: ['ignore', log, log] })
    this.#process = child
    const state = await waitFor('PostgreSQL is ready', 60_000, async () => {
      if (hasEnded(child)) return 'ended'
      return (await isReady(this.#data)) ? 'ready' : undefined
    })
    if (state === 'ended') throw new Error(`PostgreSQL does not start:\n${tailOf(this.#logFile)}`)
  }

  async stop(): Promise<void> {
    await this.#end('SIGQUIT')
    await rm(this.socketDirectory, { recursive: true, force: true })
  }

  async restart(): Promise<void> {
    await this.#end('SIGINT')
    await this.start()
  }

  async startStandby(): Promise<PostgresServer> {
    const home = await makeHome(this.#options)
    const standby = new EmbeddedServer(this.#binaries, home, await freePort(), this.#options)
    await giveAway(home)
    // npm's packages have no pg_basebackup; a server that was shut down leaves a copy that needs no backup's help.
    await this.#end('SIGINT')
    await run('cp', ['--archive', this.#data, standby.#data])
    await this.start()
    standby.certificates = this.certificates
    await standby.#follow(this)
    await standby.start()
    return standby
  }

  async #follow({ host, port }: PostgresServer): Promise<void> {
    const setting = `primary_conninfo = 'host=${host} port=${port} user=${user}'\n`
    const old = testedMajor < 12
    const signal = join(this.#data, old ? 'recovery.conf' : 'standby.signal')
    await writeFile(signal, old ? `standby_mode = 'on'\n${setting}` : '')
    if (!old) await appendFile(join(this.#data, 'postgresql.auto.conf'), setting)
    await giveAway(signal)
  }

  async promote(): Promise<void> {
    await run(...asUnprivileged(join(this.#binaries, 'pg_ctl'), ['promote', '--wait', '-D', this.#data]))
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    if (child === undefined || hasEnded(child)) return
    const ended = once(child, 'exit')
    // Ends a query that nobody ended, too.
    const closed = this.#administrator.close()
    child.kill(signal)
    await Promise.all([ended, closed])
  }

  async log(): Promise<string> {
    return readFile(this.#logFile, 'utf8')
  }

  dsn(database: string): string {
    const authority = `${user}:${encodeURIComponent(password)}@${this.host}:${this.port}`
    const mode = this.certificates === undefined ? 'disable' : 'require'
    return `postgres://${authority}/${encodeURIComponent(database)}?sslmode=${mode}`
  }

  config(database: string): ConnectionConfig {
    const certificates = this.certificates
    const tls: TLSConfig =
      certificates === undefined ? { mode: 'Disable' } : { mode: 'VerifyFull', ca: certificates.ca, ...this.#client() }
    return { host: this.host, port: this.port, database, user, password, tls }
  }

  #client(): Pick<TLSConfig, 'cert' | 'key'> {
    if (this.#options.authentication !== 'cert' || this.certificates === undefined) return {}
    return { cert: this.certificates.clientCert, key: this.certificates.clientKey }
  }

  query<R extends Row>(sql: string, params?: unknown[]): Promise<R[]> {
    return this.#administrator.query(sql, params)
  }

  #place(database: string): pg.ClientConfig {
    return { host: this.socketDirectory, port: this.port, user, database, ssl: false }
  }

  async createDatabase(options: DatabaseOptions = {}): Promise<TestDatabase> {
    const name = `test_${randomBytes(6).toString('hex')}`
    const encoding = options.encoding === undefined ? '' : `encoding '${options.encoding}'`
    // Beside the default of PostgreSQL 15 and later, which writes every page to the WAL, a third of the time.
    const strategy = (this.#options.major ?? testedMajor) >= 15 ? 'strategy file_copy' : ''
    const template = options.template ?? 'template0'
    await this.#administrator.query(`create database "${name}" template "${template}" ${strategy} ${encoding}`)
    const connections = new Connections(this.#place(name))
    return {
      name,
      dsn: this.dsn(name),
      config: this.config(name),
      query: (sql, params) => connections.query(sql, params),
      close: () => connections.close(),
      drop: async () => {
        const closed = connections.close()
        // Also of a query that nobody ended. DROP DATABASE … WITH (FORCE) came with PostgreSQL 13.
        const backends = 'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1'
        await this.#administrator.query(backends, [name])
        await closed
        await this.#administrator.query(`drop database if exists "${name}"`)
      },
    }
  }
}

/** Connections that are used again, which costs a tenth of new ones; one that saw an error may be in any state. */
class Connections {
  readonly #options: pg.PoolConfig
  #pool: pg.Pool | undefined

  constructor(options: pg.PoolConfig) {
    this.#options = options
  }

  async query<R extends Row>(sql: string, params?: unknown[]): Promise<R[]> {
    const client = await this.#open().connect()
    try {
      const rows = lastRows<R>(await client.query(sql, params))
      client.release()
      return rows
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  /** The next query opens new ones. */
  async close(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    await pool?.end()
  }

  #open(): pg.Pool {
    // Tests end backends of all kinds, idle ones too.
    this.#pool ??= new pg.Pool(this.#options).on('error', () => undefined)
    return this.#pool
  }
}

/** The rows of the last of several statements. */
function lastRows<R extends Row>(result: unknown): R[] {
  const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<R>
  return last.rows
}

/** What initdb makes takes it a second or more, and is the same for every server of a version: made once, then copied. */
async function initialisedData(binaries: string, authentication: string): Promise<string> {
  const key = digest(await digestFiles([join(binaries, 'postgres')]), authentication, password)
  return cached(join('postgres-data', key), async (path) => {
    // initdb does not run as root, and its user may not enter the cache.
    const home = await mkdtemp(join(tmpdir(), 'pgpack-initdb-'))
    try {
      const data = join(home, 'data')
      const passwordFile = join(home, 'password')
      await writeFile(passwordFile, `${password}\n`)
      await mkdir(data)
      await giveAway(home, passwordFile, data)
      const args = ['--encoding=UTF8', '--no-locale', '--no-sync', `--username=${user}`]
      // By the method initdb decides how passwords are stored: a SCRAM secret also serves md5, but not the other way.
      const methods = ['--auth-local=trust', `--auth-host=${authentication}`]
      const files = [`--pwfile=${passwordFile}`, '-D', data]
      await run(...asUnprivileged(join(binaries, 'initdb'), [...args, ...methods, ...files]), { cwd: home })
      await run('cp', ['--archive', data, path])
    } finally {
      await rm(home, { recursive: true, force: true })
    }
  })
}

function keyFiles(pair: KeyPair): string[] {
  return [pair.certificate, pair.key]
}

/** Makes the unprivileged user the owner, where the tests run as root. */
export async function giveAway(...paths: string[]): Promise<void> {
  if (isRoot) await Promise.all(paths.map((path) => chown(path, unprivilegedId, unprivilegedId)))
}

/** As pg_ctl sees it: the eighth line of postmaster.pid; a hot standby is one that can be read. */
async function isReady(data: string): Promise<boolean> {
  try {
    const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')
    return ['ready', 'standby'].includes(lines[7]?.trim() ?? '')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
