/** `npm run build:wasm`: src/postgres/strip-wasm.ts from strip.wat. It is checked in; a unit test holds the two equal. */
import { readFile, writeFile } from 'node:fs/promises'
import wabt from 'wabt'

const SOURCE = new URL('../src/postgres/strip.wat', import.meta.url)
const TARGET = new URL('../src/postgres/strip-wasm.ts', import.meta.url)

/** The source of strip-wasm.ts, from the text format's. */
export async function assembleStrip(): Promise<string> {
  const { parseWat } = await wabt()
  const module = parseWat('strip.wat', await readFile(SOURCE, 'utf8'), { simd: true, bulk_memory: true })
  const bytes = Buffer.from(module.toBinary({}).buffer)
  module.destroy()
  const lines = bytes.toString('base64').match(/.{1,100}/g) ?? []
  return [
    '// Generated from strip.wat by `npm run build:wasm`; not to be edited.',
    '',
    '/** The module in WebAssembly, base64. */',
    `export const STRIP_WASM =\n${lines.map((line) => `  '${line}'`).join(' +\n')}`,
    '',
  ].join('\n')
}

async function main(): Promise<void> {
  await writeFile(TARGET, await assembleStrip())
}

if (import.meta.main) void main()
