import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

export interface Measured {
  readonly seconds: number
  /** The kernel's high-water mark of the resident set, bytes. */
  readonly peakRSS: number
  readonly stdout: string
}

const root = new URL('../../', import.meta.url).pathname
const main = `${root}dist/main.js`
const POLL_MS = 20

/** What the image sets with ENV, for a process that is to be like one in a job pod. */
function imageEnvironment(): Record<string, string> {
  const dockerfile = readFileSync(`${root}Dockerfile`, 'utf8').replaceAll('\\\n', ' ')
  const pairs = [...dockerfile.matchAll(/^ENV (.*)$/gm)].flatMap(([, words = '']) => words.trim().split(/\s+/))
  return Object.fromEntries(pairs.map((pair) => pair.split('=', 2)))
}

/** Runs the built `pgpack` in a process of its own and watches its memory. @throws when it fails */
export function measurePgpack(args: readonly string[], env: Record<string, string>): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const child = spawn(process.execPath, [main, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...imageEnvironment(), ...env },
    })
    let stdout = ''
    let peakRSS = 0
    child.stdout.on('data', (bytes: Buffer) => {
      stdout += bytes.toString()
    })
    const timer = setInterval(() => {
      peakRSS = Math.max(peakRSS, highWaterMark(child.pid))
    }, POLL_MS)
    child.on('error', reject)
    child.on('close', (code) => {
      clearInterval(timer)
      if (code === 0) resolve({ seconds: (performance.now() - start) / 1000, peakRSS, stdout })
      else reject(new Error(`pgpack ${args[0]} ended with exit code ${code}`))
    })
  })
}

/** VmHWM of /proc/<pid>/status; 0 once the process is gone. */
function highWaterMark(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return 0
    throw error
  }
}
