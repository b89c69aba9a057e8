import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { HarnessError } from '../cluster/errors.ts'
import { lastLines } from '../cluster/processes.ts'
import {
  childrenOf,
  type MachineTime,
  machineTime,
  peakResident,
  secondsByName,
  type ThreadTime,
  threadTimes,
} from './proc.ts'

export interface Measured {
  readonly seconds: number
  /** User and system time of the command and all that it started. */
  readonly cpuSeconds: number
  /** Of each process the kernel's high-water mark of the resident set, added up. Bytes. */
  readonly peakRSS: number
  /** What all cores did meanwhile, the servers' work and everybody else's included. Seconds. */
  readonly machine: MachineTime
  /** CPU seconds by the names of threads, as seen shortly before they ended; empty where nobody asked for them. */
  readonly threads: Readonly<Record<string, number>>
  readonly stdout: string
}

export const ROOT = new URL('../../', import.meta.url).pathname
/** `pgpack` as it is shipped. */
export const PGPACK = `${process.execPath} ${ROOT}dist/main.js`
const POLL_MS = 50

/** What the image sets with ENV, for a process that is to be like one in a job pod. */
export function imageEnvironment(): Record<string, string> {
  const dockerfile = readFileSync(`${ROOT}Dockerfile`, 'utf8').replaceAll('\\\n', ' ')
  const pairs = [...dockerfile.matchAll(/^ENV (.*)$/gm)].flatMap(([, words = '']) => words.trim().split(/\s+/))
  return Object.fromEntries(pairs.map((pair) => pair.split('=', 2)))
}

/**
 * Runs a line of bash and watches what it takes.
 * @param options `threads` looks at each thread too: a dozen files at each look, which cost the work itself some speed
 * @throws HarnessError COMMAND_FAILED
 */
export function measure(
  command: string,
  env: Readonly<Record<string, string>>,
  options: { readonly threads?: boolean } = {},
): Promise<Measured> {
  return new Promise((resolve, reject) => {
    // `times` prints minutes and seconds, user and system, of the shell and then of what it started.
    const script = `set -o pipefail; { ${command}\n} 3>&-; status=$?; times >&3; exit $status`
    const start = performance.now()
    const child = spawn('bash', ['-c', script], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    const said = ['', '', '', '']
    for (const number of [1, 2, 3]) {
      child.stdio[number]?.on('data', (bytes: Buffer) => {
        said[number] += bytes.toString()
      })
    }
    const watch = new Watch(options.threads ?? false)
    const timer = setInterval(() => watch.look(child.pid), POLL_MS)
    child.on('error', reject)
    child.on('close', (code) => {
      clearInterval(timer)
      const [, stdout = '', stderr = '', times = ''] = said
      const seconds = (performance.now() - start) / 1000
      const { peakRSS, machine, threads } = watch
      if (code === 0) resolve({ seconds, cpuSeconds: cpuSeconds(times), peakRSS, machine, threads, stdout })
      else reject(new HarnessError('COMMAND_FAILED', `${command}: ended with ${code}\n${lastLines(stderr, 10)}`))
    })
  })
}

function cpuSeconds(times: string): number {
  const [, ofChildren = ''] = times.trim().split('\n')
  return [...ofChildren.matchAll(/(\d+)m([\d.]+)s/g)].reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0)
}

class Watch {
  readonly #withThreads: boolean
  readonly #marks = new Map<number, number>()
  readonly #threads = new Map<number, ThreadTime>()
  readonly #machine = machineTime()

  constructor(withThreads: boolean) {
    this.#withThreads = withThreads
  }

  /** Notes high-water marks and times of everything below a process. */
  look(parent: number | undefined): void {
    for (const child of parent === undefined ? [] : childrenOf(parent)) {
      this.#marks.set(child, Math.max(peakResident(child), this.#marks.get(child) ?? 0))
      if (this.#withThreads) for (const [id, time] of threadTimes(child)) this.#threads.set(id, time)
      this.look(child)
    }
  }

  get peakRSS(): number {
    return [...this.#marks.values()].reduce((sum, mark) => sum + mark, 0)
  }

  get machine(): MachineTime {
    const now = machineTime()
    return { busy: now.busy - this.#machine.busy, idle: now.idle - this.#machine.idle }
  }

  get threads(): Record<string, number> {
    return secondsByName(this.#threads.values())
  }
}
