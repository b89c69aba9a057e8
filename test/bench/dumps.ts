import { join } from 'node:path'
import { startMinio } from '../support/minio-server.ts'
import { referencePython, referenceServer } from '../support/reference.ts'
import { PGPACK, ROOT } from './child.ts'
import type { Contest, Contestant } from './contest.ts'
import type { Setting } from './setting.ts'
import type { Shape } from './shapes.ts'

export const PSQL_NULL = 'psql, to /dev/null'
const PSQL_ZSTD1 = 'psql | zstd -1'
const PSQL_ZSTD3 = 'psql | zstd -3 -T0'
const TO_FILE = 'pgpack dump, zstd 3, to a file'
/** What takes ten times as long as the others runs once: a tenth of its time is noise beside that. */
const SLOW_ROUNDS = 1

/** Dumps of each shape: what the peers do, and ours at the same compression. */
export async function dumpContests(setting: Setting): Promise<Contest[]> {
  const python = await referencePython()
  return setting.shapes.map((shape) => ({
    section: 'dump',
    title: `dump of ${shape.name}`,
    bytes: setting.bytes.get(shape.name) ?? 0,
    contestants: [...peers(shape, setting, python), ...ours(shape, setting)],
  }))
}

function peers({ name }: Shape, setting: Setting, python: string): Contestant[] {
  const { libpq, folder, source, pgDumpReadsIt, copyRelay } = setting
  const copy = `psql --quiet --no-psqlrc --command 'COPY ${name} TO STDOUT (FORMAT binary)'`
  const file = (extension: string) => join(folder, `${name}.${extension}`)
  const steps = [{ do: 'read_dump', path: file('reference'), table: `public.${name}`, server: referenceServer(source) }]
  const reference = `echo '${JSON.stringify(steps)}' | ${python} -I ${ROOT}test/integration/interop/reference.py`
  return [
    { name: PSQL_NULL, command: `${copy} > /dev/null`, env: libpq },
    { name: PSQL_ZSTD1, command: `${copy} | zstd -1 -q -f -o ${file('zst1')}`, env: libpq },
    { name: PSQL_ZSTD3, command: `${copy} | zstd -3 -T0 -q -f -o ${file('zst3')}`, env: libpq },
    { name: 'a reader that throws all away', command: `${copyRelay} ${source.name} ${name}`, env: libpq },
    // What no client can pass: the rows read and formatted, and not sent.
    {
      name: 'the server alone, COPY TO /dev/null',
      command: `psql --quiet --no-psqlrc --command "COPY ${name} TO '/dev/null' (FORMAT binary)"`,
      env: libpq,
    },
    ...(pgDumpReadsIt ? pgDumps(name, file, libpq) : []),
    {
      name: 'pgpack-dumper (Python), zstd 3',
      command: `${reference} | { ! grep '"error"'; }`,
      env: libpq,
      rounds: SLOW_ROUNDS,
    },
  ]
}

function pgDumps(name: string, file: (extension: string) => string, env: Setting['libpq']): Contestant[] {
  const custom = `pg_dump -Fc --table ${name} --file ${file('custom')}`
  const directory = `rm -rf ${file('d')}; pg_dump -Fd -j2 --table ${name} --file ${file('d')}`
  return [
    { name: 'pg_dump -Fc', command: custom, env, rounds: SLOW_ROUNDS },
    { name: 'pg_dump -Fd -j2', command: directory, env, rounds: SLOW_ROUNDS },
  ]
}

