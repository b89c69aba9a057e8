import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measure } from './child.ts'
import type { Contest, Contestant } from './contest.ts'

/** Where the time of one piece of work goes. Seconds. */
export interface Profile {
  readonly contest: string
  readonly name: string
  readonly seconds: number
  /** CPU time of our threads by their names. */
  readonly threads: Readonly<Record<string, number>>
  /** CPU time of all else on the machine: the servers. */
  readonly servers: number
  /** Of all cores together. */
  readonly idle: number
  /** What the main thread was seen in most, and the share of its busy time. */
  readonly mainThread: readonly { readonly where: string; readonly share: number }[]
}

/** What `--cpu-prof` writes (the DevTools protocol, "Profiler.Profile"). */
interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { functionName: string; url: string } }[]
  readonly samples?: readonly number[] | undefined
  /** Microseconds before each sample. */
  readonly timeDeltas?: readonly number[] | undefined
}

const SHOWN = 6

/** Runs a contestant once more, with Node's sampling profiler in its main thread. */
export async function profileOf(contest: Contest, { name, command, env = {}, prepare }: Contestant): Promise<Profile> {
  const folder = mkdtempSync(join(tmpdir(), 'pgpack-profile-'))
  try {
    await prepare?.()
    const options = { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder}` }
    const watched = await measure(command, { ...env, ...options }, { threads: true })
    const { seconds, threads, cpuSeconds, machine } = watched
    const [file] = readdirSync(folder)
    const mainThread = file === undefined ? [] : mostSeen(JSON.parse(readFileSync(join(folder, file), 'utf8')))
    const servers = Math.max(0, machine.busy - cpuSeconds)
    return { contest: contest.title, name, seconds, threads, servers, idle: machine.idle, mainThread }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export function mostSeen({ nodes, samples = [], timeDeltas = [] }: CpuProfile): Profile['mainThread'] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, where(callFrame)]))
  const times = new Map<string, number>()
  samples.forEach((id, index) => {
    const name = names.get(id) ?? ''
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0))
  })
  times.delete('(idle)')
  const busy = [...times.values()].reduce((sum, time) => sum + time, 0)
  const sorted = [...times].sort(([, a], [, b]) => b - a).slice(0, SHOWN)
  return sorted.map(([name, time]) => ({ where: name, share: time / busy }))
}

/** Our own code is bundled into files whose names say nothing. */
function where({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): string {
  if (functionName.startsWith('(')) return functionName
  const module = url.startsWith('node:') ? ` (${url})` : ''
  return `${functionName || 'top level of a module'}${module}`
}
