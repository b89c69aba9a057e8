import { Command } from 'commander'
import { openSource } from '../engine/load.ts'
import { type PGPackVerification, verify } from '../pgpack/verify.ts'
import { EXIT } from '../run/result.ts'
import { toJSON } from './json.ts'
import { type PlaceOptions, withPlace, withPlaceOptions } from './place.ts'
import { printLine, type Terminal } from './terminal.ts'
import { formatBytes, formatCount } from './units.ts'

interface VerifyOptions extends PlaceOptions {
  readonly json: boolean
}

/** `pgpack verify`: every check that needs no database. A faulty file is exit code 42. */
export function verifyCommand(terminal: Terminal, finish: (exitCode: number) => void): Command {
  const command = new Command('verify')
    .description('Check a PGPack file: head, lengths, every frame, the structure of every row.')
    .argument('<place>', 'PATH or s3://bucket/key')
    .option('--json', 'print the result as JSON', false)
  return withPlaceOptions(command).action(async (text: string, options: VerifyOptions) => {
    const result = await withPlace(text, options, terminal.env, async ({ store, key }) =>
      verify(await openSource(store, key, terminal.signal)),
    )
    printLine(terminal.stdout, options.json ? toJSON(result) : describe(text, result))
    if (result.fault !== undefined) finish(EXIT.permanent)
  })
}

function describe(place: string, { fault, rows, rawBytes, storedBytes, frames }: PGPackVerification): string {
  if (fault === undefined) {
    const sizes = `${formatBytes(rawBytes)} in ${formatBytes(storedBytes)}`
    return `${place}: whole; ${formatCount(rows)} rows, ${sizes}, ${frames} frames`
  }
  const where = fault.offset === undefined ? '' : ` at byte ${fault.offset}`
  return `${place}: DAMAGED${where}: ${fault.message} [${fault.code}]; ${formatCount(rows)} rows before it`
}
