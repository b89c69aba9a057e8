import type { ByteWriter } from './bytes.ts'
import { type Codec, malformed, textual, unfit } from './codec.ts'
import { Cursor } from './cursor.ts'
import { quoteLexeme, unquoteLexeme } from './tsvector.ts'

const VALUE = 1
const OPERATOR = 2
// Operators of ts_type.h.
const NOT = 1
const AND = 2
const OR = 3
const PHRASE = 4
/** Higher binds closer; by operator, 0 unused. */
const PRIORITIES = [0, 4, 2, 1, 3]
const VALUE_PRIORITY = 5
const WEIGHT_LETTERS = [
  [8, 'A'],
  [4, 'B'],
  [2, 'C'],
  [1, 'D'],
] as const

/** An item of the bytes, which stand in prefix order: an operator, its right and then its left operand. */
type Item =
  | { readonly type: 'value'; readonly text: string; readonly weights: number; readonly prefix: boolean }
  | { readonly type: 'operator'; readonly operator: number; readonly distance: number }

interface Printed {
  readonly text: string
  readonly priority: number
  readonly phrase: boolean
}

function readItem(cursor: Cursor): Item {
  const at = cursor.at
  const type = cursor.uint8('an item')
  if (type === VALUE) {
    const weights = cursor.uint8('weights')
    return { type: 'value', weights, prefix: cursor.uint8('a flag') !== 0, text: cursor.cString('a lexeme') }
  }
  const operator = cursor.uint8('an operator')
  if (type !== OPERATOR || operator < NOT || operator > PHRASE)
    malformed(at, 'a lexeme or an operator', `${type}, ${operator}`)
  return { type: 'operator', operator, distance: operator === PHRASE ? cursor.uint16('a distance') : 0 }
}

function printValue({ text, weights, prefix }: Item & { type: 'value' }): Printed {
  const letters = WEIGHT_LETTERS.filter(([bit]) => (weights & bit) !== 0).map(([, letter]) => letter)
  const suffix = (prefix ? '*' : '') + letters.join('')
  return { text: quoteLexeme(text) + (suffix === '' ? '' : `:${suffix}`), priority: VALUE_PRIORITY, phrase: false }
}

function printOperator({ operator, distance }: Item & { type: 'operator' }, right: Printed, left?: Printed): Printed {
  const priority = PRIORITIES[operator] ?? 0
  const phrase = operator === PHRASE
  const inside = (operand: Printed, isRight: boolean) =>
    operand.priority < priority || (isRight && operand.phrase && phrase) ? `( ${operand.text} )` : operand.text
  if (left === undefined) return { text: `!${inside(right, true)}`, priority, phrase }
  const sign = operator === AND ? '&' : operator === OR ? '|' : distance === 1 ? '<->' : `<${distance}>`
  return { text: `${inside(left, false)} ${sign} ${inside(right, true)}`, priority, phrase }
}

/** From the last item to the first, so that operands are there before their operator; without recursion. */
function print(items: readonly Item[], start: number): string {
  const stack: Printed[] = []
  const operand = () => stack.pop() ?? malformed(start, 'an operand for each operator', 'none')
  for (const item of [...items].reverse()) {
    if (item.type === 'value') stack.push(printValue(item))
    else if (item.operator === NOT) stack.push(printOperator(item, operand()))
    else stack.push(printOperator(item, operand(), operand()))
  }
  if (stack.length > 1) malformed(start, 'one expression', String(stack.length))
  return stack[0]?.text ?? ''
}

