import { Check } from 'typebox/schema'
import { PgpackError } from '../errors.ts'
import { CopyOptions } from '../postgres/copy-options/schema.ts'

interface OptionSchema {
  readonly type?: string
  readonly enum?: readonly string[]
}

const SCHEMAS = CopyOptions.properties as Readonly<Record<string, OptionSchema>>

/**
 * `--copy-option NAME=VALUE` as often as it was given: `delimiter=;`, `FORCE_QUOTE=a,b`, `header=present`. A name is that
 * of the resource's copyOptions or COPY's own keyword, in any case. Undefined where none was given.
 * @throws PgpackError CONFIG_INVALID
 */
export function parseCopyOptions(texts: readonly string[]): CopyOptions | undefined {
  if (texts.length === 0) return undefined
  const options = Object.fromEntries(texts.map(parseCopyOption))
  if (Check(CopyOptions, options)) return options
  throw invalid(texts.join(' '), 'a value does not fit its option')
}

function parseCopyOption(text: string): [string, unknown] {
  const at = text.indexOf('=')
  const [given, value] = at === -1 ? [text, 'true'] : [text.slice(0, at), text.slice(at + 1)]
  const plain = (name: string) => name.replaceAll(/[_\s-]/g, '').toLowerCase()
  const name = Object.keys(SCHEMAS).find((candidate) => plain(candidate) === plain(given))
  const schema = name === undefined ? undefined : SCHEMAS[name]
  if (name === undefined || schema === undefined) {
    throw invalid(text, `COPY has these options: ${Object.keys(SCHEMAS).join(', ')}`)
  }
  return [name, parseValue(text, value, schema)]
}

function parseValue(text: string, value: string, schema: OptionSchema): unknown {
  if (schema.enum !== undefined) {
    // A switch alone, HEADER, is what SQL has for its plain form.
    const wanted = value === 'true' ? 'present' : value.toLowerCase()
    const found = schema.enum.find((choice) => choice.toLowerCase() === wanted)
    if (found !== undefined) return found
    throw invalid(text, `expected one of ${schema.enum.join(', ').toLowerCase()}`)
  }
  switch (schema.type) {
    case 'boolean':
      if (value === 'true' || value === 'false') return value === 'true'
      throw invalid(text, 'expected true or false')
    case 'integer':
      return Number(value)
    case 'array':
      return value.split(',')
    case 'object':
      return parseRejectLimit(text, value)
    default:
      return value
  }
}

function parseRejectLimit(text: string, value: string): { count: number; unit?: 'Rows' | 'Percent' } {
  const [, count, unit] = /^(\d+)(?:\s*(rows|percent|%))?$/i.exec(value) ?? []
  if (count === undefined) throw invalid(text, 'expected a number of rows, or of percent: 10 percent')
  if (unit === undefined) return { count: Number(count) }
  return { count: Number(count), unit: unit.toLowerCase() === 'rows' ? 'Rows' : 'Percent' }
}

function invalid(text: string, expected: string): PgpackError {
  return new PgpackError('CONFIG_INVALID', `--copy-option ${JSON.stringify(text)} is not understood: ${expected}`)
}
