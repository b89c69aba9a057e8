import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionConfig } from '../../src/postgres/types.ts'
import { ensurePackages } from '../cluster/packages.ts'
import { appendingTo, findCommand, hasEnded, stop, tailOf, waitFor } from '../cluster/processes.ts'
import { freePort } from './ports.ts'
import { asUnprivileged } from './postgres-binaries.ts'
import { giveAway, type PostgresServer } from './postgres-server.ts'

export type PoolMode = 'session' | 'transaction' | 'statement'

export interface PgBouncer {
  /** Of a database of the server's, through the pool. */
  config(database: string): ConnectionConfig
  stop(): Promise<void>
}

/** Starts a PgBouncer before a server that trusts everyone. Whoever starts one stops it. */
export async function startPgBouncer(
  server: PostgresServer,
  poolMode: PoolMode,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<PgBouncer> {
  await ensurePackages(['pgbouncer'])
  const home = await mkdtemp(join(tmpdir(), 'pgpack-pgbouncer-'))
  const port = await freePort()
  const child = await launch(server, home, { listen_port: port, pool_mode: poolMode, ...settings })
  await waitFor('PgBouncer listens', 30_000, async () => {
    if (hasEnded(child)) throw new Error(`PgBouncer does not start:\n${tailOf(join(home, 'log'))}`)
    return (await listens(port)) || undefined
  })
  return {
    config: (database) => ({ ...server.config(database), port }),
    stop: async () => {
      await stop(child, 5000)
      await rm(home, { recursive: true, force: true })
    },
  }
}

async function launch(
  server: PostgresServer,
  home: string,
  settings: Readonly<Record<string, string | number>>,
): Promise<ChildProcess> {
  const work = join(home, 'work')
  const ini = join(home, 'pgbouncer.ini')
  const users = join(home, 'users.txt')
  await mkdir(work)
  await writeFile(users, `"${server.user}" ""\n`)
  const all = {
    listen_addr: '127.0.0.1',
    unix_socket_dir: '',
    auth_type: 'any',
    auth_file: users,
    ...settings,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`)
  const databases = `* = host=${server.host} port=${server.port} user=${server.user}`
  await writeFile(ini, `[databases]\n${databases}\n[pgbouncer]\n${lines.join('\n')}\n`)
  await giveAway(home, work, ini, users)
  const [command, args] = asUnprivileged(findCommand('pgbouncer') ?? 'pgbouncer', [ini])
  return spawn(command, args, { cwd: work, stdio: appendingTo(join(home, 'log')) })
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => settle(true)).once('error', () => settle(false))
  })
}
