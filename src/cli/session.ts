import { PgpackError } from '../errors.ts'
import { ISOLATIONS } from '../run/choices.ts'
import type { SessionConfig } from '../run/config.ts'
import { parseChoice } from './options.ts'

export interface SessionOptions {
  readonly set: readonly string[]
  readonly isolation?: string
}

/** For options that may be given several times. */
export const collect = (value: string, values: readonly string[]): string[] => [...values, value]

/** `--set NAME=VALUE` and `--isolation LEVEL`. @throws PgpackError CONFIG_INVALID */
export function sessionOf({ set, isolation }: SessionOptions): SessionConfig {
  const settings = set.map((text) => {
    const [, name, value] = /^([^=\s]+)\s*=(.*)$/s.exec(text) ?? []
    if (name !== undefined && value !== undefined) return { name, value: value.trim() }
    throw new PgpackError('CONFIG_INVALID', `--set ${JSON.stringify(text)} is not NAME=VALUE`)
  })
  return {
    settings,
    ...(isolation === undefined ? {} : { isolation: parseChoice('--isolation', isolation, ISOLATIONS) }),
  }
}
