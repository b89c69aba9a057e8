const MIN_MATCH = 4
const OFFSET_BYTES = 2

/**
 * How many bytes a raw LZ4 block (github.com/lz4/lz4, doc/lz4_Block_format.md) decompresses to, by the lengths in its
 * tokens. Without it the decoder would have to be given room for the largest block allowed: 4 MiB for each 1 MiB.
 * For a damaged block the number means nothing; the decoder finds that out.
 */
export function lz4BlockLength(block: Uint8Array): number {
  const end = block.length
  let length = 0
  let at = 0
  while (at < end) {
    const token = block[at++] ?? 0
    let literals = token >> 4
    if (literals === 15) {
      let more = 255
      while (more === 255 && at < end) {
        more = block[at++] ?? 0
        literals += more
      }
    }
    length += literals
    at += literals + OFFSET_BYTES
    // The last sequence has literals only.
    if (at >= end) break
    let match = token & 15
    if (match === 15) {
      let more = 255
      while (more === 255 && at < end) {
        more = block[at++] ?? 0
        match += more
      }
    }
    length += match + MIN_MATCH
  }
  return length
}
