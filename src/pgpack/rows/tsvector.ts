import type { ByteWriter } from './bytes.ts'
import { type Codec, textual, unfit } from './codec.ts'
import { Cursor } from './cursor.ts'

/** Letters for the two upper bits of a position; D, the lowest, is not printed. */
const WEIGHTS = ['', 'C', 'B', 'A']
const POSITION_BITS = 14
const MAX_POSITION = (1 << POSITION_BITS) - 1

export function quoteLexeme(text: string): string {
  return `'${text.replace(/['\\]/g, '$&$&')}'`
}

/** tsvectorsend: a number of lexemes; each is text, a zero byte, a number of positions and 16 bits for each. */
function decodeLexeme(cursor: Cursor): string {
  const lexeme = quoteLexeme(cursor.cString('a lexeme'))
  const count = cursor.uint16('a number of positions')
  if (count === 0) return lexeme
  const positions: string[] = []
  for (let index = 0; index < count; index++) {
    const position = cursor.uint16('a position')
    positions.push(`${position & MAX_POSITION}${WEIGHTS[position >> POSITION_BITS] ?? ''}`)
  }
  return `${lexeme}:${positions.join(',')}`
}

const LEXEME = /\s*(?:'([^'\\]*(?:(?:''|\\[\s\S])[^'\\]*)*)'|([^\s':]+))(?::(\d+[A-Da-d]?(?:,\d+[A-Da-d]?)*))?(?=\s|$)/y

function encode(text: string, out: ByteWriter): void {
  const trimmed = text.trim()
  const lexemes: RegExpExecArray[] = []
  for (let at = 0; at < trimmed.length; at = LEXEME.lastIndex) {
    LEXEME.lastIndex = at
    lexemes.push(LEXEME.exec(trimmed) ?? unfit('tsvector', "lexemes like 'fat':1A,2", text))
  }
  out.int32(lexemes.length)
  for (const [, quoted, plain = '', positions = ''] of lexemes) {
    out.utf8(quoted === undefined ? plain : unquoteLexeme(quoted))
    out.uint8(0)
    const list = positions === '' ? [] : positions.split(',')
    out.int16(list.length)
    for (const position of list) out.int16(parsePosition(position))
  }
}

export function unquoteLexeme(quoted: string): string {
  return quoted.replace(/''|\\([\s\S])/g, (pair: string, escaped?: string) => escaped ?? pair.slice(1))
}

function parsePosition(text: string): number {
  const [, digits, letter = ''] = /^(\d+)([a-d]?)$/i.exec(text) ?? []
  const weight = Math.max(0, WEIGHTS.indexOf(letter.toUpperCase()))
  return Math.min(Number(digits), MAX_POSITION) | (weight << POSITION_BITS)
}

/** As tsvectorout prints it: `'cat':3 'fat':2A`. */
export const tsvector: Codec<string> = textual(
  'tsvector',
  (source, start, end) => {
    const cursor = new Cursor(source, start, end)
    const count = cursor.count(3, 'a number of lexemes')
    const lexemes: string[] = []
    for (let index = 0; index < count; index++) lexemes.push(decodeLexeme(cursor))
    cursor.finish()
    return lexemes.join(' ')
  },
  encode,
)
