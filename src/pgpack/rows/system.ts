import { type Codec, checkLength, malformed, textual, unfit } from './codec.ts'
import { Cursor } from './cursor.ts'

/** `(block,tuple)` */
export const tid: Codec<string> = textual(
  'tid',
  (source, start, end) => {
    checkLength(start, end, 6)
    return `(${source.view.getUint32(start)},${source.view.getUint16(start + 4)})`
  },
  (text, out) => {
    const [, block = '', tuple = ''] = /^\s*\((\d{1,10}),(\d{1,5})\)\s*$/.exec(text) ?? []
    if (block === '' || Number(block) > 0xffffffff || Number(tuple) > 0xffff) unfit('tid', '(block,tuple)', text)
    out.int32(Number(block))
    out.int16(Number(tuple))
  },
)

/** `16/B374D848` */
export const pgLsn: Codec<string> = textual(
  'pg_lsn',
  (source, start, end) => {
    checkLength(start, end, 8)
    const [high, low] = [source.view.getUint32(start), source.view.getUint32(start + 4)]
    return `${high.toString(16)}/${low.toString(16)}`.toUpperCase()
  },
  (text, out) => {
    const [, high, low] = /^\s*([0-9a-f]{1,8})\/([0-9a-f]{1,8})\s*$/i.exec(text) ?? unfit('pg_lsn', 'X/X', text)
    out.int32(Number.parseInt(high ?? '', 16))
    out.int32(Number.parseInt(low ?? '', 16))
  },
)

/** `xmin:xmax:xip,…` of pg_snapshot and txid_snapshot. */
export function snapshot(name: string): Codec<string> {
  return textual(
    name,
    (source, start, end) => {
      const cursor = new Cursor(source, start, end)
      const count = cursor.int32('a number of transactions')
      if (count < 0 || cursor.left !== 16 + count * 8) malformed(start, 'transactions that fit', String(count))
      const [xmin, xmax] = [cursor.int64('xmin'), cursor.int64('xmax')]
      const running = Array.from({ length: count }, () => cursor.int64('a transaction'))
      return `${xmin}:${xmax}:${running.join(',')}`
    },
    (text, out) => {
      const [, xmin = '', xmax = '', running = ''] =
        /^\s*(\d{1,19}):(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*)?)\s*$/.exec(text) ?? unfit(name, 'xmin:xmax:xip,…', text)
      const ids = running === '' ? [] : running.split(',')
      out.int32(ids.length)
      for (const id of [xmin, xmax, ...ids]) out.int64(BigInt(id))
    },
  )
}
