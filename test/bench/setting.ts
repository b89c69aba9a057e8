import { mkdtempSync, rmSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle } from '../../scripts/bundle.ts'
import { ensurePackages } from '../cluster/packages.ts'
import { run } from '../cluster/processes.ts'
import { ensureTools } from '../cluster/tools.ts'
import { type PostgresServer, startPostgres, type TestDatabase } from '../support/postgres-server.ts'
import { imageEnvironment, ROOT } from './child.ts'
import { makeTable, SHAPES, type Shape } from './shapes.ts'

/** What all contests of one run share. */
export interface Setting {
  /** Holds the tables of the shapes. */
  readonly source: TestDatabase
  /** Holds empty tables of the same names. */
  readonly target: TestDatabase
  /** Exact size of each shape's table as binary COPY. */
  readonly bytes: ReadonlyMap<string, number>
  readonly shapes: readonly Shape[]
  /** For files; emptied at the end. */
  readonly folder: string
  /** libpq's variables for `source`, TLS pinned. */
  readonly libpq: Readonly<Record<string, string>>
  /** What the image sets for `pgpack`. */
  readonly ours: Readonly<Record<string, string>>
  /** The command of test/cluster/go/copyrelay. */
  readonly copyRelay: string
  /** A bundle of null-dump.ts. */
  readonly nullDump: string
  /** Debian's pg_dump refuses a server that is newer than itself. */
  readonly pgDumpReadsIt: boolean
  /** As the server calls it. */
  readonly serverVersion: string
}

/** Starts a PostgreSQL of this major version, and fills the tables. */
export async function withSetting<T>(
  major: number,
  mebibytes: number,
  log: (line: string) => void,
  work: (setting: Setting) => Promise<T>,
): Promise<T> {
  await ensurePackages(['postgresql-client', 'pgcopydb', 'zstd'])
  const folder = mkdtempSync(join(tmpdir(), 'pgpack-bench-'))
  // The server runs as another user, and COPY … FROM a file reads it as that user.
  await chmod(folder, 0o755)
  const server = await startPostgres({ major, settings: serverSettings(mebibytes) })
  try {
    return await work(await prepare(server, folder, mebibytes, log))
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function clientMajor(): Promise<number> {
  return Number(/ (\d+)/.exec(await run('psql', ['--version']))?.[1])
}

/** All tables in memory, no parallel query, no log of what is written: the bench is of COPY, not of the disk. */
function serverSettings(mebibytes: number): Record<string, string> {
  return {
    // Three tables of the source, one of the target, half as large again as binary COPY at most.
    shared_buffers: `${Math.max(512, 6 * mebibytes)}MB`,
    wal_level: 'minimal',
    max_wal_senders: '0',
    max_wal_size: '4GB',
    max_parallel_workers_per_gather: '0',
  }
}

async function prepare(
  server: PostgresServer,
  folder: string,
  mebibytes: number,
  log: (line: string) => void,
): Promise<Setting> {
  const [source, target] = [await server.createDatabase(), await server.createDatabase()]
  const bytes = new Map<string, number>()
  for (const shape of SHAPES) {
    log(`making ${mebibytes} MiB of ${shape.name}`)
    bytes.set(shape.name, await makeTable(source, shape, mebibytes))
    await target.query(`CREATE UNLOGGED TABLE ${shape.name} (${shape.columns})`)
  }
  const [version] = await source.query<{ server_version: string }>('SHOW server_version')
  const serverVersion = version?.server_version ?? ''
  const libpq = {
    PGHOST: server.host,
    PGPORT: String(server.port),
    PGUSER: server.user,
    PGPASSWORD: server.password,
    PGDATABASE: source.name,
    PGSSLMODE: 'disable',
  }
  return {
    source,
    target,
    bytes,
    shapes: SHAPES,
    folder,
    libpq,
    ours: imageEnvironment(),
    copyRelay: (await ensureTools(['copyrelay'])).copyrelay,
    nullDump: await bundleNullDump(),
    pgDumpReadsIt: Number.parseInt(serverVersion, 10) <= (await clientMajor()),
    serverVersion,
  }
}

/** Below node_modules, where its native packages are found, and no tool looks for sources. */
async function bundleNullDump(): Promise<string> {
  const folder = join(ROOT, 'node_modules/.cache/pgpack-bench')
  await bundle([join(ROOT, 'test/bench/null-dump.ts')], folder)
  return join(folder, 'null-dump.js')
}
