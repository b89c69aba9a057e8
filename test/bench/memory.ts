import { join } from 'node:path'
import { measure, PGPACK } from './child.ts'
import type { Setting } from './setting.ts'

const MIB = 1024 ** 2
const GIB = 1024 ** 3

/** Peak memory of one piece of work. */
export interface MemoryLine {
  readonly work: string
  readonly gib: number
  readonly rowBytes: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakRSS: number
  readonly failure?: string
}

interface Load {
  readonly rowBytes: number
  readonly gib: number
}

/** Rows whose text is four bytes of each row's own, repeated: fast to make, so that gigabytes take seconds. */
function select({ rowBytes, gib }: Load): string {
  const rows = Math.max(1, Math.round((gib * GIB) / rowBytes))
  return `SELECT i AS id, repeat(lpad(to_hex(i), 8, 'x'), ${Math.round(rowBytes / 8)}) AS body FROM generate_series(1, ${rows}::int8) AS i`
}

/** Dumps and restores by the size of what moves and by the size of its rows; neither should show in the memory. */
export async function measureMemory(
  setting: Setting,
  gibs: readonly number[],
  log: (line: string) => void,
): Promise<MemoryLine[]> {
  const loads = [
    ...gibs.map((gib) => ({ gib, rowBytes: 1000 })),
    { gib: 0.5, rowBytes: 1 * MIB },
    { gib: 1, rowBytes: 200 * MIB },
  ]
  await setting.target.query('CREATE UNLOGGED TABLE memory (id int8, body text)')
  // Compressing it would be all that the server does.
  await setting.target.query('ALTER TABLE memory ALTER body SET STORAGE EXTERNAL')
  const lines: MemoryLine[] = []
  for (const load of loads) {
    for (const [work, command] of commands(setting, load)) {
      lines.push(await line(work, command, load, setting))
      log(`${work} of ${load.gib} GiB in rows of ${load.rowBytes} bytes`)
    }
    await setting.target.query('TRUNCATE memory')
    await setting.target.query('CHECKPOINT')
  }
  return lines
}

function commands({ source, target, folder }: Setting, load: Load): [string, string][] {
  const file = join(folder, 'memory.pgpack')
  const dump = `${PGPACK} dump --dsn '${source.dsn}' --json --out ${file} --compression zstd:1 --query "${select(load)}"`
  const restore = `${PGPACK} restore --dsn '${target.dsn}' --json --no-analyze --table public.memory --in ${file}`
  return [
    ['dump', `rm -f ${file}; ${dump}`],
    ['restore', restore],
  ]
}

async function line(work: string, command: string, load: Load, { ours }: Setting): Promise<MemoryLine> {
  try {
    const { seconds, cpuSeconds, peakRSS } = await measure(command, ours)
    return { work, ...load, seconds, cpuSeconds, peakRSS }
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error)
    return { work, ...load, seconds: 0, cpuSeconds: 0, peakRSS: 0, failure }
  }
}
