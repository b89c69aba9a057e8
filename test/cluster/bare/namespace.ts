import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HarnessError } from '../errors.ts'
import { FEWER_COLLECTIONS, hasEnded, run, startDetached, tailOf, waitFor } from '../processes.ts'
import { type Layout, network } from './layout.ts'

/**
 * The namespaces (processes, mounts, network) that the whole cluster lives in, held by their first
 * process. That process's number and start time lie in a file, so that any later process can enter
 * or end them, and a number that a reboot or the passing of time has given to another is recognised.
 */
export interface Namespace {
  /** The machine's number of the first process. */
  readonly pid: number
}

/** Makes the namespaces. Their first process outlives this one. */
export async function createNamespace(layout: Layout): Promise<Namespace> {
  const log = join(layout.logs, 'namespace.log')
  const script = join(import.meta.dirname, 'namespace.sh')
  const scriptArguments = [layout.varLib, layout.varLog, layout.initFile, network.node, network.services]
  const child = startDetached(
    'unshare',
    ['--fork', '--pid', '--mount', '--net', '--', 'bash', script, ...scriptArguments],
    log,
  )
  return waitFor('namespaces of the cluster are made', 10_000, async () => {
    if (hasEnded(child)) {
      throw new HarnessError('NOT_READY', `the cluster's namespaces cannot be made:\n${tailOf(log)}`)
    }
    return findNamespace(layout)
  })
}

/** The namespaces that are there, or undefined. */
export async function findNamespace(layout: Layout): Promise<Namespace | undefined> {
  const text = await readIfThere(layout.initFile)
  const [pid, startTime] = text?.trim().split(' ') ?? []
  if (pid === undefined || startTime === undefined) return undefined
  const isSame = (await startTimeOf(Number(pid))) === startTime
  return isSame ? { pid: Number(pid) } : undefined
}

/** Ends the first process, and with it every process of the cluster. Returns when all are gone. */
export async function destroyNamespace(layout: Layout): Promise<void> {
  const namespace = await findNamespace(layout)
  if (namespace !== undefined) {
    process.kill(namespace.pid, 'SIGKILL')
    // The kernel lets the first process go only after all others have gone.
    await waitFor('processes of the cluster have ended', 30_000, async () => {
      return (await findNamespace(layout)) === undefined || undefined
    })
  }
  await rm(layout.initFile, { force: true })
}

/** The command line that runs a command inside the namespaces. */
export function inside(namespace: Namespace, command: string, args: readonly string[]): [string, string[]] {
  return ['nsenter', ['--target', String(namespace.pid), '--pid', '--mount', '--net', '--', command, ...args]]
}

/** Runs a command inside the namespaces to its end; its standard output. */
export function runInside(namespace: Namespace, command: string, args: readonly string[]): Promise<string> {
  return run(...inside(namespace, command, args))
}

/**
 * Starts one of the cluster's processes: a child of the first process, which it ends with. It
 * inherits none of this process's environment: the machine's proxies are out of reach in there.
 */
export async function startInside(
  namespace: Namespace,
  layout: Layout,
  name: string,
  command: string,
  args: readonly string[],
): Promise<void> {
  const environment = `PATH="$PATH" GOGC=${FEWER_COLLECTIONS}`
  const script = `log=$1; shift; setsid env --ignore-environment ${environment} "$@" >> "$log" 2>&1 < /dev/null &`
  await runInside(namespace, 'bash', ['-c', script, 'bash', join(layout.logs, `${name}.log`), command, ...args])
}

/** When a process started, in clock ticks since the machine's start; undefined where there is none. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`)
  // The second field is the command's name in parentheses, which may hold spaces.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields?.[0] === 'Z' ? undefined : fields?.[19]
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}
