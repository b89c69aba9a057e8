import type { ByteWriter } from './bytes.ts'
import { type Codec, malformed, unfit } from './codec.ts'
import { Cursor } from './cursor.ts'
import { formatFloat8, parseFloat8 } from './floats.ts'

export interface Point {
  readonly x: number
  readonly y: number
}

/** ax + by + c = 0 */
export interface Line {
  readonly a: number
  readonly b: number
  readonly c: number
}

/** The ends of an lseg; the upper right and the lower left corner of a box. */
export interface TwoPoints {
  readonly first: Point
  readonly second: Point
}

export interface Path {
  readonly closed: boolean
  readonly points: readonly Point[]
}

export interface Polygon {
  readonly points: readonly Point[]
}

export interface Circle {
  readonly x: number
  readonly y: number
  readonly radius: number
}

interface Shape<T> {
  readonly read: (cursor: Cursor) => T
  readonly write: (value: T, out: ByteWriter) => void
  readonly format: (value: T) => string
  /** Builds the value of the numbers in the text, and the text itself. */
  readonly build: (numbers: readonly number[], text: string) => T | undefined
  readonly example: string
}

const POINT_BYTES = 16
const f = formatFloat8

function shape<T>(name: string, { read, write, format, build, example }: Shape<T>): Codec<T> {
  return {
    name,
    decode(source, start, end) {
      const cursor = new Cursor(source, start, end)
      const value = read(cursor)
      cursor.finish()
      return value
    },
    encode(value, out) {
      try {
        write(value, out)
      } catch (error) {
        if (error instanceof TypeError) unfit(name, `a value like ${example}`, value)
        throw error
      }
    },
    format,
    parse(text) {
      const numbers = text
        .split(/[\s,;()[\]{}<>]+/)
        .filter((word) => word !== '')
        .map((word) => parseFloat8(word, name))
      return build(numbers, text) ?? unfit(name, example, text)
    },
  }
}

const readPoint = (cursor: Cursor): Point => ({ x: cursor.float64('x'), y: cursor.float64('y') })

function writeNumber(value: unknown, out: ByteWriter): void {
  if (typeof value !== 'number') unfit('point', 'coordinates', value)
  else out.float64(value)
}

function writePoint({ x, y }: Point, out: ByteWriter): void {
  writeNumber(x, out)
  writeNumber(y, out)
}

const formatPoint = ({ x, y }: Point): string => `(${f(x)},${f(y)})`
const formatPoints = (points: readonly Point[]): string => points.map(formatPoint).join(',')

function readPoints(cursor: Cursor): Point[] {
  const start = cursor.at
  const count = cursor.count(POINT_BYTES, 'a number of points')
  if (count === 0) malformed(start, 'at least one point', '0')
  return Array.from({ length: count }, () => readPoint(cursor))
}

function writePoints(points: readonly Point[], out: ByteWriter): void {
  out.int32(points.length)
  for (const point of points) writePoint(point, out)
}

function pairs(numbers: readonly number[]): Point[] | undefined {
  if (numbers.length === 0 || numbers.length % 2 !== 0) return undefined
  return Array.from({ length: numbers.length / 2 }, (_, index) => ({
    x: numbers[index * 2] ?? 0,
    y: numbers[index * 2 + 1] ?? 0,
  }))
}

export const point = shape<Point>('point', {
  read: readPoint,
  write: writePoint,
  format: formatPoint,
  build: ([x, y, ...more]) => (x !== undefined && y !== undefined && more.length === 0 ? { x, y } : undefined),
  example: '(1,2)',
})

export const line = shape<Line>('line', {
  read: (cursor) => ({ a: cursor.float64('a'), b: cursor.float64('b'), c: cursor.float64('c') }),
  write({ a, b, c }, out) {
    for (const number of [a, b, c]) writeNumber(number, out)
  },
  format: ({ a, b, c }) => `{${f(a)},${f(b)},${f(c)}}`,
  build: ([a, b, c, ...more]) =>
    a !== undefined && b !== undefined && c !== undefined && more.length === 0 ? { a, b, c } : undefined,
  example: '{1,2,3}',
})

function twoPoints(
  name: string,
  example: string,
  format: Shape<TwoPoints>['format'],
  order: (value: TwoPoints) => TwoPoints,
) {
  return shape<TwoPoints>(name, {
    read: (cursor) => ({ first: readPoint(cursor), second: readPoint(cursor) }),
    write({ first, second }, out) {
      writePoint(first, out)
      writePoint(second, out)
    },
    format,
    build(numbers) {
      const [first, second, ...more] = pairs(numbers) ?? []
      return first && second && more.length === 0 ? order({ first, second }) : undefined
    },
    example,
  })
}

export const lseg = twoPoints(
  'lseg',
  '[(1,2),(3,4)]',
  ({ first, second }) => `[${formatPoint(first)},${formatPoint(second)}]`,
  (value) => value,
)

/** PostgreSQL keeps the upper right corner first, and so does its input function. */
export const box = twoPoints(
  'box',
  '(3,4),(1,2)',
  ({ first, second }) => `${formatPoint(first)},${formatPoint(second)}`,
  ({ first, second }) => {
    const swapX = first.x < second.x || Number.isNaN(second.x)
    const swapY = first.y < second.y || Number.isNaN(second.y)
    return {
      first: { x: swapX ? second.x : first.x, y: swapY ? second.y : first.y },
      second: { x: swapX ? first.x : second.x, y: swapY ? first.y : second.y },
    }
  },
)

export const path = shape<Path>('path', {
  read: (cursor) => ({ closed: cursor.uint8('whether it is closed') !== 0, points: readPoints(cursor) }),
  write({ closed, points }, out) {
    out.uint8(closed ? 1 : 0)
    writePoints(points, out)
  },
  format: ({ closed, points }) => (closed ? `(${formatPoints(points)})` : `[${formatPoints(points)}]`),
  build(numbers, text) {
    const points = pairs(numbers)
    return points && { closed: !text.trim().startsWith('['), points }
  },
  example: '[(1,2),(3,4)]',
})

export const polygon = shape<Polygon>('polygon', {
  read: (cursor) => ({ points: readPoints(cursor) }),
  write: ({ points }, out) => writePoints(points, out),
  format: ({ points }) => `(${formatPoints(points)})`,
  build(numbers) {
    const points = pairs(numbers)
    return points && { points }
  },
  example: '((1,2),(3,4))',
})

export const circle = shape<Circle>('circle', {
  read: (cursor) => ({ ...readPoint(cursor), radius: cursor.float64('a radius') }),
  write({ x, y, radius }, out) {
    writePoint({ x, y }, out)
    writeNumber(radius, out)
  },
  format: ({ x, y, radius }) => `<(${f(x)},${f(y)}),${f(radius)}>`,
  build: ([x, y, radius, ...more]) =>
    x !== undefined && y !== undefined && radius !== undefined && more.length === 0 ? { x, y, radius } : undefined,
  example: '<(1,2),3>',
})
