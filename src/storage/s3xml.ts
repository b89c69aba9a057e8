/**
 * The few elements of S3's answers that are needed, kept as the text they are: upload ids, continuation tokens and keys
 * may look like numbers (`1e5`, `007`), and keys are encoded by some servers only.
 */

/** The text of the first element of this name; undefined when there is none. */
export function element(xml: string, name: string): string | undefined {
  const [, text] = new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`).exec(xml) ?? []
  return text === undefined ? undefined : decodeEntities(text)
}

/** The raw inside of every element of this name, for `element` to look into. */
export function elements(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, 'g'))].map(
    ([, inside]) => inside ?? '',
  )
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function decodeEntities(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16))
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal))
    return entities[name] ?? whole
  })
}

export function encodeEntities(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** A key of a listing: percent-encoded only when the server says that it honoured `encoding-type=url`. */
export function listedKey(listing: string, text: string): string {
  if (element(listing, 'EncodingType') !== 'url') return text
  return decodeURIComponent(text.replaceAll('+', ' '))
}
