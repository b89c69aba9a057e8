import { join } from 'node:path'
import { measure, PGPACK } from './child.ts'
import type { Contest, Contestant } from './contest.ts'
import type { Setting } from './setting.ts'
import type { Shape } from './shapes.ts'

const PSQL_COPY = 'psql \\copy of the plain file'
const PSQL_PSQL = 'psql | psql'
/** It takes twice to three times as long as the others. */
const PGCOPYDB_ROUNDS = 3

/** Restores of each shape into an empty unlogged table, from a file that was made before. */
export async function restoreContests(setting: Setting): Promise<Contest[]> {
  for (const shape of setting.shapes) await makeFiles(shape, setting)
  return setting.shapes.map((shape) => ({
    section: 'restore',
    title: `restore of ${shape.name}`,
    bytes: setting.bytes.get(shape.name) ?? 0,
    contestants: restores(shape, setting),
  }))
}

const plainFile = ({ name }: Shape, { folder }: Setting) => join(folder, `${name}.copy`)
const dumpFolder = ({ name }: Shape, { folder }: Setting) => join(folder, `${name}.dump`)

async function makeFiles(shape: Shape, setting: Setting): Promise<void> {
  const { source, libpq, ours } = setting
  const query = `COPY ${shape.name} TO STDOUT (FORMAT binary)`
  await measure(`psql --quiet --command '${query}' > ${plainFile(shape, setting)}`, libpq)
  const dump = `${PGPACK} dump --dsn '${source.dsn}' --table public.${shape.name} --compression zstd:3 --json`
  await measure(`${dump} --out ${dumpFolder(shape, setting)}/`, ours)
}

function restores(shape: Shape, setting: Setting): Contestant[] {
  const { target, libpq, ours: env } = setting
  const work = { prepare: () => empty(shape, setting), check: () => checkLoaded(shape, setting) }
  const copy = `\\copy ${shape.name} FROM ${plainFile(shape, setting)} (FORMAT binary)`
  const restore = (connections: number) =>
    `${PGPACK} restore --dsn '${target.dsn}' --json --no-analyze --connections ${connections}` +
    ` --in ${dumpFolder(shape, setting)}/manifest.json`
  return [
    {
      name: PSQL_COPY,
      command: `psql --quiet --no-psqlrc --command '${copy}'`,
      env: { ...libpq, PGDATABASE: target.name },
      ...work,
    },
    // What no client can pass: the rows read from a file by the server itself.
    {
      name: 'the server alone, COPY FROM the file',
      command: `psql --quiet --no-psqlrc --command "COPY ${shape.name} FROM '${plainFile(shape, setting)}' (FORMAT binary)"`,
      env: { ...libpq, PGDATABASE: target.name },
      ...work,
    },
    {
      name: 'pgpack restore, zstd 3',
      command: restore(1),
      env,
      ...work,
      target: { against: PSQL_COPY, atLeast: 0.95, reachFor: 1.05 },
      memoryLimit: 125,
    },
    {
      name: 'pgpack restore, zstd 3, 2 connections',
      command: restore(2),
      env,
      ...work,
      target: { against: PSQL_COPY, atLeast: 1.2, reachFor: 1.5 },
      memoryLimit: 125,
    },
  ]
}

/** From one database of the server into another, without a file between. */
export async function transferContests(setting: Setting): Promise<Contest[]> {
  return setting.shapes.map((shape) => ({
    section: 'transfer',
    title: `database to database, ${shape.name}`,
    bytes: setting.bytes.get(shape.name) ?? 0,
    contestants: transfers(shape, setting),
  }))
}

function transfers(shape: Shape, setting: Setting): Contestant[] {
  const { name } = shape
  const { source, target, libpq, ours: env, copyRelay } = setting
  const work = { prepare: () => empty(shape, setting), check: () => checkLoaded(shape, setting) }
  const psql = 'psql --quiet --no-psqlrc'
  const options = `TO STDOUT (FORMAT binary)`
  const transfer = (connections: number) =>
    `${PGPACK} transfer --source '${source.dsn}' --target '${target.dsn}' --table public.${name} --json --no-analyze` +
    ` --connections ${connections}`
  return [
    {
      name: PSQL_PSQL,
      command: `${psql} -c 'COPY ${name} ${options}' | ${psql} ${target.name} -c 'COPY ${name} FROM STDIN (FORMAT binary)'`,
      env: libpq,
      ...work,
    },
    // What about no client can pass: it hands on what comes, and looks at nothing.
    {
      name: 'a relay that checks nothing',
      command: `${copyRelay} ${source.name} ${name} ${target.name}`,
      env: libpq,
      ...work,
    },
    {
      name: 'pgcopydb copy table-data',
      command: pgcopydb(shape, setting),
      env: libpq,
      ...work,
      rounds: PGCOPYDB_ROUNDS,
    },
    {
      name: 'pgpack transfer',
      command: transfer(1),
      env,
      ...work,
      target: { against: PSQL_PSQL, atLeast: 1.15, reachFor: 1.25 },
      memoryLimit: 70,
    },
    {
      name: 'pgpack transfer, 2 connections',
      command: transfer(2),
      env,
      ...work,
      target: { against: PSQL_PSQL, atLeast: 1.15, reachFor: 1.8 },
    },
  ]
}

function pgcopydb({ name }: Shape, { source, target }: Setting): string {
  const filter = `printf '[include-only-table]\\npublic.${name}\\n' > "$work/filter"`
  const copy = `pgcopydb copy table-data --source 'dbname=${source.name}' --target 'dbname=${target.name}' --table-jobs 2`
  const options = '--dir "$work/state" --filters "$work/filter"'
  return `work=$(mktemp -d); ${filter}; ${copy} ${options} > /dev/null; status=$?; rm -rf "$work"; (exit $status)`
}

async function empty({ name }: Shape, { target }: Setting): Promise<void> {
  await target.query(`TRUNCATE ${name}`)
  await target.query('CHECKPOINT')
}

/** Whether the target has as many rows as the source. */
async function checkLoaded({ name }: Shape, { source, target }: Setting): Promise<void> {
  const counts = await Promise.all(
    [source, target].map((database) => database.query<{ rows: string }>(`SELECT count(*) AS rows FROM ${name}`)),
  )
  const [expected, found] = counts.map(([row]) => row?.rows)
  if (expected !== found) throw new Error(`${name} has ${found} rows instead of ${expected}`)
}
