/** Longer lines are no progress lines of ours, and must not gather in memory. */
const MAX_LINE_BYTES = 16 * 1024

/** The lines of a stream of bytes; lines that are too long are left out. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let rest = Buffer.alloc(0)
  let skipping = false
  for await (const chunk of chunks) {
    let bytes = Buffer.concat([rest, chunk])
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a)) {
      if (!skipping && end <= MAX_LINE_BYTES) yield bytes.toString('utf8', 0, end)
      skipping = false
      bytes = bytes.subarray(end + 1)
    }
    if (bytes.length > MAX_LINE_BYTES) skipping = true
    rest = skipping ? Buffer.alloc(0) : Buffer.from(bytes)
  }
}
