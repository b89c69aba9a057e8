import { PgpackError } from '../../errors.ts'
import type { PGPackColumn } from '../columns.ts'
import { type Codec, describe, fromJSON, toJSON } from '../rows/codec.ts'
import { checkJSON, splitObject } from '../rows/json.ts'
import type { Row } from '../rows/row-decoder.ts'

/**
 * A row as a JSON object in one line. NULL is null; in json and jsonb columns, where null is a value, the key of a NULL
 * is left out.
 */
export function ndjsonFormatter(columns: readonly PGPackColumn[], codecs: readonly Codec[]): (row: Row) => string {
  const keys = columns.map(({ name }) => `${JSON.stringify(name)}:`)
  return (row) => {
    let line = ''
    for (const [index, codec] of codecs.entries()) {
      const value = row[index]
      if (value === null && codec.embedsJSON === true) continue
      line += `${line === '' ? '' : ','}${keys[index]}${value === null ? 'null' : toJSON(codec, value)}`
    }
    return `{${line}}\n`
  }
}

/** Reads what `ndjsonFormatter` writes. @throws PgpackError PGPACK_VALUE */
export function ndjsonParser(columns: readonly PGPackColumn[], codecs: readonly Codec[]): (line: string) => Row {
  const indexes = new Map(columns.map(({ name }, index) => [name, index]))
  return (line) => {
    checkJSON(line)
    if (!line.trimStart().startsWith('{')) throw invalid('a JSON object', describe(line))
    const row: Row = columns.map(() => null)
    for (const [name, json] of splitObject(line)) {
      const index = indexes.get(name)
      const codec = index === undefined ? undefined : codecs[index]
      if (index === undefined || codec === undefined) throw invalid('the name of a column', JSON.stringify(name))
      row[index] = json === 'null' && codec.embedsJSON !== true ? null : fromJSON(codec, json)
    }
    return row
  }
}

function invalid(expected: string, found: string): PgpackError {
  return new PgpackError('PGPACK_VALUE', `found ${found}, expected ${expected}`, { expected, found })
}

/** The lines of a text that comes in pieces; empty ones are left out. @throws PgpackError PGPACK_LIMIT */
export async function* lines(pieces: AsyncIterable<string>, maxLength: number): AsyncGenerator<string> {
  let rest = ''
  for await (const piece of pieces) {
    const parts = piece.split('\n')
    parts[0] = rest + parts[0]
    rest = parts.pop() ?? ''
    if (rest.length > maxLength) {
      throw new PgpackError('PGPACK_LIMIT', `a line has more than ${maxLength} characters; raise maxRowBytes`, {
        expected: `${maxLength} characters at most`,
        found: 'more',
      })
    }
    for (const line of parts) if (line.trim() !== '') yield line
  }
  if (rest.trim() !== '') yield rest
}
