import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { HarnessError } from '../cluster/errors.ts'
import { lastLines } from '../cluster/processes.ts'

export interface Measured {
  readonly seconds: number
  /** User and system time of the command and all that it started. */
  readonly cpuSeconds: number
  /** Of each process the kernel's high-water mark of the resident set, added up. Bytes. */
  readonly peakRSS: number
  readonly stdout: string
}

export const ROOT = new URL('../../', import.meta.url).pathname
/** `pgpack` as it is shipped. */
export const PGPACK = `${process.execPath} ${ROOT}dist/main.js`
const POLL_MS = 25

/** What the image sets with ENV, for a process that is to be like one in a job pod. */
export function imageEnvironment(): Record<string, string> {
  const dockerfile = readFileSync(`${ROOT}Dockerfile`, 'utf8').replaceAll('\\\n', ' ')
  const pairs = [...dockerfile.matchAll(/^ENV (.*)$/gm)].flatMap(([, words = '']) => words.trim().split(/\s+/))
  return Object.fromEntries(pairs.map((pair) => pair.split('=', 2)))
}

/** Runs a line of bash and watches what it takes. @throws HarnessError COMMAND_FAILED */
export function measure(command: string, env: Readonly<Record<string, string>>): Promise<Measured> {
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
    const marks = new Map<number, number>()
    const timer = setInterval(() => watch(child.pid, marks), POLL_MS)
    child.on('error', reject)
    child.on('close', (code) => {
      clearInterval(timer)
      const [, stdout = '', stderr = '', times = ''] = said
      const seconds = (performance.now() - start) / 1000
      const peakRSS = [...marks.values()].reduce((sum, mark) => sum + mark, 0)
      if (code === 0) resolve({ seconds, cpuSeconds: cpuSeconds(times), peakRSS, stdout })
      else reject(new HarnessError('COMMAND_FAILED', `${command}: ended with ${code}\n${lastLines(stderr, 10)}`))
    })
  })
}

function cpuSeconds(times: string): number {
  const [, ofChildren = ''] = times.trim().split('\n')
  return [...ofChildren.matchAll(/(\d+)m([\d.]+)s/g)].reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0)
}

/** Notes the high-water marks of everything below a process. */
function watch(parent: number | undefined, marks: Map<number, number>): void {
  for (const child of readProc(`${parent}/task/${parent}/children`).trim().split(' ').filter(Boolean).map(Number)) {
    const mark = Number(/VmHWM:\s+(\d+) kB/.exec(readProc(`${child}/status`))?.[1] ?? 0) * 1024
    marks.set(child, Math.max(mark, marks.get(child) ?? 0))
    watch(child, marks)
  }
}

/** A file below /proc; empty once the process is gone. */
function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return ''
    throw error
  }
}
