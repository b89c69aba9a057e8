import * as Type from 'typebox'

/** A count in JSON: a decimal string, because it can pass 2^53. */
export const decimal = Type.String({ pattern: '^(0|[1-9][0-9]*)$' })

/** One of the given strings. */
export const literals = <const T extends readonly string[]>(values: T) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values] })

export const closed = { additionalProperties: false }