function ours({ name }: Shape, { source, folder, ours: env, nullDump }: Setting): Contestant[] {
  const dump = (compression: string, connections = 1) =>
    `rm -f ${join(folder, name)}.pgpack; ${PGPACK} dump --dsn '${source.dsn}' --table public.${name} --json` +
    ` --compression ${compression} --connections ${connections} --out ${join(folder, name)}.pgpack`
  const nowhere = (connections: number) => `${process.execPath} ${nullDump} '${source.dsn}' ${name} None ${connections}`
  const against1 = { against: PSQL_ZSTD1, atLeast: name === 'narrow' ? 1.1 : 1.25 }
  return [
    {
      name: 'pgpack dump, zstd 1',
      command: dump('zstd:1'),
      env,
      target: against1,
      memoryLimit: 110,
    },
    {
      name: 'pgpack dump, zstd 1, 2 connections',
      command: dump('zstd:1', 2),
      env,
      target: { ...against1, reachFor: 1.5 },
    },
    {
      name: 'pgpack dump, zstd 3',
      command: dump('zstd:3'),
      env,
      target: { against: PSQL_ZSTD3, atLeast: 1.1, reachFor: 1.3 },
      memoryLimit: 110,
    },
    {
      name: 'pgpack dump, zstd 3, 2 connections',
      command: dump('zstd:3', 2),
      env,
      target: { against: PSQL_ZSTD3, atLeast: 1.1, reachFor: 1.3 },
    },
    { name: 'pgpack dump, zstd auto', command: dump('zstd:auto'), env, rounds: 2 },
    { name: 'pgpack dump, LZ4', command: dump('lz4'), env, rounds: 2 },
    {
      name: 'pgpack, null sink',
      command: nowhere(1),
      env,
      target: { against: PSQL_NULL, atLeast: 1.1 },
    },
    {
      name: 'pgpack, null sink, 2 connections',
      command: nowhere(2),
      env,
      target: { against: PSQL_NULL, atLeast: 1.1, reachFor: 1.8 },
    },
  ]
}

/** What a start and an end take: part of every other figure, the less the larger the table is. */
export async function startContest({ source, folder, libpq, ours: env }: Setting): Promise<Contest> {
  await source.query('CREATE TABLE one_row AS SELECT 1 AS x')
  const file = join(folder, 'one_row')
  const psql = `psql --quiet --no-psqlrc --command 'COPY one_row TO STDOUT (FORMAT binary)'`
  const dump = `${PGPACK} dump --dsn '${source.dsn}' --table public.one_row --json --compression zstd:1`
  return {
    section: 'start',
    title: 'dump of one row',
    bytes: 0,
    contestants: [
      { name: PSQL_ZSTD1, command: `${psql} | zstd -1 -q -f -o ${file}.zst`, env: libpq },
      { name: 'pgpack dump, zstd 1', command: `rm -f ${file}.pgpack; ${dump} --out ${file}.pgpack`, env },
    ],
  }
}

/** The same dump into a file and into a bucket on this machine; `work` runs while the store does. */
export async function withStoreContest<T>(setting: Setting, work: (contest: Contest) => Promise<T>): Promise<T> {
  const { source, folder, ours: env } = setting
  const minio = await startMinio()
  try {
    const bucket = await minio.createBucket()
    const store = {
      AWS_ENDPOINT_URL: minio.endpoint,
      AWS_ACCESS_KEY_ID: minio.accessKeyId,
      AWS_SECRET_ACCESS_KEY: minio.secretAccessKey,
    }
    const dump = `${PGPACK} dump --dsn '${source.dsn}' --table public.text --json --compression zstd:3`
    const target = { against: TO_FILE, atLeast: 0.9, reachFor: 1 }
    return await work({
      section: 's3',
      title: 'dump of text to S3',
      bytes: setting.bytes.get('text') ?? 0,
      contestants: [
        { name: TO_FILE, command: `rm -f ${folder}/s3.pgpack; ${dump} --out ${folder}/s3.pgpack`, env },
        {
          name: 'pgpack dump, zstd 3, to S3',
          command: `${dump} --out s3://${bucket}/text.pgpack`,
          env: { ...env, ...store },
          target,
          memoryLimit: 140,
        },
      ],
    })
  } finally {
    await minio.stop()
  }
}
