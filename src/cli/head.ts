import { stripVTControlCharacters } from 'node:util'
import { Command } from 'commander'
import { openSource } from '../engine/load.ts'
import type { PGPackColumn } from '../pgpack/columns.ts'
import { ndjsonFormatter } from '../pgpack/convert/ndjson.ts'
import type { TypeRegistry } from '../pgpack/rows/registry.ts'
import type { Row } from '../pgpack/rows/row-decoder.ts'
import { RowReader } from '../pgpack/rows/row-reader.ts'
import { parseInteger } from './options.ts'
import { type PlaceOptions, withPlace, withPlaceOptions } from './place.ts'
import { printLine, type Terminal } from './terminal.ts'
import { openRegistry, type TypesOptions, withTypesOption } from './types.ts'

interface HeadOptions extends PlaceOptions, TypesOptions {
  readonly rows: string
  readonly json: boolean
}

const MAX_ROWS = 1_000_000
/** Characters of a value in the table; what is longer ends in an ellipsis. */
const MAX_WIDTH = 40

/** `pgpack head`: the first rows of a file. */
export function headCommand(terminal: Terminal): Command {
  const command = new Command('head')
    .description('Show the first rows of a PGPack file.')
    .argument('<place>', 'PATH or s3://bucket/key')
    .option('-n, --rows <n>', 'how many rows', '10')
    .option('--json', 'one JSON object a row', false)
  return withTypesOption(withPlaceOptions(command)).action(async (text: string, options: HeadOptions) => {
    const count = parseInteger('--rows', options.rows, 0, MAX_ROWS)
    const { columns, rows, registry } = await withPlace(text, options, terminal.env, async ({ store, key }) => {
      const { signal } = terminal
      const registry = await openRegistry(options, { store, key, signal })
      const reader = await RowReader.open(await openSource(store, key, signal), { registry, batchRows: 1 })
      return { ...(await readHead(reader, count)), registry }
    })
    for (const line of options.json ? toJSONLines(columns, rows, registry) : toTable(columns, rows, registry)) {
      printLine(terminal.stdout, line)
    }
  })
}

/** Reads no further than it must: what comes after the rows is neither decoded nor checked. */
async function readHead(reader: RowReader, count: number): Promise<{ columns: readonly PGPackColumn[]; rows: Row[] }> {
  const rows: Row[] = []
  if (count > 0) {
    for await (const row of reader) {
      rows.push(row)
      if (rows.length === count) break
    }
  }
  return { columns: reader.columns, rows }
}

function toJSONLines(columns: readonly PGPackColumn[], rows: readonly Row[], registry: TypeRegistry): string[] {
  const format = ndjsonFormatter(
    columns,
    columns.map((column) => registry.codec(column.oid)),
  )
  return rows.map((row) => format(row).trimEnd())
}

function* toTable(columns: readonly PGPackColumn[], rows: readonly Row[], registry: TypeRegistry): Generator<string> {
  const codecs = columns.map((column) => registry.codec(column.oid))
  const names = columns.map((column) => shorten(column.name))
  const types = codecs.map((codec) => shorten(codec.name))
  const cells = rows.map((row) =>
    codecs.map((codec, index) => (row[index] === null ? 'NULL' : shorten(codec.format(row[index])))),
  )
  const all = [names, types, ...cells]
  const widths = columns.map((_, index) => Math.max(...all.map((line) => line[index]?.length ?? 0)))
  const line = (values: readonly string[]) =>
    values
      .map((value, index) => value.padEnd(widths[index] ?? 0))
      .join(' | ')
      .trimEnd()
  yield line(names)
  yield line(types)
  yield widths.map((width) => '-'.repeat(width)).join('-+-')
  for (const row of cells) yield line(row)
}

/** One line without control characters, which a value could steer a terminal with. */
function shorten(text: string): string {
  const start = text.slice(0, MAX_WIDTH * 2)
  const printable = stripVTControlCharacters(start).replace(/\p{Cc}/gu, (character) =>
    JSON.stringify(character).slice(1, -1),
  )
  return printable.length <= MAX_WIDTH && start.length === text.length
    ? printable
    : `${printable.slice(0, MAX_WIDTH - 1)}…`
}
