/**
 * `npm run bench`: us and the peers, interleaved, on one machine: tables on stdout, and docs/benchmarks.{json,svg,md}.
 *
 * `-- --only start,dump,s3,upload,restore,transfer,memory,decode` gives the parts, `--mib 650` the size of each table as
 * binary COPY, `--rounds 5` how often each contestant runs, `--gib 0.1,1,8` the sizes of the memory part. `--postgres 15`
 * takes another server than the newest, one that Debian's pg_dump can read, and writes docs/benchmarks-15.{json,svg,md}.
 * `--dry` leaves docs/ alone. All of it takes half an hour.
 * What is missing of Debian's packages (PostgreSQL's clients, pgcopydb, zstd) is installed, as root.
 */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { run } from '../cluster/processes.ts'
import { POSTGRES_MAJORS } from '../support/postgres-versions.ts'
import { referencePython } from '../support/reference.ts'
import { ROOT } from './child.ts'
import { type Contest, type Played, play } from './contest.ts'
import { dumpContests, startContest, withStoreContest } from './dumps.ts'
import { restoreContests, transferContests } from './loads.ts'
import { type MemoryLine, measureMemory } from './memory.ts'
import { writePages } from './page.ts'
import { type Profile, profileOf } from './profile.ts'
import { uploadLines } from './puts.ts'
import { type Line, linesOf, memoryTable, profileTable, type Report, tables, verdict } from './report.ts'
import { type Setting, withSetting } from './setting.ts'

const DECODE = new URL('decode.ts', import.meta.url).pathname

const NEWEST = Math.max(...POSTGRES_MAJORS)

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'start,dump,s3,upload,restore,transfer,memory,decode' },
    mib: { type: 'string', default: '650' },
    rounds: { type: 'string', default: '5' },
    gib: { type: 'string', default: '0.1,1,8' },
    postgres: { type: 'string', default: String(NEWEST) },
    dry: { type: 'boolean', default: false },
  },
})
const parts = new Set(values.only.split(','))
const rounds = Number(values.rounds)
const mebibytes = Number(values.mib)
const major = Number(values.postgres)
const started = performance.now()

function log(line: string): void {
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}\n`)
}

interface Result {
  readonly played: Played
  readonly profiles: readonly Profile[]
}

async function contests(setting: Setting): Promise<Result[]> {
  const results: Result[] = []
  const playAll = async (list: readonly Contest[]) => {
    for (const contest of list) {
      const played = await play(contest, rounds, log)
      results.push({ played, profiles: await profiles(played) })
    }
  }
  if (parts.has('start')) await playAll([await startContest(setting)])
  if (parts.has('dump')) await playAll(await dumpContests(setting))
  if (parts.has('s3')) await withStoreContest(setting, (contest) => playAll([contest]))
  if (parts.has('restore')) await playAll(await restoreContests(setting))
  if (parts.has('transfer')) await playAll(await transferContests(setting))
  return results
}

function missed(line: Line): boolean {
  return verdict(line).startsWith('missed')
}

/** Of what missed its target, while the servers are as they were. */
async function profiles({ contest, entries }: Played): Promise<Profile[]> {
  const misses = linesOf({ contest, entries }).filter(missed)
  const found: Profile[] = []
  for (const { contestant } of entries) {
    if (!misses.some(({ name }) => name === contestant.name)) continue
    log(`${contest.title}, profile of ${contestant.name}`)
    found.push(await profileOf(contest, contestant))
  }
  return found
}

async function measureAll(): Promise<Pick<Report, 'lines' | 'memory' | 'profiles'> & { server: string }> {
  const nothing = { lines: [], memory: [], profiles: [], server: '' }
  if (!['start', 'dump', 's3', 'restore', 'transfer', 'memory'].some((part) => parts.has(part))) return nothing
  return withSetting(major, mebibytes, log, async (setting) => {
    const results = await contests(setting)
    const memory: MemoryLine[] = parts.has('memory')
      ? await measureMemory(setting, values.gib.split(',').map(Number), log)
      : []
    const lines = results.flatMap(({ played }) => linesOf(played))
    return { lines, memory, profiles: results.flatMap((result) => result.profiles), server: setting.serverVersion }
  })
}

async function version(command: string): Promise<string> {
  return /\d+(\.\d+)+/.exec(await run('bash', ['-c', command]))?.[0] ?? 'unknown'
}

const measured = await measureAll()
if (parts.has('upload')) log('uploading under latency')
const uploads = parts.has('upload') ? await uploadLines(mebibytes, rounds) : undefined
const lines = [...measured.lines, ...(uploads?.lines ?? [])]
const report: Report = {
  made: new Date().toISOString(),
  commit: (await run('git', ['describe', '--always', '--dirty'], { cwd: ROOT })).trim(),
  machine: `${cpus().length} cores (${cpus()[0]?.model.trim()})`,
  versions: {
    ...(measured.server !== '' && { PostgreSQL: measured.server }),
    Node: process.versions.node,
    psql: await version('psql --version'),
    zstd: await version('zstd --version'),
    pgcopydb: await version('pgcopydb --version'),
  },
  mebibytes,
  rounds,
  memory: measured.memory,
  profiles: [...measured.profiles, ...(uploads?.lines.some(missed) ? [uploads.profile] : [])],
  lines,
  decode: parts.has('decode') ? await run(process.execPath, [DECODE, '--python', await referencePython()]) : '',
}
process.stdout.write(
  `${tables(report.lines)}\n${profileTable(report.profiles)}\n${memoryTable(report.memory)}\n${report.decode}`,
)
if (!values.dry) await writePages(report, major === NEWEST ? undefined : major)
const failures = [...report.lines, ...report.memory].filter(({ failure }) => failure !== undefined)
for (const line of failures) log(`failed: ${'name' in line ? line.name : line.work}: ${line.failure}`)
if (failures.length > 0) process.exitCode = 1