const TOKEN =
  /\s*(?:([!&|()])|<(-|\d{1,5})>|(?:'([^'\\]*(?:(?:''|\\[\s\S])[^'\\]*)*)'|([^\s'!&|()<:]+))(?::(\*?[A-Da-d]*\*?))?)\s*/y

/** Operands of an operator, so that none is copied while the query is read. */
interface Node {
  readonly item: Item
  readonly right?: Node
  readonly left?: Node
}

/** The items in prefix order: an operator, its right and then its left operand. */
function itemsOf(root: Node | undefined): Item[] {
  const items: Item[] = []
  const stack = [root]
  while (stack.length > 0) {
    const node = stack.pop()
    if (node === undefined) continue
    items.push(node.item)
    stack.push(node.left, node.right)
  }
  return items
}

/** Reads the text by a stack of operators (Dijkstra's shunting yard, from the left). */
class QueryParser {
  readonly #text: string
  readonly #operators: (Item & { type: 'operator' })[] = []
  readonly #output: Node[] = []
  /** What must come next: an operand, or else an operator or the end. */
  #wantsOperand = true

  constructor(text: string) {
    this.#text = text.trim()
  }

  parse(): Item[] {
    for (let at = 0; at < this.#text.length; at = TOKEN.lastIndex) {
      TOKEN.lastIndex = at
      this.#take(TOKEN.exec(this.#text) ?? this.#fail())
    }
    while (this.#operators.length > 0) this.#reduce()
    if (this.#output.length > 1) this.#fail()
    return itemsOf(this.#output[0])
  }

  #take([, sign, distance, quoted, plain, flags = '']: RegExpExecArray): void {
    const startsOperand = sign === '(' || sign === '!' || (sign === undefined && distance === undefined)
    if (startsOperand !== this.#wantsOperand) this.#fail()
    this.#wantsOperand = (startsOperand && sign !== undefined) || (!startsOperand && sign !== ')')
    if (sign === '(' || sign === '!') this.#push(sign === '!' ? NOT : 0)
    else if (sign === ')') this.#close()
    else if (sign !== undefined) this.#binary(sign === '&' ? AND : OR)
    else if (distance !== undefined) this.#binary(PHRASE, distance === '-' ? 1 : Number(distance))
    else this.#value(quoted === undefined ? (plain ?? '') : unquoteLexeme(quoted), flags.toUpperCase())
  }

  #value(text: string, flags: string): void {
    const weights = WEIGHT_LETTERS.reduce((sum, [bit, letter]) => (flags.includes(letter) ? sum | bit : sum), 0)
    this.#output.push({ item: { type: 'value', text, weights, prefix: flags.includes('*') } })
  }

  #push(operator: number, distance = 0): void {
    this.#operators.push({ type: 'operator', operator, distance })
  }

  #binary(operator: number, distance = 0): void {
    const priority = PRIORITIES[operator] ?? 0
    while ((PRIORITIES[this.#operators.at(-1)?.operator ?? 0] ?? 0) >= priority) this.#reduce()
    this.#push(operator, distance)
  }

  #close(): void {
    while (this.#operators.at(-1)?.operator !== 0) this.#reduce()
    this.#operators.pop()
  }

  #reduce(): void {
    const item = this.#operators.pop()
    const right = this.#output.pop()
    if (item === undefined || item.operator === 0 || right === undefined) this.#fail()
    else if (item.operator === NOT) this.#output.push({ item, right })
    else this.#output.push({ item, right, left: this.#output.pop() ?? this.#fail() })
  }

  #fail(): never {
    return unfit('tsquery', "a query like 'fat' & !'cat'", this.#text)
  }
}

function encode(text: string, out: ByteWriter): void {
  const items = new QueryParser(text).parse()
  out.int32(items.length)
  for (const item of items) {
    out.uint8(item.type === 'value' ? VALUE : OPERATOR)
    if (item.type === 'value') {
      out.uint8(item.weights)
      out.uint8(item.prefix ? 1 : 0)
      out.utf8(item.text)
      out.uint8(0)
    } else {
      out.uint8(item.operator)
      if (item.operator === PHRASE) out.int16(item.distance)
    }
  }
}

/** As tsqueryout prints it: `'fat' & ( 'rat' | 'cat':*A )`. */
export const tsquery: Codec<string> = textual(
  'tsquery',
  (source, start, end) => {
    const cursor = new Cursor(source, start, end)
    const count = cursor.count(2, 'a number of items')
    const items: Item[] = []
    for (let index = 0; index < count; index++) items.push(readItem(cursor))
    cursor.finish()
    return print(items, start)
  },
  encode,
)
