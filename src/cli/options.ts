import { type CompressionOptions, WRITABLE_METHODS } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'

const MAX_ZSTD_LEVEL = 22
export const MAX_CONNECTIONS = 64

/** `zstd:3`, `zstd:auto`, `zstd`, `lz4` or `none`. @throws PgpackError CONFIG_INVALID */
export function parseCompression(text: string): CompressionOptions {
  const [name = '', level, ...rest] = text.split(':')
  const method = WRITABLE_METHODS.find((candidate) => candidate.toLowerCase() === name.toLowerCase())
  const fits = rest.length === 0 && method !== undefined && (level === undefined || method === 'Zstd')
  if (!fits) {
    throw new PgpackError('CONFIG_INVALID', `--compression "${text}" is none of zstd, zstd:LEVEL, zstd:auto, lz4, none`)
  }
  if (level === undefined) return { method }
  return level.toLowerCase() === 'auto'
    ? { method, level: 'Auto' }
    : { method, level: parseInteger('--compression level', level, 1, MAX_ZSTD_LEVEL) }
}

/** @throws PgpackError CONFIG_INVALID */
export function parseInteger(what: string, text: string, minimum: number, maximum: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= minimum && value <= maximum) return value
  throw new PgpackError('CONFIG_INVALID', `${what} "${text}" is not a number from ${minimum} to ${maximum}`)
}

/** The one of `choices` that was typed, in any case. @throws PgpackError CONFIG_INVALID */
export function parseChoice<const T extends string>(what: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice.toLowerCase() === text.toLowerCase())
  if (found !== undefined) return found
  const names = choices.map((choice) => choice.toLowerCase()).join(', ')
  throw new PgpackError('CONFIG_INVALID', `${what} "${text}" is none of ${names}`)
}
