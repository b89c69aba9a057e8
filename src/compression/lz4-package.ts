import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** `lz4-napi`, loaded when something is LZ4: its binary takes 7 MiB of memory, which the other methods have no use for. */
export function lz4(): typeof import('lz4-napi') {
  return require('lz4-napi')
}
