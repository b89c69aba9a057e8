import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from, to } from 'pg-copy-streams'
import { copyFrom, copyFromSegments, copyTableTo, copyTableToSegments } from '../../src/postgres/copy.ts'
import type { CopyFormatOptions } from '../../src/postgres/copy-options/clause.ts'
import { COPY_FORMATS } from '../../src/postgres/copy-options/schema.ts'
import {
  COPY_DIRECTIONS,
  type CopyDirection,
  type CopyFeature,
  type CopyFormat,
  type CopyTarget,
  supportOf,
} from '../../src/postgres/copy-options/table.ts'
import { collect } from './bytes.ts'

type Server = Pick<CopyTarget, 'versionNumber' | 'flavour'>

/** The table of the cells; `with oids` where the server has them. */
export const CELL_TABLE = { schema: 'public', name: 't', kind: 'r' }
export const CELL_COLUMNS = ['id', 'name']

export function createCellTable({ versionNumber }: Server): string {
  return `create table t (id int, name text)${versionNumber < 120000 ? ' with oids' : ''}`
}

/**
 * SQLSTATEs of an option that the server does not take: syntax, feature, parameter value; Greenplum's "not yet"; a
 * column named twice, or that is not there.
 */
const REFUSALS = new Set(['42601', '0A000', '22023', '0AM01', '42701', '42703'])

/** A cell of the table by name, and whether the server may take it; or took it. */
export type Cells = Record<string, boolean>

export function expectedCells(feature: CopyFeature, server: Server): Cells {
  return cells((format, direction) => supportOf(feature, { format, direction, ...server }) !== 'Refused')
}

/** Sends the shortest use of an option in each format and direction, past every check of our own. */
export async function foundCells(client: pg.Client, feature: CopyFeature): Promise<Cells> {
  const found: Cells = {}
  for (const { name, format, direction } of CELLS) {
    found[name] = await isTaken(client, { format, options: feature.example }, direction)
  }
  return found
}

const CELLS = COPY_DIRECTIONS.flatMap((direction) =>
  COPY_FORMATS.map((format) => ({ name: `${direction} ${format}`, format, direction })),
)

function cells(decide: (format: CopyFormat, direction: CopyDirection) => boolean): Cells {
  return Object.fromEntries(CELLS.map(({ name, format, direction }) => [name, decide(format, direction)]))
}

/** Runs a COPY of no rows in a transaction that is rolled back, the table being emptied in it as FREEZE asks. */
export async function isTaken(client: pg.Client, how: CopyFormatOptions, direction: CopyDirection): Promise<boolean> {
  await client.query('begin; truncate t')
  try {
    await runCopy(client, how, direction)
    return true
  } catch (error) {
    const code = (error as { code?: string }).code ?? ''
    if (REFUSALS.has(code)) return false
    throw error
  } finally {
    await client.query('rollback')
  }
}

async function runCopy(client: pg.Client, how: CopyFormatOptions, direction: CopyDirection): Promise<void> {
  const { onSegment } = how.options ?? {}
  if (onSegment !== undefined) {
    const segments = { ...how, options: { ...how.options, onSegment } }
    await client.query(copyTableToSegments(CELL_TABLE, CELL_COLUMNS, segments))
    if (direction === 'From') await client.query(copyFromSegments(CELL_TABLE, CELL_COLUMNS, segments))
  } else if (direction === 'To') {
    await collect(client.query(to(copyTableTo(CELL_TABLE, CELL_COLUMNS, how))))
  } else {
    await pipeline([noRows(how)], client.query(from(copyFrom(CELL_TABLE, CELL_COLUMNS, how))))
  }
}

/** No row, but the header line that HEADER MATCH insists on. */
function noRows({ format = 'Binary', options }: CopyFormatOptions): Buffer {
  if (format === 'Binary') return Buffer.concat([binaryHeader(options?.oids === true), BINARY_TRAILER])
  return Buffer.from(options?.header === 'Match' ? `${CELL_COLUMNS.join(format === 'CSV' ? ',' : '\t')}\n` : '')
}

/** Signature, flags (bit 16: OIDs follow), no header extension. */
export function binaryHeader(oids = false): Buffer {
  return Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), int32(oids ? 1 << 16 : 0), int32(0)])
}

export const BINARY_TRAILER = Buffer.from([0xff, 0xff])

export function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}
