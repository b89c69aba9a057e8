import { Command } from 'commander'
import { openSource } from '../engine/load.ts'
import { inspect, type PGPackInfo } from '../pgpack/inspect.ts'
import { toJSON } from './json.ts'
import { type PlaceOptions, withPlace, withPlaceOptions } from './place.ts'
import { printLine, type Terminal } from './terminal.ts'
import { formatBytes } from './units.ts'

interface InspectOptions extends PlaceOptions {
  readonly json: boolean
}

/** `pgpack inspect`: what a file says of itself; its body is not read. */
export function inspectCommand(terminal: Terminal): Command {
  const command = new Command('inspect')
    .description("Show a PGPack file's header: columns, compression, lengths.")
    .argument('<place>', 'PATH or s3://bucket/key')
    .option('--json', 'print the header as JSON', false)
  return withPlaceOptions(command).action(async (text: string, options: InspectOptions) => {
    const info = await withPlace(text, options, terminal.env, async ({ store, key }) =>
      inspect(await openSource(store, key, terminal.signal)),
    )
    const lines = options.json ? [toJSON(info)] : describe(text, info)
    for (const line of lines) printLine(terminal.stdout, line)
  })
}

function* describe(place: string, info: PGPackInfo): Generator<string> {
  const ratio = info.storedBytes > 0n ? (Number(info.rawBytes) / Number(info.storedBytes)).toFixed(1) : '1.0'
  yield `${place}`
  yield `  compression   ${info.method}, ${ratio}:1`
  yield `  stored        ${formatBytes(info.storedBytes)} (${info.storedBytes} bytes from byte ${info.bodyOffset})`
  yield `  uncompressed  ${formatBytes(info.rawBytes)} (${info.rawBytes} bytes)`
  yield `  layout        lengths in the ${info.layout === 'header' ? 'header' : 'last 16 bytes'}, ${info.spelling} metadata`
  yield `  columns       ${info.columns.length}`
  for (const column of info.columns) {
    const scale = column.scale === 0 ? '' : `, scale ${column.scale}`
    const nested = column.nested === 0 ? '' : `, ${column.nested} array dimensions`
    yield `    ${JSON.stringify(column.name)} type OID ${column.oid}, length ${column.length}${scale}${nested}`
  }
}
