import type { CompressionOptions } from '../compression/method.ts'
import type { CopyFormatOptions } from '../postgres/copy-options/clause.ts'
import type { CopyOptions } from '../postgres/copy-options/schema.ts'
import type { DumpFormat } from '../run/config.ts'

/** What the files of a dump are. */
export interface FileFormat {
  readonly format: DumpFormat
  readonly copyOptions?: CopyOptions | undefined
}

const EXTENSIONS: Readonly<Record<DumpFormat, string>> = {
  PGPack: '.pgpack',
  Binary: '.bin',
  Text: '.txt',
  CSV: '.csv',
}
/** As the methods' own tools name their files. A PGPack file says itself how it is compressed. */
const COMPRESSED: Readonly<Record<CompressionOptions['method'], string>> = { None: '', LZ4: '.lz4', Zstd: '.zst' }

export function extensionOf(format: DumpFormat, { method }: CompressionOptions): string {
  return `${EXTENSIONS[format]}${format === 'PGPack' ? '' : COMPRESSED[method]}`
}

/** The COPY that fills such a file. */
export function copyOf({ format, copyOptions }: FileFormat): CopyFormatOptions {
  return { format: format === 'PGPack' ? 'Binary' : format, options: copyOptions }
}
