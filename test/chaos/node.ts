import { readdir, readFile } from 'node:fs/promises'
import { readLayout } from '../cluster/bare/layout.ts'
import { findNamespace } from '../cluster/bare/namespace.ts'

/** A process of the cluster's node, as this machine sees it. */
export interface NodeProcess {
  readonly pid: number
  /** Arguments, separated by spaces. */
  readonly command: string
  /** Its control groups: those of a pod's processes hold the pod's uid. */
  readonly groups: string
}

/** The processes of the single node of test/cluster/bare; undefined where the cluster is another one. */
export async function findNode(): Promise<Node | undefined> {
  const namespace = await findNamespace(readLayout())
  return namespace === undefined ? undefined : new Node(namespace.pid)
}

/** Signals to what runs on the node: PID 1 of a container cannot be stopped from within. */
export class Node {
  readonly #init: number

  constructor(init: number) {
    this.#init = init
  }

  /** Signals the processes that match; their number. */
  async signal(signal: NodeJS.Signals, matches: (process: NodeProcess) => boolean): Promise<number> {
    const found = (await this.#processes()).filter(matches)
    for (const { pid } of found) kill(pid, signal)
    return found.length
  }

  async #processes(): Promise<NodeProcess[]> {
    const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger)
    const parents = new Map(await Promise.all(pids.map(async (pid) => [pid, await parentOf(pid)] as const)))
    const inside = pids.filter((pid) => descends(pid, this.#init, parents))
    return Promise.all(inside.map(describe))
  }
}

function descends(pid: number, ancestor: number, parents: ReadonlyMap<number, number>): boolean {
  for (let current = parents.get(pid) ?? 0; current > 1; current = parents.get(current) ?? 0) {
    if (current === ancestor) return true
  }
  return false
}

async function describe(pid: number): Promise<NodeProcess> {
  const command = (await read(`/proc/${pid}/cmdline`)).replaceAll('\0', ' ').trim()
  return { pid, command, groups: await read(`/proc/${pid}/cgroup`) }
}

async function parentOf(pid: number): Promise<number> {
  const stat = await read(`/proc/${pid}/stat`)
  // The second field is the command's name in parentheses, which may hold spaces.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0)
}

/** Empty when the process has ended meanwhile. */
async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (hasEnded(error)) return ''
    throw error
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!hasEnded(error)) throw error
  }
}

function hasEnded(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ESRCH'
}
