import { readdirSync, readFileSync } from 'node:fs'

/** What /proc counts in: sysconf(_SC_CLK_TCK) is 100 on every Linux that Node runs on (proc_pid_stat(5)). */
const TICKS_PER_SECOND = 100

/** Time of all cores together since the machine started, seconds. */
export interface MachineTime {
  readonly busy: number
  readonly idle: number
}

/** proc_stat(5): user, nice, system, idle, iowait, irq, softirq. */
export function machineTime(): MachineTime {
  const fields = /^cpu +(.*)$/m.exec(readProc('stat'))?.[1]?.split(' ').map(Number) ?? []
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0] = fields
  const seconds = (ticks: number) => ticks / TICKS_PER_SECOND
  return { busy: seconds(user + nice + system + irq + softirq), idle: seconds(idle + iowait) }
}

/** A thread's time so far, seconds. */
export interface ThreadTime {
  /** As the kernel has it: `MainThread`, `libuv-worker`, `V8Worker`; of other programs, the program's. */
  readonly name: string
  readonly seconds: number
}

/** The threads of a process by their ids; none once it is gone. */
export function threadTimes(pid: number): Map<number, ThreadTime> {
  const times = new Map<number, ThreadTime>()
  for (const id of listProc(`${pid}/task`)) {
    // The name is in brackets and may hold anything; utime and stime are the 14th and 15th field (proc_pid_stat(5)).
    const [, name = '', rest = ''] = /^\d+ \((.*)\) (.*)$/s.exec(readProc(`${pid}/task/${id}/stat`)) ?? []
    const fields = rest.split(' ')
    if (name !== '') times.set(id, { name, seconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND })
  }
  return times
}

/** Seconds by the names of threads. */
export function secondsByName(threads: Iterable<ThreadTime>): Record<string, number> {
  const seconds: Record<string, number> = {}
  for (const { name, seconds: spent } of threads) seconds[name] = (seconds[name] ?? 0) + spent
  return seconds
}

export function childrenOf(pid: number): number[] {
  return readProc(`${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number)
}

/** High-water mark of the resident set. Bytes. */
export function peakResident(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readProc(`${pid}/status`))?.[1] ?? 0) * 1024
}

function listProc(path: string): number[] {
  return unlessGone([], () => readdirSync(`/proc/${path}`).map(Number))
}

function readProc(path: string): string {
  return unlessGone('', () => readFileSync(`/proc/${path}`, 'utf8'))
}

/** Processes and threads end while they are looked at. */
function unlessGone<T>(gone: T, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return gone
    throw error
  }
}
