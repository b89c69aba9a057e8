import { isIPv4, isIPv6 } from 'node:net'
import { type Codec, checkLength, malformed, textual, unfit } from './codec.ts'
import { Cursor } from './cursor.ts'

/** PGSQL_AF_INET and PGSQL_AF_INET6 of utils/inet.h; the server's own, whatever the operating system's are. */
const IPV4 = 2
const IPV6 = 3
const ADDRESS_BYTES: Readonly<Record<number, number>> = { [IPV4]: 4, [IPV6]: 16 }

/** inet and cidr: family, bits of the prefix, whether it is a cidr, and the address. */
function networkAddress(name: string, isCidr: boolean): Codec<string> {
  return textual(
    name,
    (source, start, end) => {
      const cursor = new Cursor(source, start, end)
      const family = cursor.uint8('an address family')
      const bits = cursor.uint8('a prefix length')
      cursor.uint8('a flag')
      const length = cursor.uint8('an address length')
      if (length !== ADDRESS_BYTES[family] || length !== cursor.left) {
        malformed(start, 'an address of IPv4 (family 2) or IPv6 (family 3)', `family ${family}, ${cursor.left} bytes`)
      }
      if (bits > length * 8) malformed(start + 1, `${length * 8} bits at most`, String(bits))
      const bytes = source.buffer.subarray(cursor.at, end)
      const address = family === IPV4 ? bytes.join('.') : formatIPv6(bytes)
      return isCidr || bits < length * 8 ? `${address}/${bits}` : address
    },
    (text, out) => {
      const [address = '', prefix] = text.trim().split('/')
      const bytes = parseAddress(name, address, text)
      const bits = prefix === undefined ? bytes.length * 8 : Number(prefix)
      if (!(Number.isInteger(bits) && bits >= 0 && bits <= bytes.length * 8)) unfit(name, 'a prefix that fits', text)
      out.uint8(bytes.length === 4 ? IPV4 : IPV6)
      out.uint8(bits)
      out.uint8(isCidr ? 1 : 0)
      out.uint8(bytes.length)
      out.bytes(bytes)
    },
  )
}

/** As inet_net_ntop_ipv6 of PostgreSQL prints it: the first longest run of zeros is left out, IPv4 stands embedded. */
function formatIPv6(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2))
  const run = longestZeros(words)
  const embeds = run.start === 0 && (run.length === 6 || (run.length === 5 && words[5] === 0xffff))
  const parts = embeds ? words.slice(0, 6) : words
  const texts = parts.map((word) => word.toString(16))
  if (embeds) texts.push(bytes.subarray(12).join('.'))
  if (run.length < 2) return texts.join(':')
  const end = Math.min(run.start + run.length, parts.length)
  return `${texts.slice(0, run.start).join(':')}::${texts.slice(end).join(':')}`
}

function longestZeros(words: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 0 }
  let start = 0
  for (const [index, word] of words.entries()) {
    if (word !== 0) start = index + 1
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start }
  }
  return best
}

function parseAddress(name: string, address: string, text: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  if (!isIPv6(address) || address.includes('%')) return unfit(name, 'an IPv4 or IPv6 address', text)
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a, b, c, d] = parts.map(Number) as [number, number, number, number]
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  })
  const [left = '', right] = plain.split('::')
  const words = (part: string) => (part === '' ? [] : part.split(':'))
  const head = words(left)
  const tail = right === undefined ? [] : words(right)
  const all = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail]
  return Buffer.from(all.map((word) => word.padStart(4, '0')).join(''), 'hex')
}

function hardwareAddress(name: string, length: number): Codec<string> {
  return textual(
    name,
    (source, start, end) => {
      checkLength(start, end, length)
      return source.buffer.toString('hex', start, end).replace(/..(?=.)/g, '$&:')
    },
    (text, out) => {
      const digits = text.trim().replace(/[:.-]/g, '')
      if (digits.length !== length * 2 || !/^[0-9a-f]*$/i.test(digits))
        unfit(name, `${length} bytes in hexadecimal`, text)
      out.bytes(Buffer.from(digits, 'hex'))
    },
  )
}

export const inet = networkAddress('inet', false)
export const cidr = networkAddress('cidr', true)
export const macaddr = hardwareAddress('macaddr', 6)
export const macaddr8 = hardwareAddress('macaddr8', 8)
