import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { Cluster, PortForward } from '../client.ts'
import { deployPostgres, type PostgresWorkload } from '../workloads.ts'
import { isDeployed, readSecret, writeSecret } from './objects.ts'

export type Row = Record<string, unknown>

/** A database of the PostgreSQL in the cluster, as its owner sees it from this machine. */
export interface Database {
  readonly name: string
  /** The Secret that dumps and restores name. */
  readonly secretName: string
  /** The owner's password: what must not appear anywhere else. */
  readonly password: string
  /** Runs one or several statements; the rows of the last. */
  query<R extends Row = Row>(sql: string, params?: unknown[]): Promise<R[]>
  /** A session of its own, for locks that are held; end it. */
  session(): Promise<pg.Client>
}

/** The databases of a namespace's PostgreSQL, reached through one port-forward. */
export interface Databases {
  readonly shop: Database
  readonly copy: Database
  close(): Promise<void>
}

const SERVER = 'postgres'
/** Owns both databases and is no superuser, as the users of managed databases are not. */
const OWNER = 'orders_owner'

/**
 * PostgreSQL in the namespace with the databases `shop` and `copy`, made where they are missing, and the Secrets
 * `shop-database` (in CloudNativePG's shape) and `copy-database` (with the key `uri` alone).
 */
export async function ensureDatabases(cluster: Cluster, namespace: string): Promise<Databases> {
  const server = await ensureServer(cluster, namespace)
  const way = await cluster.portForward(namespace, `svc/${server.name}`, 5432)
  // Characters that a URI and a shell treat in their own way.
  const password = `${randomBytes(12).toString('hex')}p@:/?#%'$`
  await prepare(server, way, password)
  const host = `${server.name}.${namespace}.svc`
  const uri = `postgresql://${OWNER}:${encodeURIComponent(password)}@${host}:5432`
  await writeSecret(cluster, namespace, 'shop-database', {
    ...{ username: OWNER, password, host, port: '5432', dbname: 'shop', uri: `${uri}/shop` },
  })
  await writeSecret(cluster, namespace, 'copy-database', { uri: `${uri}/copy` })
  const owner = { user: OWNER, password }
  const shop = new ForwardedDatabase(way, { ...owner, database: 'shop', secretName: 'shop-database' })
  const copy = new ForwardedDatabase(way, { ...owner, database: 'copy', secretName: 'copy-database' })
  const close = async (): Promise<void> => {
    await Promise.all([shop.end(), copy.end()])
    await way.close()
  }
  return { shop, copy, close }
}

/** The database that a server was deployed with, as its superuser sees it, through a port-forward of its own. */
export async function openDatabase(
  cluster: Cluster,
  namespace: string,
  server: PostgresWorkload,
): Promise<Database & { close(): Promise<void> }> {
  const way = await cluster.portForward(namespace, `svc/${server.name}`, 5432)
  const database = new ForwardedDatabase(way, server)
  return Object.assign(database, {
    close: async () => {
      await database.end()
      await way.close()
    },
  })
}

async function ensureServer(cluster: Cluster, namespace: string): Promise<PostgresWorkload> {
  if (!(await isDeployed(cluster, namespace, SERVER))) return deployPostgres(cluster, namespace, SERVER)
  const secretName = `${SERVER}-app`
  const { username = '', password = '', dbname = '' } = await readSecret(cluster, namespace, secretName)
  return { name: SERVER, secretName, user: username, password, database: dbname }
}

/** Role and databases, as the server's superuser. A later run gives the role a new password. */
async function prepare(server: PostgresWorkload, way: PortForward, password: string): Promise<void> {
  const { user, database } = server
  const client = new pg.Client({ host: '127.0.0.1', port: way.port, user, password: server.password, database })
  await client.connect()
  try {
    const roles = await client.query('select from pg_roles where rolname = $1', [OWNER])
    if (roles.rowCount === 0) await client.query(`create role ${OWNER}`)
    await client.query(`alter role ${OWNER} login password ${client.escapeLiteral(password)}`)
    for (const name of ['shop', 'copy']) {
      const databases = await client.query('select from pg_database where datname = $1', [name])
      if (databases.rowCount === 0) await client.query(`create database ${name} owner ${OWNER}`)
    }
  } finally {
    await client.end()
  }
}

class ForwardedDatabase implements Database {
  readonly name: string
  readonly secretName: string
  readonly password: string
  readonly #config: pg.PoolConfig
  readonly #pool: pg.Pool
  /** Why a connection ended between two queries; the next query says so by itself if it matters. */
  lastError: Error | undefined

  constructor(
    way: PortForward,
    { user, password, database, secretName }: Pick<PostgresWorkload, 'user' | 'password' | 'database' | 'secretName'>,
  ) {
    this.name = database
    this.secretName = secretName
    this.password = password
    this.#config = { host: '127.0.0.1', port: way.port, user, password, database }
    this.#pool = new pg.Pool({ ...this.#config, max: 8 })
    this.#pool.on('error', this.#keep)
  }

  async query<R extends Row>(sql: string, params?: unknown[]): Promise<R[]> {
    const result: unknown = await this.#pool.query(sql, params)
    const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<R>
    return last.rows
  }

  async session(): Promise<pg.Client> {
    const client = new pg.Client(this.#config)
    client.on('error', this.#keep)
    await client.connect()
    return client
  }

  end(): Promise<void> {
    return this.#pool.end()
  }

  readonly #keep = (error: Error): void => {
    this.lastError = error
  }
}
