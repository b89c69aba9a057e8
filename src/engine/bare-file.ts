import { PgpackError } from '../errors.ts'
import type { PGPackReader } from '../pgpack/reader.ts'
import type { RelationInfo } from '../postgres/types.ts'
import type { SourceColumn } from './preflight.ts'

/** PostgreSQL 12 took WITH OIDS away; Greenplum 6 and 7 stand on 9.4 and 12. */
const NO_OIDS_VERSION = 120_000

/**
 * The columns that the rows of a file without manifest hold, in their order. The reference lists generated columns in
 * a file's metadata, but COPY left them out of its rows: when the first row holds fewer fields than there are columns,
 * the missing ones must be just those that the target generates itself.
 * @throws PgpackError TARGET_MISMATCH; PGPACK_* for a damaged body; and what the store throws
 */
export async function bareFileColumns(
  object: string,
  reader: PGPackReader,
  target: RelationInfo,
  server: { readonly versionNumber: number },
): Promise<readonly SourceColumn[]> {
  const columns = reader.columns.map(({ name, oid }) => ({ name, typeOid: oid }))
  const { fields, hasOids } = await reader.peek()
  if (hasOids) checkOids(object, server.versionNumber)
  if (fields === columns.length) return columns
  const generated = new Set(target.columns.filter((column) => column.generated).map((column) => column.name))
  const given = columns.filter((column) => !generated.has(column.name))
  // Without a row there is nothing that could be in the wrong column.
  if (fields === undefined || fields === given.length) return given
  throw fieldsMismatch(object, fields, { columns, given }, target)
}

/** Older servers take the OIDs, or drop them where the table has none. To strip them here would lose them unsaid. */
function checkOids(object: string, versionNumber: number): void {
  if (versionNumber < NO_OIDS_VERSION) return
  throw new PgpackError(
    'TARGET_MISMATCH',
    `${object} holds an OID for each row (COPY WITH OIDS), which servers from PostgreSQL 12 on cannot take; dump it anew without OIDs, or with the OID as a column of its own`,
    { expected: 'rows without OIDs', found: 'PGCOPY header flag bit 16' },
  )
}

function fieldsMismatch(
  object: string,
  fields: number,
  { columns, given }: Record<'columns' | 'given', readonly SourceColumn[]>,
  target: RelationInfo,
): PgpackError {
  const table = `${target.schema}.${target.name}`
  const left = columns.length - given.length
  return new PgpackError(
    'TARGET_MISMATCH',
    `${object} does not fit table ${table}: its rows hold ${fields} fields for ${columns.length} columns, ${left} of which ${table} generates itself, so ${given.length} fields were expected; restore it into a table that generates the same columns as the one it was dumped from`,
    { expected: `${given.length} fields`, found: `${fields} fields` },
  )
}
