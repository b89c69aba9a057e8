import { errorMessage, PgpackError } from '../../errors.ts'
import { describe } from './codec.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPENING = new Set([0x5b, 0x7b])
const CLOSING = new Set([0x5d, 0x7d])

/** @throws PgpackError PGPACK_VALUE */
export function checkJSON(json: string): void {
  try {
    JSON.parse(json)
  } catch (cause) {
    throw new PgpackError('PGPACK_VALUE', `not JSON (${errorMessage(cause)}): ${describe(json)}`, {
      cause,
      expected: 'JSON',
      found: describe(json),
    })
  }
}

/**
 * The elements of a JSON array, each as its own text: numbers keep all their digits, which JSON.parse rounds.
 * @param json must be JSON
 */
export function splitArray(json: string): string[] {
  return splitMembers(json).filter((member) => member !== '')
}

/** The members of a JSON object, in order, each value as its own text. @param json must be JSON */
export function splitObject(json: string): (readonly [key: string, value: string])[] {
  return splitArray(json).map((member) => {
    const colon = keyEnd(member)
    return [String(JSON.parse(member.slice(0, colon))), member.slice(colon + 1).trim()] as const
  })
}

/** What stands between the outer brackets, cut at the commas that are in no string and no further bracket. */
function splitMembers(json: string): string[] {
  const members: string[] = []
  const text = json.trim()
  let depth = 0
  let start = 1
  for (let at = 1; at < text.length - 1; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = stringEnd(text, at)
    else if (OPENING.has(code)) depth++
    else if (CLOSING.has(code)) depth--
    else if (code === COMMA && depth === 0) {
      members.push(text.slice(start, at).trim())
      start = at + 1
    }
  }
  members.push(text.slice(start, -1).trim())
  return members
}

function keyEnd(member: string): number {
  let at = stringEnd(member, 0) + 1
  while (member.charCodeAt(at) !== COLON) at++
  return at
}

/** The quote that ends the string which starts at `at`. */
function stringEnd(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && text.charCodeAt(end) !== QUOTE) end += text.charCodeAt(end) === BACKSLASH ? 2 : 1
  return end
}
