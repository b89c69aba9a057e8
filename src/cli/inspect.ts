import { Command } from 'commander'
import { openSource } from '../engine/load.ts'
import { inspect, type PGPackInfo } from '../pgpack/inspect.ts'
import { BUILTIN_REGISTRY } from '../pgpack/rows/registry.ts'
import { type PGPackVerification, verify } from '../pgpack/verify.ts'
import { EXIT } from '../run/result.ts'
import { toJSON } from './json.ts'
import { type PlaceOptions, withPlace, withPlaceOptions } from './place.ts'
import { printLine, type Terminal } from './terminal.ts'
import { formatBytes, formatCount } from './units.ts'

interface InspectOptions extends PlaceOptions {
  readonly header: boolean
  readonly json: boolean
}

/** What the body says when it is read through; absent with `--header`. */
type Content = Pick<PGPackVerification, 'rows' | 'frames' | 'fault'>

/** `pgpack inspect`: what is in a file. A faulty body is exit code 42, and what was read before it is shown. */
export function inspectCommand(terminal: Terminal, finish: (exitCode: number) => void): Command {
  const command = new Command('inspect')
    .description('Show what is in a PGPack file: columns and types, compression, sizes, rows, frames.')
    .argument('<place>', 'PATH or s3://bucket/key')
    .option('--header', 'read the header only: no rows and frames, but at once', false)
    .option('--json', 'print it as JSON', false)
  return withPlaceOptions(command).action(async (text: string, options: InspectOptions) => {
    const { info, content } = await withPlace(text, options, terminal.env, async ({ store, key }) => {
      const source = await openSource(store, key, terminal.signal)
      return { info: await inspect(source), content: options.header ? undefined : contentOf(await verify(source)) }
    })
    const lines = options.json ? [toJSON({ ...info, ...content })] : describe(text, info, content)
    for (const line of lines) printLine(terminal.stdout, line)
    if (content?.fault !== undefined) finish(EXIT.permanent)
  })
}

function contentOf({ rows, frames, fault }: PGPackVerification): Content {
  return { rows, frames, fault }
}

function* describe(place: string, info: PGPackInfo, content: Content | undefined): Generator<string> {
  const ratio = info.storedBytes > 0n ? (Number(info.rawBytes) / Number(info.storedBytes)).toFixed(1) : '1.0'
  yield `${place}`
  yield `  compression   ${info.method}, ${ratio}:1`
  yield `  stored        ${formatBytes(info.storedBytes)} (${info.storedBytes} bytes from byte ${info.bodyOffset})`
  yield `  uncompressed  ${formatBytes(info.rawBytes)} (${info.rawBytes} bytes)`
  yield `  layout        lengths in the ${info.layout === 'header' ? 'header' : 'last 16 bytes'}, ${info.spelling} metadata`
  if (content !== undefined) yield* describeContent(content)
  yield `  columns       ${info.columns.length}`
  for (const column of info.columns) {
    const scale = column.scale === 0 ? '' : `, scale ${column.scale}`
    const nested = column.nested === 0 ? '' : `, ${column.nested} array dimensions`
    yield `    ${JSON.stringify(column.name)} ${typeName(column.oid)}, length ${column.length}${scale}${nested}`
  }
}

function* describeContent({ rows, frames, fault }: Content): Generator<string> {
  const before = fault === undefined ? '' : ' before the fault'
  yield `  rows          ${formatCount(rows)}${before}`
  yield `  frames        ${frames}${before}`
  if (fault !== undefined) yield `  DAMAGED       ${fault.message} [${fault.code}]`
}

/** The OID alone for a type of the source database's own, whose name is not in the file. */
function typeName(oid: number): string {
  return BUILTIN_REGISTRY.knows(oid) ? `${BUILTIN_REGISTRY.codec(oid).name} (OID ${oid})` : `type OID ${oid}`
}
