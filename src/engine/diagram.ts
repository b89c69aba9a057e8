import { stripVTControlCharacters } from 'node:util'
import { formatBytes, formatCount } from './units.ts'

export interface DiagramColumn {
  readonly name: string
  /** As format_type() has it. */
  readonly type: string
}

/** One end of an object's way: a table, a query or a file. */
export interface DiagramEnd {
  readonly name: string
  readonly columns: readonly DiagramColumn[]
}

export interface DiagramObject {
  readonly source: DiagramEnd
  readonly target: DiagramEnd
  /** Estimates; undefined where there are none. */
  readonly rows?: bigint | undefined
  readonly bytes?: bigint | undefined
  /** What is made beside the target, which is not there: `schema archive`, `type public.mood`. */
  readonly beside?: readonly string[]
}

export interface TransferPlan {
  /** `host:port/database` or a store's location; neither holds a secret. */
  readonly source: string
  readonly target: string
  readonly objects: readonly DiagramObject[]
}

export interface TransferDiagram {
  /** At most 1000 characters, a line an object: for an Event or a person in a hurry. */
  readonly short: string
  /** Boxes with columns and types, at most 16 KiB of UTF-8: for the log and `status.plan`. */
  readonly full: string
}

const SHORT_LIMIT = 1000
const FULL_LIMIT_BYTES = 16 * 1024
/** Characters within a box: two boxes and the arrow stay below 120. */
const MAX_BOX_WIDTH = 52
const MAX_NAME_WIDTH = 24
const MAX_COLUMNS = 40
const CUT = '…'
const ARROW = '───►'

/** What goes where, drawn. What is too long is cut and says so by `…`. */
export function transferDiagram(plan: TransferPlan): TransferDiagram {
  return { short: drawShort(plan), full: drawFull(plan) }
}

function drawShort({ source, target, objects }: TransferPlan): string {
  const title = `${clip(source, MAX_BOX_WIDTH * 2)} → ${clip(target, MAX_BOX_WIDTH * 2)}`
  const lines = objects.map((object) => {
    const names = `${clip(object.source.name, MAX_BOX_WIDTH)} → ${clip(object.target.name, MAX_BOX_WIDTH)}`
    return `${names}: ${facts(object)}`
  })
  return joinWithin([title], lines, (text) => text.length <= SHORT_LIMIT)
}

function drawFull(plan: TransferPlan): string {
  const pictures = plan.objects.map((object) => drawObject(plan, object))
  return joinWithin([], pictures, (text) => Buffer.byteLength(text) <= FULL_LIMIT_BYTES)
}

/** The pieces that fit, and how many do not. */
function joinWithin(start: readonly string[], pieces: readonly string[], fits: (text: string) => boolean): string {
  for (let count = pieces.length; count > 0; count -= 1) {
    const left = pieces.length - count
    const text = [...start, ...pieces.slice(0, count), ...(left === 0 ? [] : [andMore(left, 'object')])].join('\n')
    if (fits(text)) return text
  }
  return [...start, andMore(pieces.length, 'object')].join('\n')
}

function andMore(count: number, what: string): string {
  return `${CUT} and ${formatCount(BigInt(count))} more ${what}${count === 1 ? '' : 's'}`
}

function facts({ source, rows, bytes }: DiagramObject): string {
  const columns = `${source.columns.length} column${source.columns.length === 1 ? '' : 's'}`
  const known = [
    rows === undefined ? [] : `about ${formatCount(rows)} rows`,
    bytes === undefined ? [] : formatBytes(bytes),
  ]
  return [columns, ...known.flat()].join(', ')
}

function drawObject({ source, target }: TransferPlan, object: DiagramObject): string {
  const left = drawBox(source, object.source)
  const right = drawBox(target, object.target)
  const [width = 0] = left.map((line) => lengthOf(line))
  const height = Math.max(left.length, right.length)
  const lines = Array.from({ length: height }, (_, row) => {
    const gap = row === OBJECT_LINE ? ARROW : ' '.repeat(ARROW.length)
    return `${pad(left[row] ?? '', width)} ${gap} ${right[row] ?? ''}`.trimEnd()
  })
  const { beside = [] } = object
  const made = beside.slice(0, MAX_COLUMNS).map((name) => clip(`  makes ${name}`, MAX_BOX_WIDTH * 2))
  if (beside.length > made.length) made.push(`  ${andMore(beside.length - made.length, 'object')}`)
  return [...lines, `  ${facts(object)}`, ...made].join('\n')
}

/** The box's line that names the object, and where the arrow starts. */
const OBJECT_LINE = 2

function drawBox(where: string, { name, columns }: DiagramEnd): readonly string[] {
  const names = columns.slice(0, MAX_COLUMNS).map((column) => clip(column.name, MAX_NAME_WIDTH))
  const nameWidth = Math.max(0, ...names.map(lengthOf))
  const listed = columns
    .slice(0, MAX_COLUMNS)
    .map(({ type }, index) => `${pad(names[index] ?? '', nameWidth)}  ${clip(type, MAX_BOX_WIDTH)}`)
  const left = columns.length - listed.length
  const body = [...listed, ...(left > 0 ? [andMore(left, 'column')] : [])].map((line) => clip(line, MAX_BOX_WIDTH))
  const head = [clip(where, MAX_BOX_WIDTH), clip(name, MAX_BOX_WIDTH)]
  const width = Math.max(...[...head, ...body].map(lengthOf))
  const line = (text: string) => `│ ${pad(text, width)} │`
  const bar = '─'.repeat(width + 2)
  return [`┌${bar}┐`, ...head.map(line), `├${bar}┤`, ...body.map(line), `└${bar}┘`]
}

/** One line of at most `width` characters, without control characters, which could steer a terminal. */
function clip(text: string, width: number): string {
  const printable = stripVTControlCharacters(text).replace(/\p{Cc}|\u2028|\u2029/gu, ' ')
  const characters = [...printable]
  return characters.length <= width ? printable : `${characters.slice(0, width - 1).join('')}${CUT}`
}

function lengthOf(text: string): number {
  return [...text].length
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - lengthOf(text)))
}
