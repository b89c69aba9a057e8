import { type Codec, malformed, textual, unfit } from './codec.ts'
import { Cursor } from './cursor.ts'

const BYTE_TEXTS = Array.from({ length: 256 }, (_, byte) => byte.toString(2).padStart(8, '0'))

/** bit and varbit: a number of bits, and the bits from the left in whole bytes. As text: `10110`. */
function bitString(name: string): Codec<string> {
  return textual(
    name,
    (source, start, end) => {
      const cursor = new Cursor(source, start, end)
      const length = cursor.int32('a number of bits')
      const bytes = Math.ceil(length / 8)
      if (length < 0 || bytes !== cursor.left) malformed(start, `${cursor.left} bytes of bits`, `${length} bits`)
      let text = ''
      for (let at = cursor.at; at < end; at++) text += BYTE_TEXTS[source.view.getUint8(at)] ?? ''
      return text.slice(0, length)
    },
    (text, out) => {
      if (!/^[01]*$/.test(text)) unfit(name, 'zeros and ones', text)
      out.int32(text.length)
      for (let at = 0; at < text.length; at += 8) out.uint8(Number.parseInt(text.slice(at, at + 8).padEnd(8, '0'), 2))
    },
  )
}

export const bit = bitString('bit')
export const varbit = bitString('varbit')
