import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'

const SOURCES = join(import.meta.dirname, '../../../src')
const CALL = /\blog\.(?:debug|info|warn|error)\(/g

/** The arguments of a call whose opening parenthesis ends at `start`. Strings in them hold no brackets of one side only. */
function argumentsAt(text: string, start: number): string[] {
  const found: string[] = ['']
  let depth = 0
  for (const character of text.slice(start)) {
    if (')]}'.includes(character) && depth-- === 0) break
    if ('([{'.includes(character)) depth++
    if (character === ',' && depth === 0) found.push('')
    else found[found.length - 1] += character
  }
  return found.map((argument) => argument.trim()).filter((argument) => argument !== '')
}

describe('log messages of the operator', () => {
  it('are constant: what varies is in the fields', async () => {
    const messages: (string | undefined)[] = []
    for await (const path of glob('operator/**/*.ts', { cwd: SOURCES })) {
      const text = await readFile(join(SOURCES, path), 'utf8')
      for (const match of text.matchAll(CALL)) messages.push(argumentsAt(text, match.index + match[0].length)[1])
    }
    expect(messages.length).toBeGreaterThan(15)
    for (const message of messages) expect(message).toMatch(/^'[A-Za-z][^'$]*'$/)
  })
})
