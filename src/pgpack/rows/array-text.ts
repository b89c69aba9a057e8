import { unfit } from './codec.ts'

/** An array's text, taken apart: elements in row-major order, null for NULL. */
export interface ArrayText {
  readonly dimensions: readonly number[]
  readonly lowerBounds: readonly number[]
  readonly elements: readonly (string | null)[]
}

/** White space as C has it, which counts in the text of arrays, ranges and records; JavaScript's \s knows more. */
export const SPACES = ' \t\n\r\v\f'

/** As array_out quotes an element. */
export function quoteElement(text: string, delimiter: string): string {
  if (text !== '' && !/^null$/i.test(text) && !hasSpecial(text, `"\\{}${SPACES}${delimiter}`)) return text
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

export function hasSpecial(text: string, special: string): boolean {
  for (const character of text) if (special.includes(character)) return true
  return false
}

/** `[0:1]={…}`. @throws PgpackError PGPACK_VALUE */
export function parseArrayText(type: string, text: string, delimiter: string): ArrayText {
  const trimmed = text.trim()
  const [, decoration] = /^((?:\[[^\]]*\]\s*)+=)/.exec(trimmed) ?? []
  const body = decoration === undefined ? trimmed : trimmed.slice(decoration.length).trimStart()
  const parser = new ArrayParser(type, body, delimiter)
  const { dimensions, elements } = parser.parse()
  if (decoration === undefined) return { dimensions, elements, lowerBounds: dimensions.map(() => 1) }
  const bounds = [...decoration.matchAll(/\[\s*(?:([+-]?\d+)\s*:)?\s*([+-]?\d+)\s*\]/g)]
  const lowerBounds = bounds.map(([, lower = '1']) => Number(lower))
  const lengths = bounds.map(([, lower = '1', upper]) => Number(upper) - Number(lower) + 1)
  if (lengths.join() !== dimensions.join()) unfit(type, `the dimensions that ${decoration} announces`, text)
  return { dimensions, elements, lowerBounds }
}

function trimEnd(text: string): string {
  let end = text.length
  while (end > 0 && SPACES.includes(text[end - 1] ?? 'x')) end--
  return text.slice(0, end)
}

class ArrayParser {
  readonly #type: string
  readonly #text: string
  readonly #delimiter: string
  readonly #elements: (string | null)[] = []
  readonly #dimensions: number[] = []
  #at = 0

  constructor(type: string, text: string, delimiter: string) {
    this.#type = type
    this.#text = text
    this.#delimiter = delimiter
  }

  parse(): Pick<ArrayText, 'dimensions' | 'elements'> {
    this.#level(0)
    if (this.#at !== this.#text.length) this.#fail()
    const empty = this.#elements.length === 0
    if (empty && this.#dimensions.length > 1) this.#fail()
    return { dimensions: empty ? [] : this.#dimensions, elements: this.#elements }
  }

  #level(depth: number): void {
    if (this.#text[this.#at++] !== '{' || depth >= 6) this.#fail()
    let count = 0
    this.#skipSpace()
    if (this.#text[this.#at] === '}') this.#at++
    else {
      for (;;) {
        this.#skipSpace()
        this.#item(depth)
        count++
        this.#skipSpace()
        const next = this.#text[this.#at++]
        if (next === '}') break
        if (next !== this.#delimiter) this.#fail()
      }
    }
    const known = this.#dimensions[depth]
    if (known === undefined) this.#dimensions[depth] = count
    else if (known !== count) this.#fail()
  }

  #item(depth: number): void {
    const nested = this.#text[this.#at] === '{'
    const deepest = this.#deepest
    if (deepest !== undefined && nested !== depth + 1 < deepest) this.#fail()
    if (nested) this.#level(depth + 1)
    else {
      this.#deepest = depth + 1
      this.#elements.push(this.#element())
    }
  }

  /** Known from the first element on: all stand at the same depth. */
  #deepest: number | undefined

  #element(): string | null {
    if (this.#text[this.#at] === '"') return this.#quoted()
    let value = ''
    let escaped = false
    for (;;) {
      const character = this.#text[this.#at]
      if (character === undefined || character === '"' || character === '{') this.#fail()
      else if (character === this.#delimiter || character === '}') break
      else if (character === '\\') {
        escaped = true
        value += this.#text[++this.#at] ?? ''
      } else value += character
      this.#at++
    }
    const trimmed = escaped ? value : trimEnd(value)
    if (trimmed === '' && !escaped) this.#fail()
    return !escaped && /^null$/i.test(trimmed) ? null : trimmed
  }

  #quoted(): string {
    let value = ''
    for (this.#at++; this.#text[this.#at] !== '"'; this.#at++) {
      if (this.#text[this.#at] === '\\') this.#at++
      value += this.#text[this.#at] ?? this.#fail()
    }
    this.#at++
    return value
  }

  #skipSpace(): void {
    while (SPACES.includes(this.#text[this.#at] ?? 'x')) this.#at++
  }

  #fail(): never {
    return unfit(this.#type, 'an array like {1,NULL,"two"}, rectangular', this.#text)
  }
}
