import { describe, expect, it } from '@jest/globals'
import { bareFileColumns } from '../../../src/engine/bare-file.ts'
import { encodeHeader } from '../../../src/pgpack/header.ts'
import { encodeMetadata } from '../../../src/pgpack/metadata.ts'
import { PGPackReader } from '../../../src/pgpack/reader.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import type { RelationInfo } from '../../../src/postgres/types.ts'
import { faultOf } from '../../support/chunks.ts'
import { COLUMNS, pgcopy, tuple } from '../../support/pgpack.ts'

function open(body: Buffer): Promise<PGPackReader> {
  const length = BigInt(body.length)
  const head = encodeHeader(encodeMetadata(COLUMNS, 'released'), 'None', { stored: length, raw: length })
  return PGPackReader.open(bufferSource(Buffer.concat([head, body])))
}

/** A table of the file's columns and one more. */
function table(...generated: string[]): RelationInfo {
  const columns = ['id', 'name', 'extra'].map((name) => ({
    name,
    typeOid: 23,
    typmod: -1,
    typeLength: 4,
    dimensions: 0,
    typeName: 'integer',
    typeKind: 'b',
    notNull: false,
    hasDefault: false,
    generated: generated.includes(name),
    identity: undefined,
  }))
  const name = { oid: 1, schema: 'public', name: 't', kind: 'r' }
  return { ...name, columns, primaryKey: [], estimatedRows: 0, sizeBytes: 0, pages: 0 }
}

const V18 = { versionNumber: 180_000 }
const id = { name: 'id', typeOid: 23 }
const name = { name: 'name', typeOid: 25 }

describe('bareFileColumns', () => {
  it.each([
    ['all columns for rows of all fields', pgcopy(tuple(1, 'a')), [], [id, name]],
    ['also generated ones, for the preflight to refuse', pgcopy(tuple(1, 'a')), ['name'], [id, name]],
    ['those that the target does not generate', pgcopy(tuple('a')), ['id'], [name]],
    ['the same whatever else the target generates', pgcopy(tuple('a')), ['id', 'extra'], [name]],
    ['none when the target generates all', pgcopy(tuple()), ['id', 'name'], []],
    ['those that the target does not generate, of no rows', pgcopy(), ['name'], [id]],
  ])('gives %s', async (_, body, generated, expected) => {
    expect(await bareFileColumns('file', await open(body), table(...generated), V18)).toEqual(expected)
  })

  it.each([
    ['nothing is generated', [], '0 of which public.t generates itself, so 2 fields were expected'],
    ['too much is generated', ['id', 'name'], '2 of which public.t generates itself, so 0 fields were expected'],
  ])('refuses rows of fewer fields where %s', async (_, generated, message) => {
    const fault = await faultOf(bareFileColumns('file', await open(pgcopy(tuple(1))), table(...generated), V18))
    expect(fault).toMatchObject({ code: 'TARGET_MISMATCH', retryable: false, details: { found: '1 fields' } })
    expect(fault.message).toContain(`its rows hold 1 fields for 2 columns, ${message}`)
  })

  it.each([
    [90_400, true],
    [110_022, true],
    [120_000, false],
    [180_000, false],
  ])('lets rows with OIDs go to a server of version %d: %s', async (versionNumber, taken) => {
    const body = pgcopy(tuple(16_385, 1, 'a'))
    body.writeUInt32BE(1 << 16, 11)
    body.writeInt16BE(2, 19)
    const columns = bareFileColumns('file', await open(body), table(), { versionNumber })
    if (taken) expect(await columns).toEqual([id, name])
    else expect(await faultOf(columns)).toMatchObject({ code: 'TARGET_MISMATCH', retryable: false })
  })

  it('finds a first row that is damaged', async () => {
    const fault = await faultOf(bareFileColumns('file', await open(pgcopy(tuple(1, 'a', 'b'))), table(), V18))
    expect(fault.code).toBe('PGPACK_ROW_MALFORMED')
  })
})
