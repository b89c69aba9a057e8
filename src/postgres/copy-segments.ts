import type { PostgresConnection } from './connection.ts'
import { CopyCommand, type CopyOptions } from './copy-command.ts'

/** What CommandComplete and the notices before it tell of a COPY between a table and files on the segments' hosts. */
export interface SegmentCopyResult {
  /** Of all segments together: a row of a replicated table counts once for each. */
  readonly rows: bigint
  /** What SEGMENT REJECT LIMIT left out; `rows` does not hold it. */
  readonly rejectedRows: bigint
}

/** Runs a COPY … ON SEGMENT, of which no byte passes here. A signal that fires cancels it. @throws PgpackError */
export async function copyOnSegments(
  connection: PostgresConnection,
  sql: string,
  { signal }: CopyOptions = {},
): Promise<SegmentCopyResult> {
  const command = new CopyCommand(connection, sql)
  // The server agrees by its answer alone: there is no CopyOutResponse.
  command.agree()
  const rows = await connection.run(sql, signal === undefined ? {} : { signal }, () => command.run())
  return { rows, rejectedRows: command.rejectedRows }
}

/** The file of one segment. */
export interface SegmentFile {
  /** Content id. */
  readonly segment: number
  readonly host: string
  /** Absolute, on that host. */
  readonly path: string
  /** Undefined where this user may not ask for it; null where there is no such file. */
  readonly bytes?: bigint | null
}

const SEGID = '<SEGID>'
const SEG_DATA_DIR = '<SEG_DATA_DIR>'

interface Segment {
  readonly segment: number
  readonly host: string
  readonly folder: string
}

/** The files that a path with `<SEGID>` and `<SEG_DATA_DIR>` stands for, by the order of the segments. */
export async function segmentFiles(connection: PostgresConnection, template: string): Promise<readonly SegmentFile[]> {
  const segments = await connection.query<Segment>(
    `SELECT content AS segment, hostname AS host, datadir AS folder FROM pg_catalog.gp_segment_configuration
      WHERE role = 'p' AND content >= 0 ORDER BY content`,
  )
  const sizes = await segmentFileSizes(connection, template)
  return segments.map(({ segment, host, folder }) => ({
    segment,
    host,
    path: template.replaceAll(SEG_DATA_DIR, folder).replaceAll(SEGID, String(segment)),
    ...(sizes === undefined ? {} : { bytes: sizes.get(segment) ?? null }),
  }))
}

/** Only administrators ask for files, and only below a segment's own folder. */
async function segmentFileSizes(
  connection: PostgresConnection,
  template: string,
): Promise<ReadonlyMap<number, bigint> | undefined> {
  const below = `${SEG_DATA_DIR}/`
  if (!template.startsWith(below) || !(await isSuperuser(connection))) return undefined
  const rows = await connection.query<{ segment: number; bytes: string | null }>(
    `SELECT gp_segment_id AS segment, (pg_stat_file(replace($1::text, '${SEGID}', gp_segment_id::text), true)).size AS bytes
      FROM gp_dist_random('gp_id')`,
    [template.slice(below.length)],
  )
  return new Map(rows.flatMap(({ segment, bytes }) => (bytes === null ? [] : [[segment, BigInt(bytes)] as const])))
}

async function isSuperuser(connection: PostgresConnection): Promise<boolean> {
  const [row] = await connection.query<{ value: string }>(`SELECT current_setting('is_superuser') AS value`)
  return row?.value === 'on'
}

/** Roles that may read and write files came with PostgreSQL 11, and with it Greenplum 7. */
const FILE_ROLES_VERSION = 110_000
const FILE_ROLES = { From: 'pg_read_server_files', To: 'pg_write_server_files' } as const

/** Whether this user may have the server read (From) or write (To) files; else the role that would allow it. */
export async function missingFileRole(
  connection: PostgresConnection,
  direction: keyof typeof FILE_ROLES,
): Promise<string | undefined> {
  if (await isSuperuser(connection)) return undefined
  if (connection.versionNumber < FILE_ROLES_VERSION) return 'superuser'
  const role = FILE_ROLES[direction]
  const [row] = await connection.query<{ member: boolean }>(`SELECT pg_has_role($1, 'MEMBER') AS member`, [role])
  return row?.member === true ? undefined : role
}
